# SPDX-License-Identifier: MIT
"""A disk that fills quickly."""

import os

from harness import run


class SmallDisk:
    """A tmpfs of a few MiB that is unmounted with the test."""

    def __init__(self, test, options):
        if os.geteuid() != 0:
            test.skipTest("mounting a tmpfs takes root")
        self.path = test.new_folder()
        result = run(["mount", "-t", "tmpfs", "-o", options, "none", self.path])
        if result.returncode != 0:
            # A container's root may not.
            test.skipTest(f"no tmpfs here: {result.stderr.decode()}")
        test.addCleanup(run, ["umount", "-l", self.path])

    def remount(self, options):
        run(["mount", "-o", f"remount,{options}", self.path])
