# SPDX-License-Identifier: MIT
"""What is otherwise when the data is in etcd: the list of lib/etcd/README.md,
"What differs". Conformance tests that meet one of these name its test here
(differs_on_etcd in the harness)."""

import unittest

import etcd
from harness import DIFFERENCES, E2eTest, KVD_ETCD, ReplyError


class Differences(E2eTest):

    def setUp(self):
        etcd.require_etcd(self)
        self.kvd = self.daemon(program=KVD_ETCD, settings={
            "storage.backend": "etcd",
            "etcd.endpoints": etcd.shared_node().endpoint,
            "etcd.prefix": self.new_folder() + "/",
            "limits.value_size": "4MiB"}).start()
        self.client = self.kvd.connect()

    def refused(self, *words):
        reply = self.client.call(*words)
        self.assertIsInstance(reply, ReplyError, words)
        return reply

    def refused_exec(self, *commands):
        replies = self.client.pipeline([("MULTI",), *commands, ("EXEC",)])
        self.assertIsInstance(replies[-1], ReplyError)
        self.assertIn("EXECABORT", replies[-1])
        # And it is over.
        self.assertEqual(self.client.call("PING"), "PONG")
        return replies[-1]

    def test_each_name_of_the_harness_has_a_test(self):
        for name in DIFFERENCES:
            self.assertTrue(hasattr(self, f"test_{name}"), name)

    def test_large_values(self):
        self.assertEqual(self.client.call("SET", "a", "x" * 1_000_000), "OK")
        self.refused("SET", "b", "x" * 2_000_000)
        self.refused("SETRANGE", "b", 2_000_000, "x")
        self.assertEqual(self.client.call("EXISTS", "a", "b"), 1)

    def test_large_changes(self):
        half = "x" * 700_000
        self.refused("MSET", "a", half, "b", half)
        self.refused_exec(("SET", "a", half), ("SET", "b", half))
        self.refused("EVAL",
                     "redis.call('SET', KEYS[1], ARGV[1]) "
                     "redis.call('SET', KEYS[2], ARGV[1])",
                     "2", "a", "b", half)
        self.assertEqual(self.client.call("EXISTS", "a", "b"), 0)
        # One by one they are no matter.
        self.assertEqual(self.client.pipeline(
            [("SET", "a", half), ("SET", "b", half)]), ["OK", "OK"])

    def test_many_keys(self):
        keys = [f"key{i}" for i in range(200)]
        self.refused("MSET", *(word for key in keys for word in (key, "1")))
        self.refused_exec(*(("INCR", key) for key in keys))
        self.assertEqual(self.client.call("EXISTS", *keys), 0)
        self.assertEqual(self.client.pipeline(
            [("INCR", key) for key in keys]), [1] * len(keys))
        # Reading has no such limit, beside changes it does.
        self.assertEqual(self.client.call("MGET", *keys), [b"1"] * len(keys))
        self.refused_exec(("MGET", *keys), ("SET", "a", "1"))

    def test_swapdb(self):
        self.assertEqual(self.client.call("SET", "a", "1"), "OK")
        self.refused("SWAPDB", "0", "1")
        self.assertEqual(self.client.call("GET", "a"), b"1")

    def test_aggregates_beside_changes(self):
        self.assertEqual(self.client.call("SET", "a", "1"), "OK")
        for words in (("DBSIZE",), ("KEYS", "*"), ("SCAN", "0"),
                      ("RANDOMKEY",)):
            self.assertIsNotNone(self.client.call(*words))
            self.refused_exec(words, ("SET", "b", "1"))
        self.refused("EVAL",
                     "for _, key in ipairs(redis.call('KEYS', '*')) do "
                     "redis.call('DEL', key) end", "0")
        self.assertEqual(self.client.call("EXISTS", "a", "b"), 1)

    def test_revisions_in_scripts(self):
        for script in ("return redis.call('KV.SET', 'a', '1')",
                       "redis.call('SET', 'a', '1') "
                       "return redis.call('KV.GET', 'a')"):
            self.assertIn("etcd gives a change its revision",
                          self.refused("EVAL", script, "0"))

    def test_revisions_of_a_transaction(self):
        replies = self.client.pipeline([
            ("MULTI",), ("KV.SET", "a", "1"), ("KV.SET", "b", "1"), ("EXEC",)])
        self.assertEqual(len(set(replies[-1])), 1)
        self.assertEqual(self.client.call("KV.GET", "b", "META")[1],
                         replies[-1][0])
        # It would be the revision of two states.
        self.refused_exec(("KV.SET", "a", "2"), ("SET", "a", "3"))

    def test_subscribing_in_a_transaction(self):
        for words in (("SUBSCRIBE", "a"), ("PUNSUBSCRIBE",)):
            replies = self.client.pipeline([("MULTI",), words, ("DISCARD",)])
            self.assertIn("cannot be in a transaction", replies[1])

    def test_no_log(self):
        self.assertIn("back it up there", self.refused("KV.BACKUP", "BEGIN"))
        for words in (("KV.COMPACT",), ("BGREWRITEAOF",)):
            self.assertIn("no log to compact", self.refused(*words))
        self.assertIn("the data is in etcd",
                      self.refused("CONFIG", "SET", "compaction.rate", "1MiB"))
        self.assertEqual(self.client.call("SAVE"), "OK")

    def test_events_of_others(self):
        other = self.daemon(program=KVD_ETCD,
                            settings=dict(self.kvd.settings)).start()
        listener = self.kvd.connect()
        self.client.call("CONFIG", "SET", "notify-keyspace-events", "KEA")
        listener.call("PSUBSCRIBE", "*")
        writer = other.connect()
        self.assertEqual(writer.call("SET", "theirs", "1"), "OK")
        self.assertEqual(writer.call("PUBLISH", "news", "theirs"), 0)
        self.assertEqual(self.client.call("GET", "theirs"), b"1")
        self.assertEqual(self.client.call("PUBLISH", "news", "ours"), 1)
        self.assertEqual(listener.reply(), [b"pmessage", b"*", b"news",
                                            b"ours"])
        # That a key has expired is told everywhere.
        listeners = [listener, other.connect()]
        writer.call("CONFIG", "SET", "notify-keyspace-events", "Ex")
        self.client.call("CONFIG", "SET", "notify-keyspace-events", "Ex")
        listeners[1].call("PSUBSCRIBE", "*")
        self.assertEqual(writer.call("SET", "short", "1", "PX", "50"), "OK")
        for one in listeners:
            self.assertEqual(one.reply(), [b"pmessage", b"*",
                                           b"__keyevent@0__:expired",
                                           b"short"])


if __name__ == "__main__":
    unittest.main()
