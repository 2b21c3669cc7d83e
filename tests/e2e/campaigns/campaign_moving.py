# SPDX-License-Identifier: MIT
"""Moves COUNT keys from Redis to kvd to Redis and through dumps, as the tests
do with thousands: tests/run --campaign moving 1000000.
"""

import os
import sys
import unittest

E2E = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def main(count):
    # Read when the tests are loaded.
    os.environ["KVD_MOVING_KEYS"] = count
    sys.path[:0] = [os.path.join(E2E, "rig"), os.path.join(E2E, "data")]
    tests = unittest.defaultTestLoader.loadTestsFromNames([
        "test_moving.WithRedis.test_from_redis_to_kvd_to_redis",
        "test_moving.Dumps.test_export_import_export_gives_equal_bytes"])
    result = unittest.TextTestRunner(verbosity=2).run(tests)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "1000000"))
