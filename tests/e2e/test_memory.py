# SPDX-License-Identifier: MIT
"""How much memory kvd takes, what it says of it, and what happens at the limit."""

import threading
import unittest

from harness import Connection, E2eTest, ReplyError, SANITIZED, scaled

MIB = 1 << 20
OOM = "OOM command not allowed when used memory"


class TheLimit(E2eTest):
    """memory.limit: values give way to keys, then writes are refused."""

    def fill(self, client, prefix="key", batch=500):
        """Adds keys with values of a byte until one is refused; how many."""
        count = 0
        while True:
            replies = client.pipeline([("SET", f"{prefix}{i}", "v")
                                       for i in range(count, count + batch)])
            refused = [reply for reply in replies if reply != "OK"]
            count += len(replies) - len(refused)
            if refused:
                self.assertEqual({reply[:len(OOM)] for reply in refused},
                                 {OOM})
                return count
            self.assertLess(count, 1_000_000, "the limit is never reached")

    def test_keys_beyond_it_are_refused_and_the_rest_goes_on(self):
        kvd = self.started(settings={"memory.limit": "4MiB"})
        client = kvd.connect()
        count = self.fill(client)
        self.assertGreater(count, 40_000)
        self.assertRegex(kvd.log(), "less than memory.value_cache")
        self.assertRegex(kvd.log(), "reached memory.limit")
        self.assertEqual(kvd.log().count("reached memory.limit"), 1)
        self.assertEqual(kvd.status()["state"], b"full")

        reply = client.call("MSET", "key0", "w", "new", "v")
        self.assertIsInstance(reply, ReplyError)
        self.assertTrue(reply.startswith(OOM), reply)
        self.assertIn("nothing was changed", reply)
        self.assertEqual(client.call("MGET", "key0", "new"), [b"v", None])
        self.assertEqual(client.call("DBSIZE"), count)
        self.assertEqual(client.call("SET", "key0", "w"), "OK")
        self.assertEqual(client.call("GET", "key0"), b"w")
        result = kvd.kvctl("set", "new", "v")
        self.assertEqual(result.returncode, 6, result.stderr)
        self.assertIn(OOM, result.stderr.decode())

        with self.subTest("a start at the limit"):
            kvd.restart()
            client = kvd.connect()
            self.assertEqual(client.call("DBSIZE"), count)
            self.assertEqual(client.call("GET", "key0"), b"w")

        with self.subTest("room"):
            client.pipeline([("DEL", f"key{i}") for i in range(count // 2)])
            self.assertEqual(client.call("SET", "new", "v"), "OK")
            self.assertEqual(kvd.status()["state"], b"ok")

    def test_values_leave_memory_for_others_and_are_still_there(self):
        limit = 16 * MIB
        kvd = self.started(settings={"memory.limit": "16MiB"})
        count = scaled(2000, 600)
        value = b"v" * 50_000
        empty = kvd.resident_kib()

        def write(first):
            with Connection(kvd.socket_path) as client:
                for start in range(first, count, 40):
                    replies = client.pipeline(
                        [("SET", f"key{i}", b"%d." % i + value)
                         for i in range(start, min(start + 10, count))])
                    self.assertEqual(set(replies), {"OK"})

        writers = [threading.Thread(target=write, args=(10 * i,))
                   for i in range(4)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        self.assertEqual(kvd.call("DBSIZE"), count)
        if not SANITIZED:
            # Beside the limit: buffers of the log and of clients.
            self.assertLess((kvd.resident_kib() - empty) << 10,
                            limit + 64 * MIB)
        client = kvd.connect()
        for i in range(0, count, 7):
            self.assertEqual(client.call("GET", f"key{i}"),
                             b"%d." % i + value)
        # Values that are needed to write go the same way.
        self.assertEqual(client.call("APPEND", "key3", "!"), len(value) + 3)
        self.assertEqual(client.call("GET", "key3"), b"3." + value + b"!")


if __name__ == "__main__":
    unittest.main()
