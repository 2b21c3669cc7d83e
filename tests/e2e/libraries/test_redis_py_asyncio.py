# SPDX-License-Identifier: MIT
"""redis-py with asyncio, as Debian has it: what a web service on an event loop
does with kvd."""

import asyncio
import unittest

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import LockNotOwnedError, ResponseError, WatchError

from harness import E2eTest, SECONDS_MAX, scaled


class Asyncio(E2eTest):

    threaded = True

    def setUp(self):
        self.kvd = self.started()

    def run_with_client(self, work, **options):
        """Runs work(db) on a loop of its own."""

        async def run():
            db = redis.asyncio.Redis(unix_socket_path=self.kvd.socket_path,
                                     **options)
            try:
                await asyncio.wait_for(work(db), 2 * SECONDS_MAX)
            finally:
                await db.close()
                await db.connection_pool.disconnect()

        asyncio.run(run())

    def test_the_usual(self):
        async def work(db):
            value = bytes(range(256))
            self.assertTrue(await db.set("a", value, px=3_600_000))
            self.assertEqual(await db.get("a"), value)
            self.assertIn(await db.ttl("a"), range(1, 3601))
            self.assertEqual(await db.mget("a", "none"), [value, None])
            self.assertEqual(await db.incr("n"), 1)
            self.assertEqual(await db.delete("a", "n"), 2)
            with self.assertRaises(ResponseError):
                await db.lpush("list", "x")

        self.run_with_client(work)

    def test_many_at_once(self):
        count = scaled(500, 100)

        async def work(db):
            await asyncio.gather(*(db.incr("n") for _ in range(count)))
            self.assertEqual(int(await db.get("n")), count)

        self.run_with_client(work)

    def test_a_pool_that_waits(self):
        async def work(_):
            pool = redis.asyncio.BlockingConnectionPool(
                max_connections=3, timeout=SECONDS_MAX,
                path=self.kvd.socket_path,
                connection_class=redis.asyncio.UnixDomainSocketConnection)
            db = redis.asyncio.Redis(connection_pool=pool)
            await asyncio.gather(*(db.incr("n") for _ in range(50)))
            self.assertEqual(await db.get("n"), b"50")
            clients = await db.info("clients")
            self.assertLessEqual(clients["connected_clients"], 4)
            await pool.disconnect()

        self.run_with_client(work)

    def test_pipelines(self):
        async def work(db):
            async with db.pipeline(transaction=True) as pipe:
                self.assertEqual(
                    await pipe.set("a", 1).incr("a").get("a").execute(),
                    [True, 2, b"2"])
            async with db.pipeline(transaction=False) as pipe:
                for i in range(1000):
                    pipe.set(f"key:{i}", i)
                self.assertEqual(await pipe.execute(), [True] * 1000)
            found = [key async for key in db.scan_iter("key:*", count=100)]
            self.assertEqual(len(set(found)), 1000)

        self.run_with_client(work)

    def test_counting_with_watch(self):
        rounds = scaled(20, 8)

        async def count(db):
            for _ in range(rounds):
                while True:
                    async with db.pipeline() as pipe:
                        try:
                            await pipe.watch("n")
                            value = int(await pipe.get("n") or 0)
                            pipe.multi()
                            pipe.set("n", value + 1)
                            await pipe.execute()
                            break
                        except WatchError:
                            pass

        async def work(db):
            await asyncio.gather(*(count(db) for _ in range(4)))
            self.assertEqual(int(await db.get("n")), 4 * rounds)

        self.run_with_client(work)

    def test_a_lock(self):
        async def add_one(db):
            async with db.lock("lock", timeout=100, sleep=0.001):
                value = int(await db.get("n") or 0)
                await asyncio.sleep(0)
                await db.set("n", value + 1)

        async def work(db):
            await asyncio.gather(*(add_one(db) for _ in range(20)))
            self.assertEqual(await db.get("n"), b"20")
            lock = db.lock("lock", timeout=100)
            self.assertTrue(await lock.acquire(blocking=False))
            self.assertFalse(await db.lock("lock").acquire(blocking=False))
            await db.set("lock", "another's")
            with self.assertRaises(LockNotOwnedError):
                await lock.release()

        self.run_with_client(work)

    def test_a_timeout(self):
        async def work(db):
            await db.set("a", "1")
            await db.client_pause(1000 * SECONDS_MAX)
            hasty = redis.asyncio.Redis(
                unix_socket_path=self.kvd.socket_path, socket_timeout=0.05)
            with self.assertRaises(redis.asyncio.TimeoutError):
                await hasty.get("a")
            await db.client_unpause()
            await hasty.connection_pool.disconnect()
            self.assertEqual(await db.get("a"), b"1")

        self.run_with_client(work)

    def test_counting_through_crashes(self):
        answered = []

        async def count(db, stop):
            while not stop.is_set():
                try:
                    answered.append(await db.incr("n"))
                except AttributeError as error:
                    # redis-py 4.3 looks for the host of a Unix socket when it
                    # tells that the connection was reset.
                    self.assertIn("'host'", str(error))

        async def work(db):
            stop = asyncio.Event()
            counting = asyncio.create_task(count(db, stop))
            for _ in range(2):
                before = len(answered)
                while len(answered) < before + 10 and not counting.done():
                    await asyncio.sleep(0.001)
                self.kvd.kill()
                self.kvd.start()
            stop.set()
            await counting
            # Each crash may take one answer with it.
            self.assertEqual(answered, sorted(set(answered)))
            self.assertLessEqual(answered[-1] - len(answered), 2)
            self.assertEqual(int(await db.get("n")), answered[-1])

        self.run_with_client(
            work, retry=Retry(ConstantBackoff(0.01), 100 * SECONDS_MAX),
            retry_on_error=[redis.ConnectionError, FileNotFoundError])


if __name__ == "__main__":
    unittest.main()
