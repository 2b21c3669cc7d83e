# SPDX-License-Identifier: MIT
"""The data directory, or a file of it, goes away beneath a running daemon."""

import os
import shutil
import signal
import threading
import unittest

from harness import Closed, Connection, E2eTest, Manager, ReplyError, run
from harness import scaled, wait_until

# Files that come and go all the time: every edge is met soon.
BUSY = {
    "log.segment_size": "64KiB",
    "durability.look_interval": "10ms",
    "compaction.interval": "1s",
    "compaction.min_dead_ratio": 0.05,
    "compaction.rate": "0B",
}
VALUE = b"v" * 2000


class Writers:
    """Clients that set, until they get something else than an OK."""

    def __init__(self, test, daemon, clients=4):
        self.ends = []
        self.done = 0
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(daemon.socket_path, i))
            for i in range(clients)]
        test.addCleanup(self.stop)
        for thread in self._threads:
            thread.start()

    def _write(self, path, number):
        with Connection(path) as client:
            while not self._stop.is_set():
                try:
                    reply = client.call("SET", f"{number}:{self.done % 50}",
                                        VALUE)
                except Closed:
                    reply = "closed"
                if reply != "OK":
                    self.ends.append(reply)
                    return
                self.done += 1

    def all_ended(self):
        return len(self.ends) == len(self._threads)

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def live_segment(daemon, which):
    """The path of a segment that the MANIFEST names as `which`."""
    with open(os.path.join(daemon.data_dir, "MANIFEST"),
              encoding="utf-8") as stream:
        for line in stream:
            words = line.split()
            if words and words[0] == which:
                return os.path.join(daemon.data_dir, f"{int(words[1]):010}.seg")
    raise AssertionError(f"no {which} segment")


def remove_all(daemon):
    # New files come while it is emptied.
    def gone():
        shutil.rmtree(daemon.data_dir, ignore_errors=True)
        return not os.path.exists(daemon.data_dir)

    wait_until(gone, "the directory is removed")


def rename_directory(daemon):
    os.rename(daemon.data_dir, daemon.data_dir + ".moved")


def replace_directory(daemon):
    rename_directory(daemon)
    shutil.copytree(daemon.data_dir + ".moved", daemon.data_dir)


def remove_manifest(daemon):
    os.unlink(os.path.join(daemon.data_dir, "MANIFEST"))


def replace_manifest(daemon):
    path = os.path.join(daemon.data_dir, "MANIFEST")
    shutil.copy(path, path + ".copy")
    os.rename(path + ".copy", path)


def remove_active(daemon):
    os.unlink(live_segment(daemon, "active"))


def remove_prepared(daemon):
    os.unlink(live_segment(daemon, "prepared"))


def remove_sealed(daemon):
    os.unlink(daemon.files(".seg")[0])


def cut_sealed(daemon):
    os.truncate(daemon.files(".seg")[0], 5000)


def compact_and_remove(daemon):
    """Removes a segment that compaction wrote."""
    before = set(daemon.files(".seg"))
    daemon.call("KV.COMPACT", "WAIT")
    live = {live_segment(daemon, "active"), live_segment(daemon, "prepared")}
    os.unlink(sorted(set(daemon.files(".seg")) - before - live)[0])


LOSSES = [remove_all, rename_directory, replace_directory, remove_manifest,
          replace_manifest, remove_active, remove_prepared, remove_sealed,
          cut_sealed, compact_and_remove]
# By a stop: the MANIFEST, which then names no prepared segment.
LOST_AND_WRITTEN_ANEW = [remove_manifest, replace_manifest, remove_prepared]


