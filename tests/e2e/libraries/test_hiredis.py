# SPDX-License-Identifier: MIT
"""Debian's hiredis in a program of C or C++."""

import os
import shlex
import unittest

from harness import E2eTest, run
from programs import run_with_restarts

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                      "hiredis.cc")


class Hiredis(E2eTest):

    threaded = True

    def test_a_program(self):
        program = os.path.join(self.new_folder(), "hiredis")
        flags = run(["pkg-config", "--cflags", "--libs", "hiredis"])
        self.assertEqual(flags.returncode, 0, flags.stderr)
        built = run(["c++", "-std=c++17", "-o", program, SOURCE,
                     *shlex.split(flags.stdout.decode())])
        self.assertEqual(built.returncode, 0, built.stderr.decode())
        run_with_restarts(self, self.started(), [program])


if __name__ == "__main__":
    unittest.main()
