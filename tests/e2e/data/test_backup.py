# SPDX-License-Identifier: MIT
"""Backup and restore, as people do them.

What a backup holds is compared with a model: the writers note the revision of
each change that they made, so what was there at any revision is known.
KVD_BACKUPS says how many backups test_beside_writers makes."""

import json
import os
import random
import signal
import subprocess
import threading
import time
import unittest

from harness import (KVCTL, KVD, SANITIZED, Closed, E2eTest, ReplyError,
                     as_map, run, say, scaled, seed_from_environment,
                     wait_until)
from small_disk import SmallDisk

DATABASES = 4
RESTORED_ABOVE = 1 << 40


class Writer(threading.Thread):
    """Changes random keys in all ways there are; `done` has (revision, change)
    for each."""

    def __init__(self, connection, seed, database):
        super().__init__(daemon=True)
        self.connection = connection
        self.random = random.Random(seed)
        self.database = database
        self.done = []
        self.failure = None
        self.stopping = threading.Event()

    def run(self):
        try:
            self.connection.call("SELECT", self.database)
            while not self.stopping.is_set():
                self.step()
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error

    def stop(self):
        self.stopping.set()
        self.join()
        if self.failure is not None:
            raise self.failure

    def step(self):
        what = self.random.random()
        if what < 0.01:
            self.all_at_once(["FLUSHDB"], ("flush", self.database))
        elif what < 0.02:
            one, other = self.random.sample(range(DATABASES), 2)
            self.all_at_once(["SWAPDB", one, other], ("swap", one, other))
        elif what < 0.2:
            key = self.key()
            revision = self.connection.call("KV.DEL", key)
            if revision is not None:
                self.note(revision, ("del", self.database, key))
        else:
            self.set(what)

    def set(self, what):
        key, value = self.key(), self.value()
        deadline = 0
        if what < 0.3:
            deadline = int(time.time() * 1000) + self.random.choice(
                [50, 400, 10_000_000])
        words = ["PXAT", deadline] if deadline else []
        revision = self.connection.call("KV.SET", key, value, *words)
        self.note(revision, ("set", self.database, key, value, deadline))

    def all_at_once(self, words, change):
        """A change whose reply has no revision comes right behind one that has:
        both are of one transaction."""
        value = self.value()
        replies = self.connection.pipeline(
            [["MULTI"], ["KV.SET", "mark", value], words, ["EXEC"]])
        revision = replies[-1][0]
        self.note(revision, ("set", self.database, b"mark", value, 0))
        self.note(revision + 1, change)

    def note(self, revision, change):
        assert isinstance(revision, int), revision
        self.done.append((revision, change))

    def key(self):
        return b"key%d" % self.random.randrange(300)

    def value(self):
        size = self.random.choice([0, 5, 100, 1000, 20000])
        return b"%d " % self.random.randrange(1 << 30) + b"v" * size


def state_at(changes, revision):
    """(database, key) → (value, deadline, revision), by the sorted changes."""
    state = [{} for _ in range(DATABASES)]
    for made, change in changes:
        if made > revision:
            break
        kind, database, *rest = change
        if kind == "set":
            key, value, deadline = rest
            state[database][key] = (value, deadline, made)
        elif kind == "del":
            state[database].pop(rest[0], None)
        elif kind == "flush":
            state[database] = {}
        else:
            other = rest[0]
            state[database], state[other] = state[other], state[database]
    return state


def contents(daemon):
    """The same of a daemon."""
    state = []
    with_client = daemon.connect()
    for database in range(DATABASES):
        with_client.call("SELECT", database)
        keys = with_client.call("KEYS", "*")
        replies = with_client.pipeline(
            [words for key in keys
             for words in (("KV.GET", key), ("PEXPIRETIME", key))])
        held = {}
        for i, key in enumerate(keys):
            if replies[2 * i] is None:
                continue  # It has just expired.
            value, revision, _ = replies[2 * i]
            held[key] = (value, max(replies[2 * i + 1], 0), revision)
        state.append(held)
    return state


def without_expired(state):
    now = time.time() * 1000
    return [{key: held for key, held in database.items()
             if held[1] == 0 or held[1] > now} for database in state]