class LostStorage(E2eTest):
    """What was acknowledged is not on disk any more, and kvd knows it."""

    def filled(self, **settings):
        """An idle daemon with several sealed segments."""
        daemon = self.daemon(settings={
            "log.segment_size": "64KiB", "durability.look_interval": "10ms",
            "compaction.interval": "0s", **settings})
        daemon.start()
        client = daemon.connect()
        for i in range(100):
            self.assertEqual(client.call("SET", f"key{i % 60}", VALUE), "OK")
        self.assertEqual(client.call("SET", "last", "1", "PX", "3600000"), "OK")
        wait_until(lambda: not self.has_records(live_segment(daemon, "prepared")),
                   "the MANIFEST tells the next segment")
        return daemon

    def has_records(self, segment):
        # The MANIFEST says "prepared" of a segment that has become the active
        # one until the one after it is there.
        with open(segment, "rb") as stream:
            content = stream.read()
        return b"key" in content or b"last" in content

    def assert_lost(self, daemon):
        wait_until(lambda: daemon.status()["state"] == b"lost", "it is noticed")
        client = daemon.connect()
        for words in (("SET", "key0", "new"), ("SET", "new", "1"),
                      ("DEL", "key1"), ("FLUSHALL",), ("EXPIRE", "key2", 10),
                      ("MSET", "a", "1", "b", "2"), ("GETDEL", "key3")):
            reply = client.call(*words)
            self.assertIsInstance(reply, ReplyError, words)
            self.assertTrue(reply.startswith("IOERR "), reply)
            self.assertIn("nothing was changed", reply)
        for i in range(60):
            self.assertEqual(client.call("GET", f"key{i}"), VALUE)
        self.assertEqual(client.call("DBSIZE"), 61)
        self.assertEqual(len(client.call("KEYS", "*")), 61)
        reply = client.call("KV.COMPACT", "WAIT")
        self.assertIsInstance(reply, ReplyError)
        self.assertEqual(daemon.info()["kvd_storage_lost"], "1")
        self.assertIn("lost", daemon.kvctl("status").stdout.decode())
        self.assertEqual(len(daemon.kvctl("ls").stdout.splitlines()), 61)

    def ends_with_9(self, daemon):
        code = daemon.process.wait()
        log = daemon.log()
        self.assertEqual(code, 9, log)
        self.assertNotIn("everything is on disk", log)
        return log

    def test_an_idle_daemon_notices_and_lets_people_read(self):
        for lose in LOSSES:
            with self.subTest(lose.__name__):
                daemon = self.filled()
                lose(daemon)
                self.assert_lost(daemon)
                daemon.signal(signal.SIGTERM)
                log = self.ends_with_9(daemon)
                self.assertIn(daemon.data_dir, log)
                self.assertIn("kvctl --socket", log)

    def test_a_stop_makes_up_for_what_it_can(self):
        for lose in LOST_AND_WRITTEN_ANEW:
            with self.subTest(lose.__name__):
                daemon = self.filled(**{"durability.look_interval": "1h"})
                lose(daemon)
                daemon.restart()
                for i in range(60):
                    self.assertEqual(daemon.call("GET", f"key{i}"), VALUE)

    def test_a_stop_notices(self):
        for lose in LOSSES:
            if lose in LOST_AND_WRITTEN_ANEW:
                continue
            with self.subTest(lose.__name__):
                daemon = self.filled(**{"durability.look_interval": "1h"})
                lose(daemon)
                daemon.signal(signal.SIGTERM)
                log = self.ends_with_9(daemon)
                self.assertIn(daemon.data_dir, log)

    def test_writers_are_not_told_ok_any_more(self):
        for lose in (remove_all, rename_directory):
            with self.subTest(lose.__name__):
                daemon = self.daemon(settings=BUSY)
                daemon.start()
                writers = Writers(self, daemon)
                wait_until(lambda: writers.done > 500, "they write")
                lose(daemon)
                wait_until(writers.all_ended, "all hear of it")
                for reply in writers.ends:
                    self.assertTrue(reply.startswith("IOERR "), reply)
                client = daemon.connect()
                self.assertEqual(client.call("GET", "0:0"), VALUE)
                client.send(b"SHUTDOWN\r\n")
                self.ends_with_9(daemon)

    def test_a_stop_with_writers(self):
        daemon = self.daemon(settings={**BUSY,
                                       "durability.look_interval": "1h"})
        daemon.start()
        writers = Writers(self, daemon)
        wait_until(lambda: writers.done > 200, "they write")
        rename_directory(daemon)
        daemon.signal(signal.SIGTERM)
        self.ends_with_9(daemon)

    def test_it_exits_by_itself(self):
        daemon = self.filled(**{"durability.reads_after_loss": "100ms"})
        rename_directory(daemon)
        self.ends_with_9(daemon)
        daemon = self.filled(**{"durability.reads_after_loss": "0s"})
        rename_directory(daemon)
        self.ends_with_9(daemon)

    def test_the_manager_is_told(self):
        manager = Manager(self)
        daemon = self.daemon(
            settings={"durability.look_interval": "10ms"},
            env={"NOTIFY_SOCKET": manager.path})
        daemon.start()
        manager.wait_for("READY=1")
        rename_directory(daemon)
        manager.wait_for("STATUS=Lost")
        daemon.signal(signal.SIGTERM)
        self.ends_with_9(daemon)

    def test_an_expired_key_is_a_miss(self):
        daemon = self.filled()
        daemon.call("SET", "short", "1", "PX", "100")
        rename_directory(daemon)
        wait_until(lambda: daemon.status()["state"] == b"lost", "it is noticed")
        wait_until(lambda: daemon.call("GET", "short") is None, "it expires")
        daemon.signal(signal.SIGTERM)
        self.ends_with_9(daemon)

    def mounted(self, options="size=16m"):
        if os.geteuid() != 0:
            self.skipTest("mounting a tmpfs takes root")
        folder = self.new_folder()
        result = run(["mount", "-t", "tmpfs", "-o", options, "none", folder])
        if result.returncode != 0:
            self.skipTest(f"no tmpfs here: {result.stderr.decode()}")
        self.addCleanup(run, ["umount", "-l", folder])
        return folder

    def test_an_unmounted_file_system(self):
        folder = self.mounted()
        daemon = self.daemon(data_dir=os.path.join(folder, "data"), settings={
            "log.segment_size": "256KiB", "durability.look_interval": "10ms"})
        daemon.start()
        daemon.call("SET", "key", "value")
        run(["umount", "-l", folder])
        wait_until(lambda: daemon.status()["state"] == b"lost", "it is noticed")
        self.assertEqual(daemon.call("GET", "key"), b"value")
        daemon.signal(signal.SIGTERM)
        self.ends_with_9(daemon)

    def test_another_file_system_over_it(self):
        daemon = self.filled()
        result = run(["mount", "-t", "tmpfs", "none", daemon.data_dir])
        if result.returncode != 0:
            self.skipTest(f"no tmpfs here: {result.stderr.decode()}")
        self.addCleanup(run, ["umount", "-l", daemon.data_dir])
        wait_until(lambda: daemon.status()["state"] == b"lost", "it is noticed")
        daemon.signal(signal.SIGTERM)
        self.ends_with_9(daemon)

    def test_a_mount_that_becomes_read_only(self):
        folder = self.mounted()
        data = os.path.join(folder, "data")
        daemon = self.daemon(data_dir=data, settings={
            "log.segment_size": "256KiB", "durability.look_interval": "10ms"})
        daemon.start()
        daemon.call("SET", "key", "value")
        # With files open for writing a whole file system does not become so;
        # what the daemon's descriptor is on does not, either.
        result = run(["mount", "-o", "remount,ro", folder])
        if result.returncode != 0:
            self.assertEqual(daemon.status()["state"], b"ok")
            return
        wait_until(lambda: daemon.status()["state"] == b"lost", "it is noticed")
        daemon.signal(signal.SIGTERM)
        self.ends_with_9(daemon)


