# SPDX-License-Identifier: MIT
"""Pub/sub and events of keys against a real daemon: redis-py, subscribers that
stop, a million patterns, a daemon that is killed."""

import asyncio
import json
import threading
import unittest

import redis
import redis.asyncio

from harness import Closed, Connection, E2eTest, SECONDS_MAX, command, scaled
from harness import differs_on_etcd, unless_it_differs, wait_until

# Of one connection, which ends with RESET: the same bytes come back.
SAME_AS_REDIS = [
    ("SUBSCRIBE", "a"), ("SUBSCRIBE", "a", "b"), ("PSUBSCRIBE", "a*"),
    ("SSUBSCRIBE", "s"), ("SSUBSCRIBE", "s", "t"), ("PING",), ("PING", "x"),
    ("PING", "x", "y"), ("UNSUBSCRIBE", "a", "none"), ("UNSUBSCRIBE",),
    ("UNSUBSCRIBE",), ("PUNSUBSCRIBE",), ("PUNSUBSCRIBE",),
    ("SUNSUBSCRIBE", "t", "none"), ("SUNSUBSCRIBE",), ("SUNSUBSCRIBE",),
    ("SUBSCRIBE",), ("PUBLISH", "a"), ("PUBLISH", "none", "x"),
    ("SPUBLISH", "none", "x"), ("PUBSUB", "CHANNELS"), ("PUBSUB", "NUMPAT"),
    ("PUBSUB", "NUMSUB"), ("PUBSUB", "NUMSUB", "a", "b"),
    ("PUBSUB", "SHARDCHANNELS"), ("PUBSUB", "SHARDNUMSUB", "a"),
    ("PUBSUB", "NUMPAT", "x"), ("PUBSUB",), ("PUBSUB", "NOPE"), ("PSUBSCRIBE", "["), ("PUNSUBSCRIBE", "["),
    ("SUBSCRIBE", ""), ("UNSUBSCRIBE", ""),
    *unless_it_differs(
        "subscribing_in_a_transaction",
        ("MULTI",), ("SUBSCRIBE", "m"), ("PUBLISH", "none", "x"),
        ("UNSUBSCRIBE", "m"), ("PING",), ("EXEC",)),
    ("CLIENT", "REPLY", "OFF"), ("SUBSCRIBE", "q"), ("UNSUBSCRIBE", "q"),
    ("CLIENT", "REPLY", "ON"), ("SUBSCRIBE", "z"), ("RESET",),
]
# Version 2 alone refuses these to a subscriber.
REFUSED_TO_SUBSCRIBERS = [
    ("SUBSCRIBE", "a"), ("GET", "k"), ("get", "k"), ("CONFIG", "GET", "save"),
    ("MULTI",), ("EXEC",), ("PUBLISH", "a", "x"), ("HELLO", "3"), ("NOPE",),
    ("GET",), ("PUBSUB", "NUMPAT"), ("SUBSCRIBE",), ("UNSUBSCRIBE",),
    ("GET", "k"), ("SSUBSCRIBE", "s"), ("GET", "k"), ("SUNSUBSCRIBE",),
    ("GET", "k"), ("RESET",),
]
# What changes keys, for the events of it.
CHANGES = [
    ("SET", "a", "1"), ("SET", "a", "2", "EX", "1000"), ("GET", "none"),
    ("SETEX", "b", "1000", "x"), ("PSETEX", "b", "1000000", "x"),
    ("SETNX", "a", "x"), ("SETNX", "c", "x"), ("GETSET", "c", "y"),
    ("APPEND", "c", "z"), ("SETRANGE", "c", "1", "q"), ("SETRANGE", "c", "0", ""),
    ("SETBIT", "c", "1", "0"), ("SETBIT", "c", "7", "0"),
    ("BITFIELD", "c", "SET", "u8", "0", "7"), ("BITOP", "NOT", "d", "c"),
    ("BITOP", "AND", "d", "none"), ("INCR", "n"), ("INCRBY", "n", "5"),
    ("DECR", "n"), ("DECRBY", "n", "2"), ("INCRBYFLOAT", "n", "0.5"),
    ("MSET", "m1", "1", "m2", "2"), ("MSETNX", "m1", "1", "m3", "3"),
    ("MSETNX", "m4", "1", "m3", "3"), ("EXPIRE", "m1", "1000"),
    ("EXPIRE", "m1", "1000", "NX"), ("PEXPIRE", "m1", "1000000"),
    ("EXPIREAT", "m1", "99999999999"), ("PERSIST", "m1"), ("PERSIST", "m1"),
    ("EXPIRE", "m2", "-1"), ("GETEX", "m1", "EX", "100"),
    ("GETEX", "m1", "PERSIST"), ("GETEX", "m1"), ("GETDEL", "m1"),
    ("RENAME", "m3", "m5"), ("RENAME", "m5", "m4"), ("RENAMENX", "m4", "a"),
    ("RENAMENX", "m4", "m6"), ("COPY", "m6", "m7"), ("COPY", "m6", "m7"),
    ("COPY", "m6", "m7", "REPLACE"), ("MOVE", "m7", "3"), ("DEL", "a", "none"),
    ("UNLINK", "b", "c"), ("MULTI",), ("SET", "t", "1"), ("DEL", "t"),
    ("EXEC",), *unless_it_differs("swapdb", ("SWAPDB", "0", "1")),
    ("FLUSHALL",),
]


