# SPDX-License-Identifier: MIT
"""How much memory kvd takes, what it says of it, and what happens at the limit."""

import threading
import unittest

from harness import Connection, E2eTest, ReplyError, SANITIZED, scaled
from harness import as_map, wait_until

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


class WhatItSays(E2eTest):
    """INFO and KV.STATUS: where the memory is."""

    PARTS = ("kvd_entry_bytes", "kvd_value_bytes", "kvd_index_bytes",
             "kvd_deadline_bytes", "kvd_queued_bytes",
             "kvd_connection_bytes", "kvd_log_buffer_bytes",
             "kvd_slow_log_bytes", "kvd_script_bytes")

    def figures(self, kvd):
        info = kvd.info()
        figures = {name: int(info[name]) for name in
                   (*self.PARTS, "used_memory", "used_memory_rss",
                    "used_memory_dataset", "used_memory_overhead",
                    "maxmemory", "kvd_value_cache_bytes")}
        self.assertEqual(sum(figures[name] for name in self.PARTS),
                         figures["used_memory"])
        self.assertEqual(figures["used_memory_dataset"] +
                         figures["used_memory_overhead"],
                         figures["used_memory"])
        return figures

    def fill(self, kvd, count, size, *more):
        with Connection(kvd.socket_path) as client:
            for start in range(0, count, 1000):
                client.pipeline(
                    [("SET", f"key{i:07}", "v" * size, *more)
                     for i in range(start, min(start + 1000, count))])

    def test_the_parts_add_up_and_to_what_the_process_has(self):
        kvd = self.started(settings={"memory.value_cache": "1GiB"})
        empty = self.figures(kvd)
        self.assertEqual(empty["maxmemory"], 0)
        self.assertEqual(empty["kvd_value_cache_bytes"], 1 << 30)
        self.assertEqual(empty["kvd_entry_bytes"], 0)
        count = scaled(200_000, 20_000)
        self.fill(kvd, count, 100)
        full = self.figures(kvd)
        self.assertEqual(full["kvd_value_bytes"], 100 * count)
        # Header and key, and what 24 + 10 + 100 is rounded up to.
        self.assertEqual(full["kvd_entry_bytes"], (24 + 10 + 10) * count)
        self.assertIn((full["kvd_index_bytes"] - empty["kvd_index_bytes"]) //
                      count, range(8, 20))
        self.assertLess(full["kvd_deadline_bytes"], count)
        if not SANITIZED:
            taken = full["used_memory_rss"] - empty["used_memory_rss"]
            counted = full["used_memory"] - empty["used_memory"]
            self.assertGreater(taken, counted * 0.9)
            self.assertLess(taken, counted * 1.4 + 8 * MIB)

        self.fill(kvd, count, 100, "EX", "1000")
        self.assertIn(self.figures(kvd)["kvd_deadline_bytes"] // count,
                      range(8, 20))
        status = kvd.status()
        self.assertEqual(status["value_bytes"], 100 * count)
        self.assertEqual(status["value_cache_bytes"], 1 << 30)
        self.assertEqual(status["memory_limit_bytes"], 0)
        self.assertEqual(status["damaged_values"], 0)
        self.assertRegex(kvd.kvctl("status").stdout.decode(),
                         r"\nmemory [^\n]+ values [^\n]+ of 1\.0 GiB\n")

        kvd.call("FLUSHALL")
        wait_until(lambda: self.figures(kvd)["kvd_index_bytes"] ==
                   empty["kvd_index_bytes"], "everything is freed")
        flushed = self.figures(kvd)
        self.assertEqual(flushed["kvd_entry_bytes"], 0)
        self.assertEqual(flushed["kvd_deadline_bytes"],
                         empty["kvd_deadline_bytes"])

    def test_memory_stats_and_purge(self):
        kvd = self.started(settings={"memory.value_cache": "1GiB"})
        count = scaled(200_000, 20_000)
        self.fill(kvd, count, 100)
        stats = as_map(kvd.call("MEMORY", "STATS"))
        self.assertEqual(stats["keys.count"], count)
        self.assertEqual(stats["kvd.values"], 100 * count)
        self.assertIn(stats["keys.bytes-per-key"], range(134, 160))
        if not SANITIZED:
            # The allocator knows of no less than was asked for.
            self.assertGreater(stats["allocator.allocated"],
                               stats["total.allocated"])
            self.assertLess(stats["allocator.allocated"],
                            stats["total.allocated"] * 1.3)
        # One key's share, too.
        self.assertIn(kvd.call("MEMORY", "USAGE", "key0000000"),
                      range(134, 170))
        kvd.call("FLUSHALL")
        wait_until(lambda: as_map(kvd.call("MEMORY", "STATS"))["kvd.entries"]
                   == 0, "everything is freed")
        self.assertEqual(kvd.call("MEMORY", "PURGE"), "OK")
        if not SANITIZED:
            self.assertLess(as_map(kvd.call("MEMORY", "STATS"))
                            ["allocator.resident"],
                            stats["allocator.resident"] - 100 * count)

    def test_buffers_of_clients_count(self):
        kvd = self.started()
        before = self.figures(kvd)["kvd_connection_bytes"]
        with Connection(kvd.socket_path) as client:
            client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9000000\r\n")
            client.send(bytes(5 * MIB))
            wait_until(lambda: self.figures(kvd)["kvd_connection_bytes"] >=
                       before + 5 * MIB, "it has arrived")
        wait_until(lambda: self.figures(kvd)["kvd_connection_bytes"] <
                   before + MIB, "it is given back")

    def test_values_on_disk_count_for_nothing(self):
        kvd = self.started(settings={"memory.value_cache": "1MiB"})
        self.fill(kvd, 2000, 5000)
        wait_until(lambda: self.figures(kvd)["kvd_value_bytes"] <= MIB,
                   "values leave")
        client = kvd.connect()
        for i in range(0, 2000, 10):
            self.assertEqual(client.call("GET", f"key{i:07}"), b"v" * 5000)
        info = kvd.info()
        self.assertGreater(int(info["kvd_values_evicted"]), 1500)
        self.assertGreater(int(info["kvd_reads_at_once"]) +
                           int(info["kvd_reads_waited"]), 150)
        self.assertEqual(info["kvd_damaged_values"], "0")


if __name__ == "__main__":
    unittest.main()
