# SPDX-License-Identifier: MIT
"""Messages between the parts of an application, with redis-py: subscriptions
that last through a crash, and what a message tells about the data."""

import asyncio
import contextlib
import queue
import unittest

import redis.asyncio

from harness import E2eTest, SECONDS_MAX, scaled, wait_until


class PubSub(E2eTest):

    threaded = True

    def setUp(self):
        self.kvd = self.started()
        self.db = self.kvd.client()

    def subscriber(self, *channels, patterns=()):
        """A subscriber whose subscriptions have arrived."""
        subscriber = self.kvd.client().pubsub(ignore_subscribe_messages=True)
        self.addCleanup(subscriber.close)
        if channels:
            subscriber.subscribe(*channels)
        if patterns:
            subscriber.psubscribe(*patterns)
        for _ in (*channels, *patterns):
            self.assertIsNone(subscriber.get_message(timeout=SECONDS_MAX))
        return subscriber

    def next_message(self, subscriber):
        """Of the channel and the data; comes back after a lost connection."""

        def received():
            with contextlib.suppress(redis.ConnectionError):
                return subscriber.get_message(timeout=1)
            return None

        message = wait_until(received, "a message comes")
        return message["channel"].decode(), message["data"]

    def test_channels_and_patterns(self):
        subscriber = self.subscriber("news", "sport", patterns=["user.*"])
        everything = bytes(range(256))
        self.assertEqual(self.db.publish("news", everything), 1)
        self.assertEqual(self.db.publish("user.ann", "in"), 1)
        self.assertEqual(self.db.publish("weather", "rain"), 0)
        self.assertEqual(self.db.publish("sport", "3:2"), 1)
        self.assertEqual([self.next_message(subscriber) for _ in range(3)],
                         [("news", everything), ("user.ann", b"in"),
                          ("sport", b"3:2")])
        subscriber.unsubscribe("news")
        self.assertIsNone(subscriber.get_message(timeout=SECONDS_MAX))
        self.assertEqual(self.db.publish("news", "more"), 0)

    def test_who_listens(self):
        self.subscriber("news", "sport", patterns=["user.*"])
        self.subscriber("news")
        self.assertEqual(sorted(self.db.pubsub_channels()),
                         [b"news", b"sport"])
        self.assertEqual(self.db.pubsub_channels("n*"), [b"news"])
        self.assertEqual(self.db.pubsub_numsub("news", "none"),
                         [(b"news", 2), (b"none", 0)])
        self.assertEqual(self.db.pubsub_numpat(), 1)

    def test_a_thread_that_handles_messages(self):
        received = queue.Queue()
        subscriber = self.kvd.client().pubsub()
        subscriber.subscribe(jobs=received.put)
        thread = subscriber.run_in_thread(sleep_time=0.01)
        try:
            wait_until(lambda: self.db.publish("jobs", "1"), "it listens")
            self.assertEqual(received.get(timeout=SECONDS_MAX)["data"], b"1")
        finally:
            thread.stop()
            thread.join()

    def test_a_message_comes_after_the_change_it_tells_of(self):
        subscriber = self.subscriber("changed")
        for number in range(scaled(100, 30)):
            with self.db.pipeline() as pipe:
                pipe.set("n", number).publish("changed", number)
                self.assertEqual(pipe.execute(), [True, 1])
            _, data = self.next_message(subscriber)
            self.assertEqual(self.db.get("n"), data)

    def test_many_messages_in_their_order(self):
        subscriber, count = self.subscriber("log"), scaled(5000, 1000)
        with self.db.pipeline(transaction=False) as pipe:
            for number in range(count):
                pipe.publish("log", number)
            self.assertEqual(pipe.execute(), [1] * count)
        self.assertEqual(
            [int(self.next_message(subscriber)[1]) for _ in range(count)],
            list(range(count)))

    def test_subscriptions_come_back_after_a_crash(self):
        subscriber = self.subscriber("news", patterns=["user.*"])
        self.kvd.kill()
        with self.assertRaises(redis.ConnectionError):
            subscriber.get_message(timeout=SECONDS_MAX)
        self.kvd.start()
        with contextlib.suppress(redis.ConnectionError):
            subscriber.get_message(timeout=0.1)
        wait_until(lambda: subscriber.get_message(timeout=0.1) is None and
                   self.db.pubsub_numpat() == 1 and
                   self.db.pubsub_channels() == [b"news"], "it is back")
        self.db.publish("user.ann", "in")
        self.db.publish("news", "again")
        self.assertEqual([self.next_message(subscriber) for _ in range(2)],
                         [("user.ann", b"in"), ("news", b"again")])

    def test_with_asyncio(self):
        async def work():
            db = redis.asyncio.Redis(unix_socket_path=self.kvd.socket_path)
            subscriber = db.pubsub(ignore_subscribe_messages=True)
            await subscriber.psubscribe("room:*")
            while await db.pubsub_numpat() == 0:
                await asyncio.sleep(0)
            for number in range(10):
                await db.publish(f"room:{number}", "hello")
            rooms = []
            async for message in subscriber.listen():
                rooms.append(message["channel"])
                if len(rooms) == 10:
                    break
            self.assertEqual(rooms, [b"room:%d" % n for n in range(10)])
            await subscriber.close()
            await db.close()

        asyncio.run(asyncio.wait_for(work(), SECONDS_MAX))

    def test_redis_cli_shows_messages(self):
        for options in ((), ("-3",)):
            process = self.background(
                ["redis-cli", "-s", self.kvd.socket_path, *options,
                 "PSUBSCRIBE", "n*"])
            wait_until(lambda: self.db.publish("news", "hello"), "it listens")
            wait_until(lambda: "pmessage\nn*\nnews\nhello\n" in process.log(),
                       "it shows the message")
            process.kill()
            wait_until(lambda: self.db.pubsub_numpat() == 0, "it is gone")


if __name__ == "__main__":
    unittest.main()
