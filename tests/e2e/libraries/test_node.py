# SPDX-License-Identifier: MIT
"""Node.js: each program of tests/e2e/node does the ordinary day of one library
with kvd."""

import os
import shutil
import subprocess
import tempfile
import unittest

from harness import E2eTest, run
from programs import run_with_restarts

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


class Node(E2eTest):

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="kvd-", dir="/tmp")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.lacks = installed(cls.folder)

    def run_program(self, name):
        if self.lacks:
            self.skipTest(self.lacks)
        run_with_restarts(self, self.started(),
                          ["node", os.path.join(self.folder, name)])

    def test_node_redis(self):
        self.run_program("node_redis.mjs")

    def test_ioredis(self):
        self.run_program("ioredis.mjs")

    def test_express_session_and_connect_redis(self):
        self.run_program("sessions.mjs")

    def test_pubsub(self):
        self.run_program("pubsub.mjs")

    def test_keyv(self):
        self.run_program("keyv.mjs")

    def test_cache_manager(self):
        self.run_program("cache_manager.mjs")

    def test_rate_limiter_flexible(self):
        self.run_program("rate_limiter.mjs")

    def test_redlock(self):
        self.run_program("redlock.mjs")


if __name__ == "__main__":
    unittest.main()