class Backup(E2eTest):
    threaded = True

    def small(self, **settings):
        return self.started(settings={
            "log.segment_size": "256KiB", "compaction.interval": "200ms",
            **settings})

    def backup(self, daemon, *words):
        """kvctl backup; what it says, as JSON."""
        result = daemon.kvctl("backup", "--json", *words)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def restore(self, *files):
        """kvd restore; a daemon on the new directory, not started."""
        daemon = self.daemon(settings={"log.segment_size": "256KiB"})
        result = run([KVD, "restore", *files, daemon.data_dir])
        self.assertEqual(result.returncode, 0, result.stderr)
        return daemon

    def path(self, name):
        return os.path.join(self.new_folder(), name)

    def files_in(self, folder):
        return sorted(os.listdir(folder))

    # --- What is in one ---

    def test_three_lines(self):
        daemon = self.small()
        client = daemon.connect()
        client.call("SET", "greeting", "hello")
        client.call("SET", "session", "7", "PX", 10_000_000)
        path = self.path("b")
        result = daemon.kvctl("backup", path)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout.decode(),
                         r"^backed up revision 2: [0-9.]+ \w+ in [0-9.]+m?s, as ")
        self.assertEqual(result.stderr, b"")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertEqual(self.files_in(os.path.dirname(path)), ["b"])
        verified = daemon.kvctl("backup", "--verify", path)
        self.assertEqual(verified.returncode, 0, verified.stderr)
        self.assertIn(b"intact, a full backup of revision 2", verified.stdout)

        client.call("SET", "greeting", "changed later")
        restored = self.restore(path)
        self.assertEqual(os.stat(restored.data_dir).st_mode & 0o777, 0o700)
        restored.start()
        self.assertEqual(restored.call("GET", "greeting"), b"hello")
        self.assertGreater(restored.call("PTTL", "session"), 0)
        self.assertGreater(restored.call("KV.SET", "new", "1"),
                           2 + RESTORED_ABOVE)
        self.assertIn("after a clean stop", restored.log())

    def test_an_empty_store(self):
        daemon = self.small()
        path = self.path("b")
        self.backup(daemon, path)
        restored = self.restore(path).start()
        self.assertEqual(restored.call("DBSIZE"), 0)

    def test_through_a_pipe(self):
        daemon = self.small()
        daemon.call("SET", "key", "v" * 100_000)
        made = daemon.kvctl("backup", "-")
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertIn(b"backed up revision 1", made.stderr)
        verified = daemon.kvctl("backup", "--verify", "-", stdin=made.stdout)
        self.assertEqual(verified.returncode, 0, verified.stderr)
        restored = self.daemon()
        result = run([KVD, "restore", "-", restored.data_dir],
                     stdin=made.stdout)
        self.assertEqual(result.returncode, 0, result.stderr)
        restored.start()
        self.assertEqual(restored.call("STRLEN", "key"), 100_000)

    def test_beside_writers(self):
        """Chains of backups beside writers, each backup compared with what was
        there at its revision."""
        seed = seed_from_environment(int(time.time()))
        say(f"KVD_SEED={seed}")
        rng = random.Random(seed)
        count = int(os.environ.get("KVD_BACKUPS", scaled(6, 3)))
        writers = int(os.environ.get("KVD_WRITERS", 4))
        links = 3
        while count > 0:
            self.check_chain(min(count, links), writers,
                             rng.randrange(1 << 30))
            count -= links

    def check_chain(self, links, writers, seed):
        daemon = self.small()
        threads = [Writer(daemon.connect(), seed + i, i % DATABASES)
                   for i in range(writers)]
        for thread in threads:
            thread.start()
        folder = self.new_folder()
        chain, said = [], []
        for link in range(links):
            wait_until(lambda: sum(len(t.done) for t in threads) >
                       300 * (link + 1) or any(t.failure for t in threads),
                       "some changes")
            chain.append(os.path.join(folder, f"backup{link}"))
            base = ["--base", chain[-2]] if link > 0 else []
            said.append(self.backup(daemon, chain[-1], *base))
        for thread in threads:
            thread.stop()
        daemon.stop()
        changes = sorted(change for thread in threads
                         for change in thread.done)
        for link in range(links):
            self.check_restored(chain[:link + 1], said[link]["revision"],
                                changes)

    def check_restored(self, chain, revision, changes):
        restored = self.restore(*chain).start()
        expected = state_at(changes, revision)
        # What expires within moments has done so.
        soon = [held[1] for database in expected for held in database.values()
                if 0 < held[1] < time.time() * 1000 + 5000]
        wait_until(lambda: time.time() * 1000 > max(soon, default=0),
                   "deadlines have passed")
        self.assertEqual(contents(restored), without_expired(expected),
                         f"revision {revision}")
        self.assertGreater(restored.call("KV.SET", "new", "1"),
                           revision + RESTORED_ABOVE)
        restored.stop()

    def test_an_incremental_one_holds_what_its_base_lacks(self):
        daemon = self.small(**{"compaction.interval": "0s"})
        client = daemon.connect()
        client.pipeline([("SET", f"key{i}", os.urandom(2000))
                         for i in range(1000)])
        folder = self.new_folder()
        full, more = os.path.join(folder, "full"), os.path.join(folder, "more")
        whole = self.backup(daemon, full)
        client.call("SET", "key0", "changed")
        part = self.backup(daemon, more, "--base", full)
        self.assertLess(part["bytes"], whole["bytes"] / 3)
        restored = self.restore(full, more).start()
        self.assertEqual(restored.call("GET", "key0"), b"changed")
        self.assertEqual(restored.call("DBSIZE"), 1000)
        restored.stop()
        target = os.path.join(folder, "target")
        for words, why in (([more], b"builds on first"),
                           ([more, full], b"builds on first"),
                           ([full, full], b"a full backup")):
            result = run([KVD, "restore", *words, target])
            self.assertNotEqual(result.returncode, 0)
            self.assertIn(why, result.stderr)
            self.assertFalse(os.path.exists(target))

    # --- Bad input ---

    def test_cut_or_damaged_it_is_refused(self):
        daemon = self.small()
        client = daemon.connect()
        client.pipeline([("SET", f"key{i}", os.urandom(500))
                         for i in range(200)])
        path = self.path("b")
        self.backup(daemon, path)
        with open(path, "rb") as stream:
            good = stream.read()
        rng = random.Random(7)
        for _ in range(12):
            at = rng.randrange(len(good))
            flipped = bytearray(good)
            flipped[at] ^= 1 << rng.randrange(8)
            for bad in (good[:at], bytes(flipped)):
                with open(path, "wb") as stream:
                    stream.write(bad)
                verified = daemon.kvctl("backup", "--verify", path)
                self.assertIn(verified.returncode, (2, 7), verified.stderr)
                target = self.path("data")
                result = run([KVD, "restore", path, target])
                self.assertNotEqual(result.returncode, 0)
                if not os.path.exists(target):
                    continue
                refused = self.daemon(data_dir=target)
                code, log = refused.refuses_to_start()
                self.assertEqual(code, 7, log)
                self.assertIn("kvd restore", log)
        # The command that the message names mends it.
        with open(path, "wb") as stream:
            stream.write(good)
        result = run([KVD, "restore", path, target])
        self.assertEqual(result.returncode, 0, result.stderr)
        mended = self.daemon(data_dir=target).start()
        self.assertEqual(mended.call("DBSIZE"), 200)

    def test_wrong_usage_is_refused(self):
        daemon = self.small()
        daemon.call("SET", "key", "value")
        path = self.path("b")
        self.backup(daemon, path)
        with open(path, "rb") as stream:
            good = stream.read()
        for words, code in ((["backup"], 2),
                            (["backup", path, "--base", path], 2),
                            (["backup", path, "--base", "/nowhere"], 74),
                            (["backup", "/nowhere/b"], 74),
                            (["backup", "--verify", path, "--base", path], 2),
                            (["backup", "--verify", KVD], 2)):
            result = daemon.kvctl(*words)
            self.assertEqual(result.returncode, code, (words, result.stderr))
        other = self.small()
        result = other.kvctl("backup", self.path("b"), "--base", path)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn(b"another store", result.stderr)
        with open(path, "rb") as stream:
            self.assertEqual(stream.read(), good)
        # In use, in use by others, and not enough words.
        for words, code in (([path, daemon.data_dir], 3),
                            ([path, self.new_folder() + "/a/b"], 1),
                            ([path], 2), ([], 2)):
            result = run([KVD, "restore", *words])
            self.assertEqual(result.returncode, code, result.stderr)
        daemon.stop()
        before = self.files_in(daemon.data_dir)
        result = run([KVD, "restore", path, daemon.data_dir])
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn(b"not empty", result.stderr)
        self.assertEqual(self.files_in(daemon.data_dir), before)

    def test_the_command_is_careful(self):
        daemon = self.small()
        client = daemon.connect()
        client.call("SET", "key", "value")
        for words in (["READ", 1, 0, 10], ["END"]):
            self.assertIsInstance(client.call("KV.BACKUP", *words), ReplyError)
        begun = as_map(client.call("KV.BACKUP", "BEGIN"))
        self.assertEqual(begun["revision"], 1)
        [[segment, size, _]] = begun["segments"]
        self.assertEqual(begun["bytes"], size)
        for words in (["BEGIN"], ["READ", segment, size, 1],
                      ["READ", segment, 0, 0], ["READ", segment, -1, 1],
                      ["READ", segment + 1, 0, 1], ["READ", "x", 0, 1]):
            reply = client.call("KV.BACKUP", *words)
            self.assertIsInstance(reply, ReplyError, words)
        # Pieces may come in any order, and again.
        whole = client.call("KV.BACKUP", "READ", segment, 0, 1 << 30)
        self.assertEqual(len(whole), size)
        for at in (size - 1, 0, 7, 0):
            self.assertEqual(
                client.call("KV.BACKUP", "READ", segment, at, 9),
                whole[at:at + 9])
        self.assertIsInstance(client.call(
            "EVAL", "return redis.call('KV.BACKUP', 'END')", 0), ReplyError)
        other = daemon.connect()
        other.call("MULTI")
        self.assertIsInstance(other.call("KV.BACKUP", "BEGIN"), ReplyError)
        second = daemon.connect().call("KV.BACKUP", "BEGIN")
        self.assertIn("another backup is under way", second)
        self.assertEqual(client.call("KV.BACKUP", "END"), "OK")
        # The end of a connection, and RESET, end one, too.
        for end in (lambda c: c.close(), lambda c: c.call("RESET")):
            client = daemon.connect()
            wait_until(lambda: self.begins(client), "there is none")
            end(client)
        wait_until(lambda: self.begins(daemon.connect()), "it has ended")

    @staticmethod
    def begins(client):
        return not isinstance(client.call("KV.BACKUP", "BEGIN"), ReplyError)

    # --- How it ends ---

    def compacted(self, daemon, client):
        """Leaves much that only a backup keeps."""
        for i in range(8):
            client.pipeline([("SET", f"key{k}", f"{i}" * 2000)
                             for k in range(200)])
        begun = as_map(client.call("KV.BACKUP", "BEGIN"))
        self.assertEqual(daemon.kvctl("compact").returncode, 0)
        return begun

    def test_a_reader_that_stalls(self):
        daemon = self.small(**{"compaction.interval": "0s",
                               "backup.stall_timeout": "300ms"})
        client = daemon.connect()
        begun = self.compacted(daemon, client)
        kept = len(daemon.files(".seg"))
        segment = begun["segments"][0][0]
        wait_until(lambda: "backup.stall_timeout" in daemon.log(),
                   "the backup ends")
        wait_until(lambda: len(daemon.files(".seg")) < kept,
                   "what it kept is removed")
        reply = client.call("KV.BACKUP", "READ", segment, 0, 100)
        self.assertIn("backup.stall_timeout", reply)
        # The connection and the next backup work.
        self.assertEqual(client.call("PING"), "PONG")
        self.backup(daemon, self.path("b"))

    def test_a_reader_that_takes_no_replies(self):
        daemon = self.small(**{"compaction.interval": "0s",
                               "backup.stall_timeout": "300ms"})
        client = daemon.connect()
        begun = self.compacted(daemon, client)
        words = [command for segment, size, _ in begun["segments"]
                 for command in [("KV.BACKUP", "READ", segment, 0, size)] * 10]
        before = daemon.resident_kib()
        threading.Thread(target=self.send_all, args=(client, words),
                         daemon=True).start()
        wait_until(lambda: "backup.stall_timeout" in daemon.log(),
                   "the backup ends")
        if not SANITIZED:
            self.assertLess(daemon.resident_kib() - before, 20 << 10)
        self.backup(daemon, self.path("b"))

    @staticmethod
    def send_all(client, words):
        try:
            for one in words:
                client.send(b" ".join(str(w).encode() for w in one) + b"\r\n")
        except (OSError, Closed):
            pass

    def test_kvctl_that_is_killed(self):
        daemon = self.small(**{"compaction.interval": "0s"})
        client = daemon.connect()
        client.pipeline([("SET", f"key{i}", os.urandom(5000))
                         for i in range(2000)])
        for number in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
            folder = self.new_folder()
            reader, writer = os.pipe()
            process = subprocess.Popen(
                [KVCTL, "backup", os.path.join(folder, "b")],
                env={**os.environ, "KVD_SOCKET": daemon.socket_path},
                stdout=writer, stderr=writer, stdin=subprocess.DEVNULL)
            os.close(writer)
            wait_until(lambda: os.listdir(folder) or
                       process.poll() is not None, "it writes")
            process.send_signal(number)
            code = process.wait()
            os.close(reader)
            if code == 0:
                continue  # It was quicker.
            self.assertEqual(code, -number)
            if number != signal.SIGKILL:
                self.assertEqual(os.listdir(folder), [])
            self.backup(daemon, os.path.join(folder, "b"))

    def test_a_reader_that_goes_in_the_middle(self):
        daemon = self.small()
        daemon.connect().pipeline([("SET", f"key{i}", os.urandom(5000))
                                   for i in range(200)])
        for _ in range(50):
            with daemon.connect() as client:
                contents = as_map(client.call("KV.BACKUP", "BEGIN"))
                segment = contents["segments"][0][0]
                client.send(b"KV.BACKUP READ %d 0 262144\r\n" % segment * 4)

    def test_a_full_disk_of_the_reader(self):
        daemon = self.small()
        client = daemon.connect()
        client.pipeline([("SET", f"key{i}", os.urandom(5000))
                         for i in range(1000)])
        disk = SmallDisk(self, "size=1m")
        result = daemon.kvctl("backup", os.path.join(disk.path, "b"))
        self.assertEqual(result.returncode, 74, result.stderr)
        self.assertIn(b"No space left", result.stderr)
        self.assertEqual(os.listdir(disk.path), [])
        path = self.path("b")
        self.backup(daemon, path)
        target = os.path.join(disk.path, "data")
        result = run([KVD, "restore", path, target])
        self.assertEqual(result.returncode, 9, result.stderr)
        self.assertIn(b"free", result.stderr)
        code, log = self.daemon(data_dir=target).refuses_to_start()
        self.assertEqual(code, 7, log)

    def test_a_full_disk_of_the_store(self):
        disk = SmallDisk(self, "size=24m")
        daemon = self.started(
            data_dir=os.path.join(disk.path, "data"),
            settings={"log.segment_size": "256KiB",
                      "compaction.interval": "0s"})
        client = daemon.connect()
        for i in range(4):
            client.pipeline([("SET", f"key{k}", f"{i}" * 2000)
                             for k in range(1000)])
        client.call("KV.BACKUP", "BEGIN")
        self.assertEqual(daemon.kvctl("compact").returncode, 0)
        with open(os.path.join(disk.path, "filler"), "wb") as filler:
            try:
                while True:
                    filler.write(b"x" * 65536)
                    filler.flush()
            except OSError:
                pass
        writer = daemon.connect()
        writer.send(b"".join(
            b"SET more%d %s\r\n" % (i, b"y" * 2000) for i in range(400)))
        wait_until(lambda: "nearly full" in daemon.log(), "the backup ends")
        # Now there is room, and a backup of a disk with little room works.
        for _ in range(400):
            writer.reply()
        self.assertEqual(client.call("KV.BACKUP", "END")[:4], "ERR ")
        self.backup(daemon, self.path("b"))

    def test_a_stop_does_not_wait_for_it(self):
        daemon = self.small()
        client = daemon.connect()
        client.call("SET", "key", "value")
        client.call("KV.BACKUP", "BEGIN")
        daemon.stop()
        self.assertIn("a backup ended before it was complete", daemon.log())
        daemon.start()
        self.backup(daemon, self.path("b"))

    def test_kill_nine_leaves_nothing_behind(self):
        daemon = self.small(**{"compaction.interval": "0s"})
        client = daemon.connect()
        self.compacted(daemon, client)
        kept = len(daemon.files(".seg"))
        daemon.kill()
        daemon.start()
        wait_until(lambda: len(daemon.files(".seg")) < kept,
                   "what it kept is removed")
        self.assertEqual(daemon.call("GET", "key7"), b"7" * 2000)


if __name__ == "__main__":
    unittest.main()
