# SPDX-License-Identifier: MIT
"""Backs up many times beside 16 writers, and compares each backup with what was
there at its revision: tests/run --campaign backup COUNT."""

import os
import sys
import unittest

E2E = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def main(count):
    # Read when the tests are loaded.
    os.environ["KVD_BACKUPS"] = str(int(count))
    os.environ["KVD_WRITERS"] = "16"
    sys.path[:0] = [os.path.join(E2E, "rig"), os.path.join(E2E, "data")]
    tests = unittest.defaultTestLoader.loadTestsFromName(
        "test_backup.Backup.test_beside_writers")
    result = unittest.TextTestRunner(verbosity=2).run(tests)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "100"))