class AgainstRedis(E2eTest):
    """The same commands, the same bytes."""

    def setUp(self):
        self.kvd = self.started()
        self.redis_path = self.redis_server()

    def sides(self):
        theirs = Connection(self.redis_path)
        self.addCleanup(theirs.close)
        return self.kvd.connect(), theirs

    def answers(self, side, commands, protocol=2):
        if protocol == 3:
            side.call("HELLO", "3")
        side.send(b"".join(command(*words) for words in commands))
        side.send(command("QUIT"))
        return side.rest()

    def compare(self, commands, protocol):
        ours, theirs = self.sides()
        self.assertEqual(self.answers(ours, commands, protocol),
                         self.answers(theirs, commands, protocol))

    def test_table_in_resp2(self):
        allowed = [words for words in SAME_AS_REDIS
                   if words[0] not in ("CLIENT", "MULTI", "EXEC")]
        self.compare([words for words in allowed if words[0].endswith(
            ("SUBSCRIBE", "PING", "RESET"))], 2)
        self.compare(REFUSED_TO_SUBSCRIBERS, 2)

    def test_table_in_resp3(self):
        self.compare(SAME_AS_REDIS, 3)

    def test_events(self):
        told = []
        for side, listener in zip(self.sides(), self.sides()):
            side.call("CONFIG", "SET", "notify-keyspace-events", "KEAm")
            listener.call("PSUBSCRIBE", "*")
            side.send(b"".join(command(*words) for words in CHANGES))
            for _ in CHANGES:
                side.reply()
            side.call("PUBLISH", "end", "x")
            told.append([])
            while not told[-1] or told[-1][-1][2] != b"end":
                told[-1].append(listener.reply())
        self.assertEqual(told[0], told[1])
        self.assertGreater(len(told[0]), 100)


