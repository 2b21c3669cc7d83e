# SPDX-License-Identifier: MIT
"""Every command with all that the default limits allow, and how long each held
the others up: tests/run --campaign bounds MILLISECONDS.

Fails when memory grows beyond the bound, or anything held the loop for longer
than that. The clock is kvd's own; let nothing else run beside it.
"""

import os
import sys
import unittest

E2E = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def main(milliseconds):
    sys.path[:0] = [os.path.join(E2E, "rig"), os.path.join(E2E, "commands")]
    import harness
    import test_bounds

    class Full(test_bounds.Bounds):
        profile = test_bounds.FULL
        # It would take the times with it.
        not_called = test_bounds.NOT_CALLED | {"config|resetstat"}

        def check_waits(self):
            reply = harness.as_map(self.kvd.call("KV.LATENCY", "COMMANDS"))
            longest = {}
            for name, fields in reply.items():
                run = harness.as_map(harness.as_map(fields)["run"])
                longest[name] = run["max_ns"] // 1_000_000
            for name, ms in sorted(longest.items(), key=lambda row: -row[1]):
                print(f"{ms:6} ms  {name}")
            late = {name for name, ms in longest.items()
                    if ms > int(milliseconds)}
            self.kvd.call("CONFIG", "RESETSTAT")
            with self.subTest("waits"):
                self.assertEqual(late, set())

    tests = unittest.TestSuite([Full("test_every_command_is_bounded")])
    result = unittest.TextTestRunner(verbosity=2).run(tests)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "100"))
