# SPDX-License-Identifier: MIT
"""Two kvds on one etcd with that many faults: tests/run --campaign etcd COUNT."""

import os
import sys
import unittest

E2E = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def main(count):
    # Read when the tests are loaded.
    os.environ["KVD_ETCD_FAULTS"] = str(int(count))
    sys.path[:0] = [os.path.join(E2E, "rig"), os.path.join(E2E, "etcd")]
    tests = unittest.defaultTestLoader.loadTestsFromName(
        "test_faults.RandomFaults")
    result = unittest.TextTestRunner(verbosity=2).run(tests)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "100"))