class PubSub(E2eTest):

    threaded = True

    def setUp(self):
        self.kvd = self.started()

    def test_redis_py_gets_all_in_order(self):
        count = scaled(2000, 300)
        client = self.kvd.client()
        with client.pubsub(ignore_subscribe_messages=True) as pubsub:
            pubsub.subscribe("news")
            pubsub.psubscribe("ne?s")
            wait_until(lambda: client.pubsub_numpat() == 1, "subscribed")
            for number in range(count):
                self.assertEqual(client.publish("news", number), 2)
            got = {"message": [], "pmessage": []}
            while len(got["pmessage"]) < count:
                message = pubsub.get_message(timeout=SECONDS_MAX)
                if message is not None:
                    got[message["type"]].append(int(message["data"]))
        self.assertEqual(got["message"], list(range(count)))
        self.assertEqual(got["pmessage"], list(range(count)))

    def test_asyncio(self):
        async def talk():
            client = redis.asyncio.Redis(
                unix_socket_path=self.kvd.socket_path)
            pubsub = client.pubsub(ignore_subscribe_messages=True)
            await pubsub.subscribe("a")
            got = []

            async def listen():
                async for message in pubsub.listen():
                    got.append(message["data"])
                    if len(got) == 100:
                        return

            listening = asyncio.create_task(listen())
            while (await client.pubsub_numsub("a"))[0][1] == 0:
                await asyncio.sleep(0.005)
            for number in range(100):
                await client.publish("a", number)
            await asyncio.wait_for(listening, SECONDS_MAX)
            await pubsub.close()
            await client.close()
            return got

        self.assertEqual(asyncio.run(talk()),
                         [str(number).encode() for number in range(100)])

    def test_subscribers_come_back_after_a_restart(self):
        client = self.kvd.client()
        pubsub = client.pubsub(ignore_subscribe_messages=True)
        pubsub.subscribe("a")
        wait_until(lambda: client.publish("a", "1") == 1, "subscribed")
        wait_until(lambda: pubsub.get_message(timeout=0.05), "a message")
        self.kvd.restart()
        # redis-py subscribes again by itself, at its first error.
        publisher = self.kvd.client()

        def hears():
            try:
                publisher.publish("a", "2")
                message = pubsub.get_message(timeout=0.05)
            except redis.ConnectionError:
                return False
            return message is not None and message["data"] == b"2"

        wait_until(hears, "a message after the restart")
        pubsub.close()

    def test_what_was_heard_of_is_on_disk(self):
        """kill -9 behind a message: what it told is there."""
        for _ in range(scaled(5, 2)):
            listener = self.kvd.connect()
            listener.call("SUBSCRIBE", "changed")
            newest = []

            def write():
                try:
                    with Connection(self.kvd.socket_path) as writer:
                        for number in range(1_000_000):
                            writer.pipeline([("SET", "n", number),
                                             ("PUBLISH", "changed", number)])
                except (Closed, OSError):
                    pass

            writing = threading.Thread(target=write)
            writing.start()
            for _ in range(200):
                newest = listener.reply()
            self.kvd.kill()
            writing.join()
            self.kvd.start()
            found = int(self.kvd.connect().call_when_loaded("GET", "n"))
            self.assertGreaterEqual(found, int(newest[2]))

    def test_an_event_is_on_disk_when_it_is_heard(self):
        for _ in range(scaled(5, 2)):
            admin = self.kvd.connect()
            admin.call("CONFIG", "SET", "notify-keyspace-events", "E$")
            listener = self.kvd.connect()
            listener.call("SUBSCRIBE", "__keyevent@0__:append")
            admin.call("DEL", "log")

            def write():
                try:
                    with Connection(self.kvd.socket_path) as writer:
                        while True:
                            writer.call("APPEND", "log", "x")
                except (Closed, OSError):
                    pass

            writing = threading.Thread(target=write)
            writing.start()
            heard = 0
            while heard < 200:
                self.assertEqual(listener.reply()[2], b"log")
                heard += 1
            self.kvd.kill()
            writing.join()
            self.kvd.start()
            length = self.kvd.connect().call_when_loaded("STRLEN", "log")
            self.assertGreaterEqual(length, heard)

    def test_a_stopped_subscriber_goes_and_others_stay(self):
        self.kvd.call("CONFIG", "SET", "limits.subscriber_bytes", "1MiB")
        stopped, reader = self.kvd.connect(), self.kvd.connect()
        for side in stopped, reader:
            side.call("SUBSCRIBE", "a")
        sender = self.kvd.connect()
        payload = b"x" * 10_000
        sent = 0
        while self.kvd.info()["client_output_buffer_limit_disconnections"] == "0":
            sender.call("PUBLISH", "a", payload)
            sent += 1
            self.assertLess(sent, 10_000)
            self.assertEqual(reader.reply()[2], payload)
        self.assertEqual(sender.call("PUBLISH", "a", "end"), 1)
        self.assertEqual(reader.reply()[2], b"end")
        with self.assertRaises(Closed):
            while True:
                stopped.reply()
        self.assertEqual(self.kvd.info()["kvd_message_bytes"], "0")

    def test_a_megabyte_goes_to_many(self):
        payload = b"y" * (1 << 20)
        readers = [self.kvd.connect() for _ in range(50)]
        for reader in readers:
            reader.call("SUBSCRIBE", "a")
        self.assertEqual(self.kvd.call("PUBLISH", "a", payload), 50)
        for reader in readers:
            self.assertEqual(reader.reply(), [b"message", b"a", payload])
        wait_until(lambda: self.kvd.info()["kvd_message_bytes"] == "0",
                   "the message is gone")

    def test_many_patterns(self):
        """They are found, and go with their client."""
        count = scaled(100_000, 10_000)
        holder = self.kvd.connect()
        for first in range(0, count, 5000):
            names = [f"user:{number}:*" for number in
                     range(first, min(first + 5000, count))]
            holder.send(command("PSUBSCRIBE", *names))
            for _ in names:
                holder.reply()
        other = self.kvd.connect()
        self.assertEqual(other.call("PUBSUB", "NUMPAT"), count)
        self.assertEqual(other.call("PUBLISH", "user:77:seen", "x"), 1)
        self.assertEqual(holder.reply(), [b"pmessage", b"user:77:*",
                                          b"user:77:seen", b"x"])
        self.assertEqual(other.call("PUBLISH", "other", "x"), 0)
        holder.close()
        self.assertEqual(
            wait_until(lambda: other.call("PUBSUB", "NUMPAT") == 0, "gone"),
            True)

    def test_kvctl(self):
        """A line for each message."""
        got = {}

        def subscribe(name, *words):
            got[name] = self.kvd.kvctl("subscribe", "-n", "2", *words)

        threads = [threading.Thread(target=subscribe, args=words) for words in
                   (("plain", "a", "b"), ("json", "--json", "-p", "b*"))]
        for thread in threads:
            thread.start()
        admin = self.kvd.connect()
        wait_until(lambda: admin.call("PUBSUB", "NUMSUB", "b")[1] == 1 and
                   admin.call("PUBSUB", "NUMPAT") == 1, "both are subscribed")
        self.assertEqual(self.kvd.kvctl("publish", "a", "1 \n2").stdout,
                         b"1\n")
        self.assertEqual(json.loads(self.kvd.kvctl(
            "pub", "--json", "b", "2").stdout),
                         {"channel": "b", "subscribers": 2})
        self.kvd.kvctl("publish", "bc", b"\xff")
        for thread in threads:
            thread.join()
        self.assertEqual(got["plain"].stdout, b"a 1 \\n2\nb 2\n")
        self.assertEqual(
            [json.loads(line) for line in got["json"].stdout.splitlines()],
            [{"channel": "b", "message": "2", "pattern": "b*"},
             {"channel": "bc", "message_b64": "/w==", "pattern": "b*"}])

    @differs_on_etcd("events_of_others")
    def test_expired_keys_are_told(self):
        admin, listener = self.kvd.connect(), self.kvd.connect()
        admin.call("CONFIG", "SET", "notify-keyspace-events", "Ex")
        listener.call("SUBSCRIBE", "__keyevent@0__:expired")
        for number in range(20):
            admin.call("SET", f"k{number}", "x", "PX", 5)
        told = {bytes(listener.reply()[2]) for _ in range(20)}
        self.assertEqual(told, {b"k%d" % number for number in range(20)})


if __name__ == "__main__":
    unittest.main()
