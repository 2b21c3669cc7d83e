# SPDX-License-Identifier: MIT
"""What clients were told holds over lives of a kvd that is killed; and what must
not be is noticed."""

import unittest

from harness import E2eTest, scaled, wait_until
from workload import Append, Client, Counter, Numbers, Register, Transfer
from workload import Workload


class KilledKvd(E2eTest):

    def test_what_clients_were_told_holds(self):
        kvd = self.started()
        load = Workload([kvd.socket_path], clients=6, seed=1)
        load.start()
        for _ in range(3):
            enough = load.done + scaled(1000, 200)
            wait_until(lambda: load.failed() or load.done > enough, "progress")
            kvd.kill()
            kvd.start()
        load.stop()
        load.check(kvd.socket_path)
        self.assertGreater(load.unknown, 0)


class WhatMustNotBe(E2eTest):
    """Another writer stands in for a kvd that does wrong."""

    def setUp(self):
        self.kvd = self.started()
        self.client = Client(self.kvd.socket_path, 0, seed=1)
        self.addCleanup(self.client.close)

    def stepped(self, part, steps=50):
        for _ in range(steps):
            part.step(self.client)
        part.check(self.client)
        return part

    def assert_noticed(self, part, words):
        with self.assertRaisesRegex(AssertionError, words):
            part.check(self.client)

    def test_a_lost_or_stale_value(self):
        part = self.stepped(Register())
        self.kvd.call("SET", "register:0", part.acked[0] - 1)
        self.assert_noticed(part, "when at least")

    def test_a_value_that_nobody_has_written(self):
        part = self.stepped(Register())
        self.kvd.call("SET", "register:0", part.sent[0] + 1)
        self.assert_noticed(part, "was the newest")

    def test_a_lost_count(self):
        part = self.stepped(Counter())
        self.kvd.call("DECR", "counter:0")
        self.assert_noticed(part, "that were told")

    def test_a_count_that_was_done_twice(self):
        part = self.stepped(Counter())
        self.kvd.call("INCR", "counter:0")
        self.assert_noticed(part, "that were told")

    def test_a_number_that_was_told_twice_or_too_late(self):
        numbers = Numbers()
        numbers.add(0, 1)
        numbers.add(0, 1)
        with self.assertRaisesRegex(AssertionError, "twice"):
            numbers.check(2)
        numbers = Numbers()
        numbers.add(0, 2)
        numbers.add(float("inf"), 1)
        with self.assertRaisesRegex(AssertionError, "who asked after"):
            numbers.check(2)

    def test_a_lost_or_doubled_token(self):
        part = self.stepped(Append())
        self.kvd.call("APPEND", "append:0", "0.0 ")
        self.assert_noticed(part, "twice")
        self.kvd.call("SET", "append:0", "0.0 ")
        self.assert_noticed(part, "lost")

    def test_a_token_that_was_refused_or_out_of_order(self):
        part = self.stepped(Append())
        self.kvd.call("APPEND", "append:0", "0.99 ")
        self.assert_noticed(part, "refused")
        part = Append()
        part.acked = {(0, 0), (0, 1)}
        part.sent[0] = 2
        self.kvd.call("SET", "append:0", "0.1 0.0 ")
        self.assert_noticed(part, "out of order")

    def test_half_a_transfer(self):
        part = Transfer()
        part.prepare(self.client)
        self.stepped(part)
        self.kvd.call("INCRBY", "account:0", 1)
        self.assert_noticed(part, "accounts")


if __name__ == "__main__":
    unittest.main()
