# SPDX-License-Identifier: MIT
"""Debian's python3-dogpile.cache: a cache that computes a value once, however
many ask for it."""

import threading
import unittest

from dogpile.cache import make_region
from dogpile.cache.api import NO_VALUE

from harness import E2eTest, wait_until


class Dogpile(E2eTest):

    threaded = True

    def setUp(self):
        self.kvd = self.started()
        self.db = self.kvd.client()

    def region(self, **arguments):
        return make_region(key_mangler=lambda key: f"cache:{key}").configure(
            "dogpile.cache.redis", expiration_time=3600, arguments={
                "url": f"unix://{self.kvd.socket_path}",
                "redis_expiration_time": 7200, **arguments})

    def test_values(self):
        region = self.region()
        self.assertIs(region.get("a"), NO_VALUE)
        region.set("a", {"x": ["ü"]})
        self.assertEqual(region.get("a"), {"x": ["ü"]})
        self.assertIn(self.db.ttl("cache:a"), range(7100, 7201))
        region.set_multi({"b": 2, "c": 3})
        self.assertEqual(region.get_multi(["b", "c", "none"]),
                         [2, 3, NO_VALUE])
        region.delete_multi(["b", "c"])
        region.delete("a")
        self.assertEqual(self.db.dbsize(), 0)

    def test_a_function_until_it_is_invalidated(self):
        region, calls = self.region(), []

        @region.cache_on_arguments()
        def square(number):
            calls.append(number)
            return number * number

        self.assertEqual([square(n) for n in (2, 3, 2, 3)], [4, 9, 4, 9])
        self.assertEqual(calls, [2, 3])
        square.invalidate(2)
        square.set(10, 3)
        self.assertEqual((square(2), square(3)), (4, 10))
        self.assertEqual(calls, [2, 3, 2])

    def test_one_computes_while_others_wait(self):
        """With locks in kvd: the regions stand for processes of their own."""
        calls = []
        begun, goes_on = threading.Event(), threading.Event()

        def slow():
            calls.append(1)
            begun.set()
            self.assertTrue(goes_on.wait(60))
            return "computed"

        results = []

        def ask():
            region = self.region(distributed_lock=True, lock_timeout=100,
                                 lock_sleep=0.001, thread_local_lock=False)
            results.append(region.get_or_create("a", slow))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        begun.wait(60)
        before = int(self.kvd.info()["total_commands_processed"])
        # The others try for the lock.
        wait_until(lambda: int(self.kvd.info()["total_commands_processed"]) >
                   before + 20, "others wait")
        goes_on.set()
        for thread in threads:
            thread.join()
        self.assertEqual((calls, results), ([1], ["computed"] * 4))
        self.assertEqual(self.db.keys(), [b"cache:a"])

    def test_it_is_there_after_a_crash(self):
        region = self.region()
        region.set("a", 1)
        self.kvd.kill()
        self.kvd.start()
        self.assertEqual(region.get("a"), 1)


if __name__ == "__main__":
    unittest.main()
