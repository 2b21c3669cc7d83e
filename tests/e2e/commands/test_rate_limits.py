# SPDX-License-Identifier: MIT
"""Debian's python3-limits, as a web service uses it. Its fixed windows are
numbers that scripts count up; its moving window is a list, which kvd lacks."""

import threading
import unittest

from limits import parse
from limits.storage import storage_from_string
from limits.strategies import (FixedWindowElasticExpiryRateLimiter,
                               FixedWindowRateLimiter,
                               MovingWindowRateLimiter)
import redis

from harness import E2eTest, scaled, unless_it_differs

LOGINS = parse("3/hour")


class RateLimits(E2eTest):
    threaded = True

    def setUp(self):
        self.kvd = self.started()
        self.storage = self.connected()
        self.limiter = FixedWindowRateLimiter(self.storage)

    def connected(self):
        storage = storage_from_string(f"redis+unix://{self.kvd.socket_path}")
        self.addCleanup(storage.storage.close)
        self.assertTrue(storage.check())
        return storage

    def test_each_user_has_a_window(self):
        self.assertEqual([self.limiter.hit(LOGINS, "login", "ann")
                          for _ in range(4)], [True, True, True, False])
        self.assertFalse(self.limiter.test(LOGINS, "login", "ann"))
        self.assertTrue(self.limiter.hit(LOGINS, "login", "bob"))
        _, left = self.limiter.get_window_stats(LOGINS, "login", "bob")
        self.assertEqual(left, 2)

        client = self.kvd.client()
        keys = client.keys("LIMITER*")
        self.assertEqual(len(keys), 2)
        for key in keys:
            self.assertIn(client.ttl(key), range(1, 3601))

    def test_a_hit_may_cost_more(self):
        self.assertTrue(self.limiter.hit(LOGINS, "ann", cost=2))
        self.assertFalse(self.limiter.hit(LOGINS, "ann", cost=2))

    def test_a_window_ends_or_is_forgotten(self):
        # A script looks for all keys and deletes them.
        reset = unless_it_differs("aggregates_beside_changes",
                                  self.storage.reset)
        for end in (lambda: self.limiter.clear(LOGINS, "ann"),
                    *reset, self.end_windows):
            while self.limiter.hit(LOGINS, "ann"):
                pass
            end()
            self.assertTrue(self.limiter.hit(LOGINS, "ann"))

    def end_windows(self):
        client = self.kvd.client()
        for key in client.keys("LIMITER*"):
            client.pexpireat(key, 1)

    def test_a_window_that_hits_extend(self):
        limiter = FixedWindowElasticExpiryRateLimiter(self.storage)
        self.assertEqual([limiter.hit(LOGINS, "ann") for _ in range(4)],
                         [True, True, True, False])

    def test_many_at_once_get_no_more_than_the_limit(self):
        limit = scaled(100, 20)
        item = parse(f"{limit}/hour")
        admitted = []

        def work():
            storage = self.connected()  # A limiter does not keep it.
            limiter = FixedWindowRateLimiter(storage)
            for _ in range(limit):
                if limiter.hit(item, "all"):
                    admitted.append(1)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(admitted), limit)

    def test_hits_count_after_a_crash(self):
        while self.limiter.hit(LOGINS, "ann"):
            pass
        self.kvd.kill()
        self.kvd.start()
        storage = self.connected()
        limiter = FixedWindowRateLimiter(storage)
        self.assertFalse(limiter.hit(LOGINS, "ann"))
        self.assertTrue(limiter.hit(LOGINS, "bob"))

    def test_a_moving_window_needs_lists(self):
        with self.assertRaisesRegex(redis.ResponseError,
                                    "Unknown Redis command called from script"):
            MovingWindowRateLimiter(self.storage).hit(LOGINS, "ann")


if __name__ == "__main__":
    unittest.main()
