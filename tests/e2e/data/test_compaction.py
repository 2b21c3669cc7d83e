# SPDX-License-Identifier: MIT
"""Compaction of the real daemon, as its users meet it."""

import json
import os
import threading
import unittest

from harness import E2eTest, ReplyError, scaled, wait_until
from small_disk import SmallDisk


class Compaction(E2eTest):
    threaded = True

    def small(self, **settings):
        """A daemon with small segments that compacts only when asked."""
        return self.started(settings={
            "log.segment_size": "256KiB", "compaction.interval": "0s",
            "compaction.rate": "0B", **settings})

    def overwrite(self, client, rounds, keys=500, size=200):
        """Leaves values of the last round and all but one in `rounds` dead."""
        for i in range(rounds):
            client.pipeline([("SET", f"key{k}", f"{i} " + "x" * size)
                             for k in range(keys)])
        return rounds - 1

    def check(self, client, last, keys=500, size=200):
        replies = client.pipeline([("GET", f"key{k}") for k in range(keys)])
        self.assertEqual(set(replies), {f"{last} ".encode() + b"x" * size})

    def segment_bytes(self, daemon):
        return sum(os.path.getsize(path) for path in daemon.files(".seg"))

    def test_kvctl_compact_gets_the_space_back(self):
        daemon = self.small()
        client = daemon.connect()
        last = self.overwrite(client, rounds=20)
        before = self.segment_bytes(daemon)
        result = daemon.kvctl("compact")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout.decode(),
                         r"^reclaimed [0-9.]+ MiB in [0-9.]+m?s\n$")
        self.assertEqual(result.stderr, b"")  # No bar: not a terminal.
        self.assertLess(self.segment_bytes(daemon), before / 2)
        self.check(client, last)
        status = daemon.status()
        self.assertEqual(status["compaction"], b"idle")
        self.assertEqual(status["reclaimable_bytes"], 0)
        self.assertLessEqual(
            status["sealed_bytes"], 1.1 * status["live_bytes"])
        self.assertRegex(daemon.kvctl("status").stdout.decode(),
                         r"compaction idle, last 1?\d?s ago \(reclaimed ")
        again = json.loads(daemon.kvctl("compact", "--json").stdout)
        self.assertEqual(again["reclaimed_bytes"], 0)
        for restart in (daemon.restart, lambda: (daemon.kill(),
                                                 daemon.start())):
            restart()
            self.check(daemon.connect(), last)

    def test_who_waits_for_it_waits_alone(self):
        daemon = self.small(**{"compaction.rate": "512KiB"})
        client = daemon.connect()
        self.overwrite(client, rounds=20)
        # The other one's wait is not over when a third client's write is.
        waiting = daemon.connect()
        waiting.send(b"KV.COMPACT WAIT\r\nPING\r\n")
        wait_until(lambda: daemon.status()["compaction"] == b"running", "a run")
        for i in range(50):
            self.assertEqual(client.call("SET", "other", i), "OK")
        self.assertEqual(daemon.status()["compaction"], b"running")
        self.assertEqual(daemon.info()["aof_rewrite_in_progress"],
                         "1")
        self.assertEqual(client.call("BGREWRITEAOF"),
                         "Background append only file rewriting scheduled")
        self.assertGreater(waiting.reply(), 500_000)
        self.assertEqual(waiting.reply(), "PONG")

    def test_sigterm_does_not_wait_for_it(self):
        daemon = self.small(**{"compaction.rate": "64KiB"})
        client = daemon.connect()
        last = self.overwrite(client, rounds=20)
        waiting = daemon.connect()
        waiting.send(b"KV.COMPACT WAIT\r\n")
        wait_until(lambda: daemon.status()["compaction"] == b"running", "a run")
        daemon.stop()
        self.assertIsInstance(waiting.reply(), ReplyError)
        daemon.start()
        self.check(daemon.connect(), last)
        self.assertLessEqual(len(daemon.files(".seg")),
                             daemon.status()["segments"] + 2)

    def test_it_runs_by_itself(self):
        daemon = self.small(**{"compaction.interval": "100ms"})
        client = daemon.connect()
        last = self.overwrite(client, rounds=20)
        wait_until(lambda: daemon.status()["compaction_runs"] > 0 and
                   daemon.status()["dead_bytes"] < 1_000_000, "a run")
        self.check(client, last)

    def test_every_sealed_segment_gets_a_hint_also_in_idle_time(self):
        daemon = self.small(**{"log.segment_size": "4MiB",
                               "compaction.rate": "64MiB"})
        client = daemon.connect()
        self.overwrite(client, rounds=40, keys=1000)
        daemon.stop()
        # All are sealed now, and nobody says a word to it from here on.
        wanted = {path.replace(".seg", ".hint")
                  for path in daemon.files(".seg")}
        daemon.start()
        wait_until(lambda: set(daemon.files(".hint")) == wanted, "hints")

    def test_under_writers(self):
        daemon = self.small(**{"compaction.interval": "20ms",
                               "compaction.min_dead_ratio": "0.05"})
        rounds = scaled(60, 15)

        def write(writer):
            with daemon.connect() as client:
                for i in range(rounds):
                    client.pipeline(
                        [("SET", f"{writer}:{k}", f"{i} " + "y" * 100)
                         for k in range(100)] +
                        [("SET", f"{writer}:gone{i}", "z")] +
                        [("DEL", f"{writer}:gone{i}")])

        threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_until(lambda: daemon.status()["compaction_runs"] > 0, "a run")

        def check():
            with daemon.connect() as client:
                self.assertEqual(client.call("DBSIZE"), 800)
                for writer in range(8):
                    replies = client.pipeline([("GET", f"{writer}:{k}")
                                               for k in range(100)])
                    self.assertEqual(set(replies),
                                     {f"{rounds - 1} ".encode() + b"y" * 100})

        check()
        daemon.kill()
        daemon.start()
        check()

    def test_a_full_disk_is_helped(self):
        disk = SmallDisk(self, "size=12m")
        daemon = self.daemon(data_dir=os.path.join(disk.path, "data"))
        daemon.settings["log.segment_size"] = "1MiB"
        daemon.start()
        client = daemon.connect()
        # Ten times what the disk holds, always the same keys: it never fills,
        # or no longer than until compaction has looked.
        value = "v" * 50_000
        for i in range(2400):
            def written():
                reply = client.call("SET", f"key{i % 40}", value + str(i))
                if reply != "OK":
                    self.assertTrue(reply.startswith("DISKFULL "), reply)
                return reply == "OK"
            wait_until(written, "room")
        self.assertEqual(client.call("DBSIZE"), 40)
        daemon.kill()
        daemon.start()
        client = daemon.connect()
        for k in range(40):
            self.assertEqual(client.call("GET", f"key{k}"),
                             f"{value}{2360 + k}".encode())


