# SPDX-License-Identifier: MIT
"""Debian's ccache with kvd as the storage that several machines' builds share:
objects are binary values, some of them large."""

import os
import unittest

from harness import E2eTest, run

SOURCE = 'int Answer() { return 42; }\nconst char* kWord = "%s";\n'


class Ccache(E2eTest):

    threaded = True

    def setUp(self):
        self.kvd = self.started()
        self.sources = self.new_folder()

    def compile(self, word):
        """As a builder that has compiled nothing yet; its object's bytes."""
        source = os.path.join(self.sources, f"{word}.cc")
        built = os.path.join(self.sources, f"{word}.o")
        with open(source, "w", encoding="utf-8") as stream:
            stream.write(SOURCE % word)
        self.environment = {
            "CCACHE_DIR": self.new_folder(), "CCACHE_CONFIGPATH": "/dev/null",
            "CCACHE_REMOTE_STORAGE": (
                f"redis+unix:{self.kvd.socket_path}|connect-timeout=60000|"
                "operation-timeout=60000")}
        result = run(["ccache", "c++", "-g", "-c", source, "-o", built],
                     env=self.environment)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        with open(built, "rb") as stream:
            return stream.read()

    def hits(self):
        """Of the newest compile()."""
        text = run(["ccache", "--print-stats"], env=self.environment).stdout
        fields = dict(line.split("\t") for line in text.decode().splitlines())
        self.assertEqual(fields.get("remote_storage_error", "0"), "0")
        self.assertEqual(fields.get("remote_storage_timeout", "0"), "0")
        return int(fields["remote_storage_hit"])

    def test_a_second_builder_compiles_nothing(self):
        first = self.compile("word")
        self.assertEqual(self.hits(), 0)
        stored = self.kvd.call("DBSIZE")
        self.assertGreater(stored, 0)
        self.kvd.kill()
        self.kvd.start()
        self.assertEqual(self.compile("word"), first)
        self.assertGreater(self.hits(), 0)
        self.assertEqual(self.kvd.call("DBSIZE"), stored)

    def test_a_builder_goes_on_without_it(self):
        self.kvd.kill()
        self.assertTrue(self.compile("alone"))


if __name__ == "__main__":
    unittest.main()
