# SPDX-License-Identifier: MIT
"""What people build on Redis with Node.js: each program of tests/e2e/node does
its ordinary day with kvd."""

import os
import shutil
import subprocess
import unittest

from harness import E2eTest, run

PROGRAMS = os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "node")
INSTALL_SECONDS = 120


def installed(folder):
    """Copies the programs there, with the packages that their lock file names;
    the reason if that cannot be."""
    if not shutil.which("node") or not shutil.which("npm"):
        return "no node and npm here"
    shutil.copytree(PROGRAMS, folder, dirs_exist_ok=True)
    try:
        result = run(["npm", "--prefix", folder, "ci", "--ignore-scripts",
                      "--no-audit", "--no-fund"], seconds_max=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        return "npm does not get its packages"
    if result.returncode != 0:
        return "npm does not get its packages"
    return None


class NodeClients(E2eTest):

    def test_programs(self):
        folder = self.new_folder()
        lacks = installed(folder)
        if lacks:
            self.skipTest(lacks)
        programs = sorted(name for name in os.listdir(PROGRAMS)
                          if name.endswith(".mjs"))
        self.assertNotEqual(programs, [])
        for program in programs:
            with self.subTest(program):
                kvd = self.started()
                result = run(["node", os.path.join(folder, program),
                              kvd.socket_path])
                self.assertEqual(result.returncode, 0, result.stderr.decode())
                self.assertEqual(result.stdout, b"ok\n")


if __name__ == "__main__":
    unittest.main()
