# SPDX-License-Identifier: MIT
"""More values than memory may take: they are read from disk, and stay right
whatever happens meanwhile."""

import os
import random
import signal
import threading
import unittest

from harness import (SECONDS_MAX, Closed, E2eTest, ReplyError, command, say,
                     scaled, seed_from_environment, wait_until)

# Keys of one client, and what their values weigh: 40 times the value cache.
KEYS = scaled(1000, 250)
CLIENTS = 4
VALUE_BYTES = 10_000


def value_of(key, version, size=VALUE_BYTES):
    """Differs in every part from that of another key or version."""
    return (f"{key}.{version};" * (size // len(f"{key}.{version};") + 1)
            )[:size].encode()


def forget_pages(daemon):
    """Drops the log out of the page cache, so that reads wait for the disk."""
    for path in daemon.files(".seg"):
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue  # Compacted.
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


class InThread(threading.Thread):
    """Raises in join() what was raised in it."""

    def __init__(self, body, *args):
        super().__init__()
        self._body = (body, args)
        self._error = None
        self.start()

    def run(self):
        body, args = self._body
        try:
            body(*args)
        except BaseException as error:  # pylint: disable=broad-except
            self._error = error

    def join(self, timeout=None):
        super().join(timeout)
        if self._error is not None:
            raise self._error


class Writer:
    """A client with keys of its own, who knows what they hold.

    Whether a command without an answer has happened is not known: `unsure` then
    has its keys with the values after it.
    """

    def __init__(self, test, daemon, name, seed):
        self.test = test
        self.daemon = daemon
        self.name = name
        self.random = random.Random(f"{seed}.{name}")
        self.held = {}
        self.versions = 0
        self.unsure = {}

    def _key(self):
        return f"{self.name}:{self.random.randrange(KEYS)}"

    def _change(self, client, after, *words):
        self.unsure = after
        reply = client.call(*words)
        self.test.assertNotIsInstance(reply, ReplyError)
        self._take_over(after)
        return reply

    def _take_over(self, after):
        self.unsure = {}
        for key, value in after.items():
            if value is None:
                self.held.pop(key, None)
            else:
                self.held[key] = value

    def fill(self, client):
        keys = [f"{self.name}:{i}" for i in range(KEYS)]
        self.held = {key: value_of(key, 0) for key in keys}
        for at in range(0, KEYS, 50):
            some = keys[at:at + 50]
            replies = client.pipeline([("SET", key, self.held[key])
                                       for key in some])
            self.test.assertEqual(set(replies), {"OK"})

    def step(self, client):
        """One command; its reply must be right."""
        equal = self.test.assertEqual
        key = self._key()
        held = self.held.get(key)
        choice = self.random.randrange(10)
        if choice < 3:
            equal(client.call("GET", key), held)
        elif choice == 3:
            keys = [self._key() for _ in range(20)]
            equal(client.call("MGET", *keys),
                  [self.held.get(each) for each in keys])
        elif choice < 6:
            self.versions += 1
            value = value_of(key, self.versions, self.random.choice(
                (0, 10, 1000, VALUE_BYTES, VALUE_BYTES)))
            self._change(client, {key: value}, "SET", key, value)
        elif choice == 6:
            after = (held or b"") + b"+more"
            equal(self._change(client, {key: after}, "APPEND", key, "+more"),
                  len(after))
        elif choice == 7:
            equal(self._change(client, {key: None}, "GETDEL", key), held)
        elif choice == 8 and held is not None:
            other = self._key()
            if other != key:
                self._change(client, {key: None, other: held},
                             "RENAME", key, other)
        else:
            self._change(client, {key: None}, "DEL", key)

    def check(self, client):
        """Everything is as it should be."""
        if self.unsure:
            found = {key: client.call("GET", key) for key in self.unsure}
            before = {key: self.held.get(key) for key in self.unsure}
            # All of it has happened, or nothing.
            self.test.assertIn(found, (before, self.unsure))
            self._take_over(found)
        keys = [f"{self.name}:{i}" for i in range(KEYS)]
        for at in range(0, KEYS, 50):
            some = keys[at:at + 50]
            for key, found in zip(some, client.call("MGET", *some)):
                self.test.assertEqual(found, self.held.get(key), key)


class ColdValues(E2eTest):
    threaded = True

    def small(self, **settings):
        """A daemon that keeps next to no values in memory."""
        return self.started(settings={
            "memory.value_cache": "1MiB", "log.segment_size": "1MiB",
            "compaction.interval": "0s", "compaction.rate": "0B", **settings})

    def writers(self, daemon):
        seed = seed_from_environment(random.randrange(1 << 32))
        say(f"KVD_SEED={seed}")
        return [Writer(self, daemon, f"client{i}", seed)
                for i in range(CLIENTS)]

    def each(self, writers, body):
        """Runs body(writer, connection) for all at the same time."""
        def run(writer):
            with writer.daemon.connect() as client:
                body(writer, client)

        for thread in [InThread(run, writer) for writer in writers]:
            thread.join()

    def test_more_than_memory(self):
        daemon = self.small()
        writers = self.writers(daemon)
        self.each(writers, Writer.fill)
        if scaled(True, False):
            # The whole process takes less than the values alone.
            self.assertLess(daemon.resident_kib(),
                            CLIENTS * KEYS * VALUE_BYTES / 1024 * 0.9)
        for _ in range(2):
            self.each(writers, Writer.check)
            forget_pages(daemon)
        for restart in (daemon.restart, lambda: (daemon.kill(),
                                                 daemon.start())):
            restart()
            self.each(writers, Writer.check)

    def test_under_changes_and_compaction(self):
        daemon = self.small(**{"compaction.interval": "20ms",
                               "compaction.min_dead_ratio": "0.05"})
        writers = self.writers(daemon)
        self.each(writers, Writer.fill)
        for restart in (daemon.restart, lambda: (daemon.kill(),
                                                 daemon.start())):
            done = threading.Event()

            def forget():
                while not done.wait(0.05):
                    forget_pages(daemon)

            def change(writer, client):
                for _ in range(scaled(1000, 150)):
                    writer.step(client)

            forgetting = InThread(forget)
            try:
                self.each(writers, change)
            finally:
                done.set()
                forgetting.join()
            self.each(writers, Writer.check)
            wait_until(lambda: daemon.status()["compaction_runs"] > 0, "a run")
            restart()
            self.each(writers, Writer.check)
        self.assertEqual(daemon.status()["state"], b"ok")

    def test_killed_under_changes(self):
        daemon = self.small(**{"compaction.interval": "20ms",
                               "compaction.min_dead_ratio": "0.05"})
        writers = self.writers(daemon)
        self.each(writers, Writer.fill)
        for life in range(scaled(5, 2)):
            steps = threading.Semaphore(0)

            def change(writer, client):
                try:
                    while True:
                        writer.step(client)
                        steps.release()
                except (Closed, OSError):
                    pass

            changing = InThread(self.each, writers, change)
            for _ in range(200 + 100 * life):
                if not steps.acquire(timeout=SECONDS_MAX):
                    break
            forget_pages(daemon)
            daemon.kill()
            changing.join()
            daemon.start()
            self.each(writers, Writer.check)

    def test_a_stop_while_many_read(self):
        daemon = self.small()
        writers = self.writers(daemon)
        self.each(writers, Writer.fill)
        forget_pages(daemon)
        clients = []
        for writer in writers:
            client = daemon.connect()
            keys = list(writer.held)
            for at in range(0, KEYS, 50):
                client.send(command("MGET", *keys[at:at + 50]))
            clients.append((writer, client, keys))
        # Some leave, the others read: all that comes is right, and in order.
        for _, client, _ in clients[::2]:
            client.close()
        daemon.signal(signal.SIGTERM)
        for writer, client, keys in clients[1::2]:
            at = 0
            try:
                while at < KEYS:
                    reply = client.reply()
                    if isinstance(reply, ReplyError):
                        self.assertIn("stopping", reply)
                        break
                    self.assertEqual(reply, [writer.held[key]
                                             for key in keys[at:at + 50]])
                    at += 50
            except Closed:
                pass
        self.assertEqual(daemon.process.wait(), 0, daemon.log())

    def test_large_values(self):
        daemon = self.small()
        values = {f"large{i}": value_of(f"large{i}", 1, 3_000_000 + i)
                  for i in range(8)}
        client = daemon.connect()
        for key, value in values.items():
            self.assertEqual(client.call("SET", key, value), "OK")

        def read(seed):
            keys = list(values)
            random.Random(seed).shuffle(keys)
            with daemon.connect() as reader:
                for key in keys:
                    self.assertEqual(reader.call("GET", key), values[key])
                    self.assertEqual(
                        reader.call("GETRANGE", key, "2000000", "2000099"),
                        values[key][2_000_000:2_000_100])

        for thread in [InThread(read, seed) for seed in range(3)]:
            thread.join()


class Damage(E2eTest):
    def test_it_concerns_one_key(self):
        daemon = self.started(settings={
            "memory.value_cache": "1MiB", "log.segment_size": "256KiB",
            "compaction.interval": "0s", "scrub.interval": "0s"})
        client = daemon.connect()
        values = {f"key{i}": value_of(f"key{i}", 1, 2000) for i in range(4000)}
        client.pipeline([("SET", key, value) for key, value in values.items()])
        # What was written first is sealed and on disk alone by now.
        damaged = {}
        for key in ("key0", "key1"):
            damaged[key] = self.flip(daemon, values[key])

        reply = client.call("GET", "key0")
        self.assertIsInstance(reply, ReplyError)
        self.assertRegex(
            reply, r"^DAMAGED .*" + os.path.basename(damaged["key0"]) +
            r" at offset \d+: the record of revision \d+ is damaged; nothing "
            r"was changed\. Other keys are not affected, and this one can be "
            r"set anew or deleted$")
        for words in (("APPEND", "key1", "x"), ("MGET", "key5", "key1"),
                      ("RENAME", "key1", "new")):
            self.assertRegex(client.call(*words), "^DAMAGED ")
        self.assertEqual(client.call("STRLEN", "key1"), 2000)
        self.assertEqual(client.call("EXISTS", "new"), 0)
        for key, value in values.items():
            if key not in damaged:
                self.assertEqual(client.call("GET", key), value)
        status = daemon.status()
        self.assertEqual(status["state"], b"damaged")
        self.assertEqual(status["damaged_segments"],
                         len(set(damaged.values())))
        # Said once a segment, however often it is asked for.
        for path in set(damaged.values()):
            self.assertEqual(
                daemon.log().count(os.path.basename(path)), 1, daemon.log())

        self.assertEqual(client.call("SET", "key0", "new"), "OK")
        self.assertEqual(client.call("DEL", "key1"), 1)
        self.assertEqual(client.call("GET", "key0"), b"new")
        self.assertIsNone(client.call("GET", "key1"))
        # Compaction leaves it alone, and everything else goes on.
        self.assertEqual(daemon.kvctl("compact").returncode, 0)
        for path in damaged.values():
            self.assertIn(path, daemon.files(".seg"))
        for key, value in values.items():
            if key not in damaged:
                self.assertEqual(client.call("GET", key), value)

    def flip(self, daemon, value):
        """Flips a bit in the middle of a value; the segment's path."""
        for path in daemon.files(".seg"):
            with open(path, "r+b") as file:
                at = file.read().find(value)
                if at < 0:
                    continue
                file.seek(at + 1000)
                byte = file.read(1)[0]
                file.seek(at + 1000)
                file.write(bytes([byte ^ 0x10]))
                return path
        raise AssertionError("the value is nowhere on disk")


if __name__ == "__main__":
    unittest.main()
