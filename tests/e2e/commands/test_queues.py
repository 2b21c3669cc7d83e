# SPDX-License-Identifier: MIT
"""What clients leave to be worked off later does not pile up, however fast they
are, and nobody waits for ever behind it."""

import threading
import unittest

from harness import Connection, E2eTest, ReplyError, command
from harness import differs_on_etcd, scaled, unless_it_differs

LIMIT_KIB = 64 << 10


class Queues(E2eTest):
    """One client as fast as it can; another one that only wants an answer."""

    def limited(self):
        return self.started(settings={"memory.limit": "64MiB",
                                      "compaction.interval": "0s"})

    def assert_modest(self, daemon, before_kib):
        # With a sanitizer what was freed stays for a while.
        grown = daemon.resident_kib() - before_kib
        self.assertLess(grown, scaled(2, 8) * LIMIT_KIB)

    def assert_answered(self, daemon):
        client = daemon.connect()
        self.assertEqual(client.call("SET", "other", "v" * 1000), "OK")
        for words in unless_it_differs("no_log", ("KV.COMPACT", "WAIT")):
            self.assertNotIsInstance(client.call(*words), ReplyError)

    def pipelined(self, daemon, commands, rounds):
        """Sends the same commands again and again; fails on an error."""
        data = b"".join(command(*words) for words in commands)
        with Connection(daemon.socket_path) as client:
            for _ in range(rounds):
                client.send(data)
                for _ in commands:
                    self.assertNotIsInstance(client.reply(), ReplyError)

    def test_flushes_of_nothing(self):
        daemon = self.limited()
        before = daemon.resident_kib()
        self.pipelined(daemon, [("FLUSHALL",)] * 500, scaled(40, 8))
        self.assert_answered(daemon)
        self.assert_modest(daemon, before)
        self.assertEqual(daemon.info()["kvd_queued_bytes"], "0")

    def test_flushes_of_something(self):
        daemon = self.limited()
        before = daemon.resident_kib()
        commands = [("SET", "key", "value"), ("SELECT", "3"),
                    ("MSET", *[f"key{i // 2}" for i in range(40)]),
                    ("FLUSHALL",), ("SELECT", "0")]
        self.pipelined(daemon, commands * 100, scaled(40, 8))
        self.assert_answered(daemon)
        self.assert_modest(daemon, before)

    @differs_on_etcd("no_log")
    def test_a_compaction_ends_while_databases_are_flushed(self):
        daemon = self.limited()
        stop = threading.Event()

        def flush():
            with Connection(daemon.socket_path) as client:
                words = [("MSET", *[f"key{i // 2}" for i in range(2000)]),
                         ("FLUSHALL",)]
                while not stop.is_set():
                    client.pipeline(words * 5)

        threads = [threading.Thread(target=flush) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(3):
                self.assert_answered(daemon)
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    @differs_on_etcd("many_keys")
    def test_the_same_keys_set_and_deleted(self):
        daemon = self.limited()
        before = daemon.resident_kib()
        keys = [f"key{i}:" + "k" * 100 for i in range(1000)]
        words = [word for key in keys for word in (key, "")]
        self.pipelined(daemon, [("MSET", *words), ("DEL", *keys)] * 4,
                       scaled(60, 12))
        self.assert_answered(daemon)
        self.assert_modest(daemon, before)
        self.assertLess(int(daemon.info()["kvd_queued_bytes"]),
                        LIMIT_KIB << 10)


if __name__ == "__main__":
    unittest.main()
