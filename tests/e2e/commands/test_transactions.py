# SPDX-License-Identifier: MIT
"""MULTI and WATCH against a real daemon: redis-py's pipelines, several clients,
and a daemon that is killed."""

import threading
import unittest

import redis

from harness import Closed, E2eTest, ReplyError, SECONDS_MAX, command, scaled
from harness import differs_on_etcd, wait_until


class Transactions(E2eTest):

    threaded = True

    def setUp(self):
        self.kvd = self.started()

    def test_pipelines_of_redis_py(self):
        client = self.kvd.client()
        with client.pipeline() as pipe:
            pipe.set("a", "1").incr("a").get("a").mset({"b": "2"})
            self.assertEqual(pipe.execute(), [True, 2, b"2", True])
        with client.pipeline() as pipe:
            pipe.set("a", "text").incr("a").set("b", "3")
            results = pipe.execute(raise_on_error=False)
            self.assertEqual([results[0], results[2]], [True, True])
            self.assertIsInstance(results[1], redis.ResponseError)
        with client.pipeline() as pipe:
            pipe.set("a", "lost").execute_command("NOPE")
            with self.assertRaises(redis.ResponseError):
                pipe.execute()
        self.assertEqual(client.mget("a", "b"), [b"text", b"3"])

    def test_watch_of_redis_py(self):
        one, other = self.kvd.client(), self.kvd.client()
        one.set("n", 1)
        with one.pipeline() as pipe:
            pipe.watch("n")
            value = int(pipe.get("n"))
            other.incr("n")
            pipe.multi()
            pipe.set("n", value + 1)
            with self.assertRaises(redis.WatchError):
                pipe.execute()
        self.assertEqual(other.get("n"), b"2")

    def test_counting_with_watch_loses_nothing(self):
        rounds = scaled(100, 30)

        def add_one(pipe):
            value = int(pipe.get("count") or 0)
            pipe.multi()
            pipe.set("count", value + 1)

        def count():
            client = self.kvd.client()
            for _ in range(rounds):
                client.transaction(add_one, "count")

        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.kvd.client().get("count"), b"%d" % (4 * rounds))

    def test_all_of_it_in_one_write(self):
        client = self.kvd.connect()
        commands = [("MULTI",), ("SET", "a", "1"), ("INCR", "a"), ("EXEC",),
                    ("GET", "a"), ("MULTI",), ("DISCARD",), ("WATCH", "a"),
                    ("MULTI",), ("GET", "a"), ("EXEC",)]
        replies = ["OK", "QUEUED", "QUEUED", ["OK", 2], b"2", "OK", "OK", "OK",
                   "OK", "QUEUED", [b"2"]]
        self.assertEqual(client.pipeline(commands * 100), replies * 100)

    def test_a_connection_that_closes_in_the_middle(self):
        with self.kvd.connect() as client:
            client.pipeline([("WATCH", "w"), ("MULTI",),
                             ("SET", "half", "x" * 1_000_000)])
            info = self.kvd.info()
            self.assertGreater(int(info["kvd_connection_bytes"]), 1_000_000)
            self.assertEqual(info["watching_clients"], "1")
        with self.kvd.connect() as client:
            client.send(command("MULTI") + command("SET", "half", "1") +
                        b"*1\r\n$4\r\nEX")
        wait_until(lambda: self.kvd.info()["connected_clients"] == "1",
                   "they are gone")
        info = self.kvd.info()
        self.assertLess(int(info["kvd_connection_bytes"]), 1_000_000)
        self.assertEqual(info["watching_clients"], "0")
        other = self.kvd.connect()
        self.assertEqual(other.call("EXISTS", "half"), 0)
        self.assertEqual(other.call("SET", "w", "1"), "OK")

    @differs_on_etcd("large_changes")
    def test_a_large_one_takes_room_and_is_whole(self):
        client = self.kvd.connect()
        value = b"v" * 1_000_000
        sets = [("SET", f"key{i}", value) for i in range(20)]
        replies = client.pipeline([("MULTI",), *sets, ("EXEC",)])
        self.assertEqual(replies[-1], ["OK"] * 20)
        self.kvd.kill()
        self.kvd.start()
        client = self.kvd.connect()
        for i in range(20):
            self.assertEqual(client.call("STRLEN", f"key{i}"), len(value))

    @differs_on_etcd("large_values")
    def test_few_words_that_make_large_values_are_refused(self):
        self.kvd.stop()
        self.kvd.settings["limits.transaction_bytes"] = "8MiB"
        self.kvd.start()
        client = self.kvd.connect()
        before = self.kvd.resident_kib()
        sets = [("SETRANGE", f"key{i}", 2_000_000, "x") for i in range(1000)]
        reply = client.pipeline([("MULTI",), *sets, ("EXEC",)])[-1]
        self.assertIsInstance(reply, ReplyError)
        self.assertIn("EXECABORT", reply)
        self.assertIn("limits.transaction_bytes, which is 8MiB", reply)
        self.assertEqual(client.call("DBSIZE"), 0)
        # With a sanitizer what was freed stays for a while.
        self.assertLess(self.kvd.resident_kib(), before + scaled(64, 512) * 1024)


class Killed(E2eTest):
    """Whatever the moment: all keys of one EXEC are there, or none."""

    KEYS = 8

    def transaction(self, number):
        sets = [command("SET", f"key{i}", number) for i in range(self.KEYS)]
        return command("MULTI") + b"".join(sets) + command("EXEC")

    def write(self, kvd, first):
        """Until the daemon goes; the last number that was acknowledged."""
        client = kvd.connect()
        acknowledged = first - 1
        try:
            while True:
                client.send(self.transaction(acknowledged + 1))
                for _ in range(self.KEYS + 1):
                    client.reply()
                self.assertEqual(client.reply(), ["OK"] * self.KEYS)
                acknowledged += 1
                if acknowledged == first + self.rounds:
                    self.about_to_die.set()
        except Closed:
            return acknowledged

    def test_all_keys_are_equal_after_a_kill(self):
        kvd = self.started()
        number = 1
        for cycle in range(scaled(6, 3)):
            self.rounds = 20 + 13 * cycle
            self.about_to_die = threading.Event()
            results = []
            writer = threading.Thread(
                target=lambda first: results.append(self.write(kvd, first)),
                args=(number,))
            writer.start()
            self.assertTrue(self.about_to_die.wait(SECONDS_MAX))
            kvd.kill()
            writer.join()
            kvd.start()
            values = kvd.connect().call(
                "MGET", *[f"key{i}" for i in range(self.KEYS)])
            self.assertEqual(len(set(values)), 1, values)
            self.assertIn(int(values[0]), (results[0], results[0] + 1))
            number = int(values[0]) + 1


if __name__ == "__main__":
    unittest.main()
