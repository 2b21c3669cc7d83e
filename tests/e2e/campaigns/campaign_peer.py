# SPDX-License-Identifier: MIT
"""Many random commands beside redis-server, half of them in each version of
the protocol: tests/run --campaign peer COUNT. KVD_SEED chooses which."""

import os
import sys
import unittest

E2E = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def main(count):
    # Read when the tests are loaded.
    os.environ["KVD_PEER_COMMANDS"] = str(int(count) // 2)
    sys.path[:0] = [os.path.join(E2E, "rig"), os.path.join(E2E, "commands")]
    tests = unittest.defaultTestLoader.loadTestsFromName("test_beside_redis")
    result = unittest.TextTestRunner(verbosity=2).run(tests)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "1000000"))
