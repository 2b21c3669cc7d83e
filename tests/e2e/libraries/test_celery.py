# SPDX-License-Identifier: MIT
"""Celery with its results in kvd (Debian's python3-celery). Its broker needs
lists and its chords sorted sets: here the broker is the process's memory."""

import gc
import logging
import threading
import unittest

from celery import Celery, group
from celery.contrib.testing.worker import start_worker

from harness import E2eTest, SECONDS_MAX, wait_until

logging.disable(logging.ERROR)  # Tasks fail here, and connections get lost.


class Results(E2eTest):

    threaded = True

    def setUp(self):
        self.kvd = self.started()
        # A result that is forgotten after kvd's end would wait for it.
        self.addCleanup(gc.collect)
        self.app = Celery("shop", broker="memory://",
                          backend=f"redis+socket://{self.kvd.socket_path}")
        self.app.conf.update(
            result_expires=3600, worker_hijack_root_logger=False,
            worker_prefetch_multiplier=0,
            broker_transport_options={"polling_interval": 0.01},
            result_backend_transport_options={"retry_policy": {
                "max_retries": 1000, "interval_start": 0,
                "interval_step": 0.01, "interval_max": 0.1}})
        self.goes_on = threading.Event()

        @self.app.task(shared=False)
        def add(left, right):
            return left + right

        @self.app.task(shared=False)
        def divide(left, right):
            return left / right

        @self.app.task(shared=False)
        def wait_and_say(word):
            self.goes_on.wait(SECONDS_MAX)
            return word

        self.add, self.divide, self.wait_and_say = add, divide, wait_and_say
        worker = start_worker(self.app, pool="threads", concurrency=2,
                              perform_ping_check=False,
                              shutdown_timeout=SECONDS_MAX)
        worker.__enter__()
        self.addCleanup(worker.__exit__, None, None, None)

    def test_results(self):
        result = self.add.delay(2, 3)
        self.assertEqual(result.get(timeout=SECONDS_MAX), 5)
        self.assertTrue(result.successful())
        db = self.kvd.client()
        self.assertIn(db.ttl(f"celery-task-meta-{result.id}"),
                      range(1, 3601))
        result.forget()
        self.assertEqual(db.dbsize(), 0)

    def test_failures(self):
        result = self.divide.delay(1, 0)
        with self.assertRaises(ZeroDivisionError):
            result.get(timeout=SECONDS_MAX)
        self.assertTrue(result.failed())

    def test_a_group(self):
        results = group(self.add.s(i, i) for i in range(20))()
        self.assertEqual(results.get(timeout=SECONDS_MAX),
                         [2 * i for i in range(20)])

    def reads(self):
        """How many GETs there were."""
        line = self.kvd.info().get("cmdstat_get", "calls=0,")
        return int(line.split("calls=")[1].split(",")[0])

    def test_waiting_through_a_crash(self):
        """A program that waits has subscribed to the result; after a crash Celery does so
        again and looks what it missed."""
        result = self.wait_and_say.delay("hello")
        answers = []
        waiter = threading.Thread(
            target=lambda: answers.append(result.get(timeout=SECONDS_MAX)))
        reads = self.reads()
        waiter.start()
        wait_until(lambda: self.reads() > reads, "it has looked once")
        self.kvd.kill()
        self.kvd.start()
        self.goes_on.set()
        waiter.join()
        self.assertEqual(answers, ["hello"])


if __name__ == "__main__":
    unittest.main()