class NoFalseAlarm(E2eTest):
    """What kvd itself removes and replaces is not missing."""

    threaded = True

    def test_files_that_come_and_go_while_it_looks(self):
        daemon = self.daemon(settings=BUSY)
        daemon.start()
        writers = Writers(self, daemon)
        client = daemon.connect()
        for _ in range(scaled(20, 6)):
            before = writers.done
            self.assertIsInstance(client.call("KV.COMPACT", "WAIT"), int)
            wait_until(lambda: writers.done > before + 50, "they write")
        writers.stop()
        self.assertEqual(writers.ends, [])
        self.assertEqual(daemon.status()["state"], b"ok")
        daemon.stop()

    def test_a_symbolic_link_to_the_directory(self):
        folder = self.new_folder()
        os.mkdir(os.path.join(folder, "real"))
        link = os.path.join(folder, "data")
        os.symlink("real", link)
        daemon = self.daemon(data_dir=link, settings={
            "durability.look_interval": "10ms"})
        daemon.start()
        # The same directory by another way.
        os.rename(os.path.join(folder, "real"), os.path.join(folder, "other"))
        wait_until(lambda: daemon.status()["state"] == b"lost", "it is noticed")
        daemon.signal(signal.SIGTERM)
        self.assertEqual(daemon.process.wait(), 9, daemon.log())
        os.unlink(link)
        os.symlink("other", link)
        daemon.start()
        daemon.stop()


if __name__ == "__main__":
    unittest.main()