class Scrub(E2eTest):
    def test_it_shows_damage_before_anyone_needs_the_bytes(self):
        daemon = self.started(settings={
            "log.segment_size": "256KiB", "compaction.interval": "0s",
            "scrub.interval": "100ms", "scrub.rate": "0B"})
        client = daemon.connect()
        for i in range(20):
            client.pipeline([("SET", f"key{k}", f"{i} " + "x" * 200)
                             for k in range(500)])
        wait_until(lambda: daemon.status()["scrub_rounds"] > 1, "two rounds")
        self.assertEqual(daemon.status()["state"], b"ok")
        path = sorted(daemon.files(".seg"))[1]
        with open(path, "r+b") as file:
            file.seek(5000)
            file.write(b"rotten")
        wait_until(lambda: daemon.status()["damaged_segments"] == 1, "a round")
        self.assertEqual(daemon.status()["state"], b"damaged")
        self.assertIn("damaged segments: 1",
                      daemon.kvctl("status").stdout.decode())
        self.assertIn(os.path.basename(path), daemon.log())
        self.assertEqual(daemon.info()["kvd_scrub_errors"], "1")
        # Nobody takes away what may still be saved.
        self.assertEqual(daemon.kvctl("compact").returncode, 0)
        self.assertIn(path, daemon.files(".seg"))
        self.assertEqual(client.call("GET", "key7"), b"19 " + b"x" * 200)


if __name__ == "__main__":
    unittest.main()
