# SPDX-License-Identifier: MIT
"""What was acknowledged is there after kill -9, and nothing else is.

Each writer has a database of its own and knows the state that it must be in
after each of its operations. After a crash that state must be, as a whole, the
one after some operation that is not older than the last acknowledged one and
not newer than the last one sent: a write lost, invented, half done or out of
order matches none of them. Counters in a database that all share are read by
others meanwhile: what a reader saw must never be undone.
"""

import os
import random
import signal
import threading
import time
import unittest

from harness import Closed, Connection, E2eTest, ReplyError, command
from harness import KIND, say, scaled, seed_from_environment, wait_until

WRITERS = 8
SHARED = WRITERS  # The database of the counters.
KEYS = 12
FAR_MS = 4_000_000_000_000
CYCLES = int(os.environ.get("KVD_KILL_CYCLES",
                            {"release": 50, "asan": 15, "tsan": 8}[KIND]))


class State:
    """A database as one writer knows it: key → (value, deadline or -1)."""

    def __init__(self, keys=None, counter=0):
        self.keys = dict(keys or {})
        self.counter = counter

    def copy(self):
        return State(self.keys, self.counter)

    def __eq__(self, other):
        return self.keys == other.keys and self.counter == other.counter

    def difference(self, other):
        names = sorted(set(self.keys) | set(other.keys))
        lines = [f"{name}: {self.keys.get(name)} / {other.keys.get(name)}"
                 for name in names
                 if self.keys.get(name) != other.keys.get(name)]
        return f"counter {self.counter} / {other.counter}; " + "; ".join(lines)


class Operation:
    """A command, the state after it and, for some, what it was to reply."""

    def __init__(self, words, after, written=None):
        self.words = words
        self.after = after
        # Key and value of a KV.SET, whose reply is a revision.
        self.written = written


class Writer:
    """One client, over as many connections as there are crashes."""

    def __init__(self, index, seed):
        self.index = index
        self.random = random.Random(seed)
        self.counter_key = b"counter:%d" % index
        self.number = 0
        self.acknowledged = State()
        self.in_flight = []  # Operations, oldest first.
        self.revisions = []  # (revision, key, value) as replied.
        self.operations = 0
        self.failure = None

    def next_operation(self, state):
        """A random change of `state`."""
        after = state.copy()
        self.number += 1
        value = b"%d:%d:" % (self.index, self.number)
        value += b"x" * self.random.choice([0, 0, 10, 100, 100, 5000])
        key = b"key:%d" % self.random.randrange(KEYS)
        kind = self.random.randrange(100)
        if kind < 30:
            after.keys[key] = (value, -1)
            return Operation([b"SET", key, value], after)
        if kind < 45:
            after.keys[key] = (value, -1)
            return Operation([b"KV.SET", key, value], after, (key, value))
        if kind < 60:
            pair = [b"left", b"right", key]
            words = [b"MSET"]
            for name in pair:
                after.keys[name] = (value, -1)
                words += [name, value]
            return Operation(words, after)
        if kind < 70:
            old = int(after.keys.get(b"number", (0, -1))[0])
            after.keys[b"number"] = (b"%d" % (old + 1), -1)
            return Operation([b"INCR", b"number"], after)
        if kind < 80:
            for name in (key, b"left"):
                after.keys.pop(name, None)
            return Operation([b"DEL", key, b"left"], after)
        if kind < 88:
            deadline = FAR_MS + self.number
            if key in after.keys:
                after.keys[key] = (after.keys[key][0], deadline)
            return Operation([b"PEXPIREAT", key, b"%d" % deadline], after)
        if kind < 94:
            old = after.keys.get(key, (b"", -1))
            tail = b"+%d" % self.number
            after.keys[key] = (old[0] + tail, old[1])
            if len(after.keys[key][0]) > 20_000:
                after.keys.pop(key)
                return Operation([b"DEL", key], after)
            return Operation([b"APPEND", key, tail], after)
        if kind < 95:
            after.keys.clear()
            return Operation([b"FLUSHDB"], after)
        deadline = FAR_MS + self.number
        after.keys[key] = (value, deadline)
        return Operation([b"SET", key, value, b"PXAT", b"%d" % deadline],
                         after)

    def next_batch(self):
        """Some operations on top of each other, as one send."""
        state = self.in_flight[-1].after if self.in_flight else (
            self.acknowledged)
        operations = []
        for _ in range(self.random.choice([1, 1, 2, 8, 16])):
            operation = self.next_operation(state)
            state = operation.after
            operations.append(operation)
        # Then the shared counter, in its own database.
        state = state.copy()
        state.counter += 1
        counting = Operation([b"INCR", self.counter_key], state)
        return operations, counting

    def write_until_gone(self, path, stop):
        """Writes until the connection breaks or `stop` is set."""
        try:
            with Connection(path) as connection:
                connection.call("SELECT", self.index)
                while not stop.is_set():
                    self._round(connection)
        except (Closed, OSError):
            return
        except Exception as error:  # Shown by the main thread.
            self.failure = error

    def _round(self, connection):
        operations, counting = self.next_batch()
        data = [command(*operation.words) for operation in operations]
        data += [command("SELECT", SHARED), command(*counting.words),
                 command("SELECT", self.index)]
        self.in_flight = operations + [counting]
        connection.send(b"".join(data))
        for operation in operations:
            self._acknowledge(operation, connection.reply())
        assert connection.reply() == "OK"
        self._acknowledge(counting, connection.reply())
        assert connection.reply() == "OK"

    def _acknowledge(self, operation, reply):
        if isinstance(reply, ReplyError):
            raise AssertionError(f"{operation.words[:2]}: {reply}")
        if operation.written:
            self.revisions.append((reply, *operation.written))
        self.acknowledged = operation.after
        self.in_flight.pop(0)
        self.operations += 1

    def read_back(self, connection):
        """The state that the daemon has."""
        connection.call("SELECT", SHARED)
        state = State(counter=int(connection.call("GET", self.counter_key)
                                  or 0))
        connection.call("SELECT", self.index)
        keys = connection.call("KEYS", "*")
        if connection.call("DBSIZE") != len(keys):
            raise AssertionError("DBSIZE and KEYS differ")
        replies = connection.pipeline(
            [(name, key) for key in keys for name in ("GET", "PEXPIRETIME")])
        for i, key in enumerate(keys):
            state.keys[key] = (replies[2 * i], replies[2 * i + 1])
        revisions = connection.pipeline([("KV.GET", key) for key in keys])
        self.revisions += [(revision, key, value) for key, (value, revision, _)
                           in zip(keys, revisions)]
        return state

    def check(self, connection):
        """After a crash: the state is one that was, and new enough."""
        found = self.read_back(connection)
        candidates = [self.acknowledged] + [operation.after for operation
                                            in self.in_flight]
        if found not in candidates:
            raise AssertionError(
                f"writer {self.index}: after {self.number} operations, "
                f"{len(self.in_flight)} in flight, found / acknowledged: "
                + found.difference(self.acknowledged))
        self.acknowledged = found
        self.in_flight = []


class Reader:
    """Reads the writers' counters: what it saw is a promise."""

    def __init__(self):
        self.seen = [0] * WRITERS
        self.failure = None
        self.reads = 0

    def read_until_gone(self, path, stop):
        keys = [b"counter:%d" % i for i in range(WRITERS)]
        try:
            with Connection(path) as connection:
                connection.call("SELECT", SHARED)
                while not stop.is_set():
                    values = [int(value or 0) for value
                              in connection.call("MGET", *keys)]
                    assert all(new >= old for new, old
                               in zip(values, self.seen)), "went backwards"
                    self.seen = values
                    self.reads += 1
        except (Closed, OSError):
            return
        except Exception as error:  # Shown by the main thread.
            self.failure = error


class Load:
    """Writers and readers around one daemon."""

    def __init__(self, test, daemon, seed, readers=2):
        self.test = test
        self.daemon = daemon
        self.writers = [Writer(i, seed * 1000 + i) for i in range(WRITERS)]
        self.readers = [Reader() for _ in range(readers)]
        self.owners = {}  # Revision → (writer, key, value).
        self.threads = []
        self.stop = threading.Event()

    def begin(self):
        self.stop.clear()
        path = self.daemon.socket_path
        targets = [writer.write_until_gone for writer in self.writers]
        targets += [reader.read_until_gone for reader in self.readers]
        self.threads = [threading.Thread(target=target, daemon=True,
                                         args=(path, self.stop))
                        for target in targets]
        for thread in self.threads:
            thread.start()

    def operations(self):
        return sum(writer.operations for writer in self.writers)

    def end(self):
        """After the daemon has gone, or to make the clients go."""
        self.stop.set()
        for thread in self.threads:
            thread.join(60)
            self.test.assertFalse(thread.is_alive(), "a client hangs")
        for client in self.writers + self.readers:
            if client.failure:
                raise client.failure

    def check(self):
        """All that must hold of a daemon that is back."""
        with Connection(self.daemon.socket_path) as connection:
            for writer in self.writers:
                writer.check(connection)
            for i, writer in enumerate(self.writers):
                for reader in self.readers:
                    self.test.assertGreaterEqual(
                        writer.acknowledged.counter, reader.seen[i],
                        f"counter {i} was seen and is gone")
            # Nothing in databases that nobody wrote to, and no foreign keys.
            for database in range(WRITERS + 1, 16):
                connection.call("SELECT", database)
                self.test.assertEqual(connection.call("DBSIZE"), 0)
            connection.call("SELECT", SHARED)
            self.test.assertLessEqual(
                set(connection.call("KEYS", "*")),
                {writer.counter_key for writer in self.writers})
        self.check_revisions()

    def check_revisions(self):
        """No revision was ever given to two changes."""
        for writer in self.writers:
            for revision, key, value in writer.revisions:
                owner = (writer.index, key, value)
                first = self.owners.setdefault(revision, owner)
                self.test.assertEqual(first, owner,
                                      f"revision {revision} given twice")
            writer.revisions = []


class Durability(E2eTest):
    """kill -9 and SIGTERM under load."""

    threaded = True

    def test_kill_cycles(self):
        seed = seed_from_environment(1)
        say(f"KVD_SEED={seed} KVD_KILL_CYCLES={CYCLES}")
        chance = random.Random(seed)
        # Small segments and compaction all the time, so that kills hit their
        # changes too.
        daemon = self.started(settings={"log.segment_size": "256KiB",
                                        "durability.declare_after": "10ms",
                                        "compaction.interval": "20ms",
                                        "compaction.min_dead_ratio": "0.05",
                                        "compaction.rate": "0B"})
        load = Load(self, daemon, seed)
        last_seq = 0
        compactions = 0
        for cycle in range(CYCLES):
            enough = load.operations() + chance.choice([1, 50, 500, 2000])
            load.begin()
            wait_until(lambda: load.operations() >= enough or not all(
                thread.is_alive() for thread in load.threads), "writes")
            time.sleep(chance.random() * 0.05)
            compactions += daemon.status()["compaction_runs"]
            daemon.kill()
            load.end()
            if chance.randrange(3) == 0:
                # Killed again while it starts.
                daemon.launch()
                time.sleep(chance.random() * 0.1)
                daemon.kill()
            daemon.start()
            self.assertIn("after an unclean stop", daemon.log())
            load.check()
            # The next life writes by a thread, or by what is best here.
            daemon.settings["log.device"] = chance.choice(["thread", "auto"])
            now = daemon.status()["last_seq"]
            self.assertGreaterEqual(now, last_seq)
            last_seq = now
            if (cycle + 1) % 20 == 0:
                say(f"{cycle + 1} cycles, {load.operations()} operations")
        self.assertTrue(all(reader.reads for reader in load.readers))
        self.assertGreater(compactions, 0)
        say(f"{compactions} compactions had ended before a kill")
        say(f"{load.operations()} operations acknowledged, "
            f"{len(load.owners)} revisions compared, all accounted for")
        daemon.restart()
        load.check()

    def test_sigterm_under_load_keeps_every_acknowledged_write(self):
        seed = seed_from_environment(2)
        daemon = self.started(settings={"log.segment_size": "256KiB"})
        load = Load(self, daemon, seed)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            enough = load.operations() + scaled(1000, 200)
            load.begin()
            wait_until(lambda: load.operations() >= enough, "writes")
            daemon.signal(number)
            self.assertEqual(daemon.process.wait(), 0, daemon.log())
            load.end()
            daemon.start()
            self.assertIn("after a clean stop", daemon.log())
            self.assertNotIn("torn", daemon.log())
            load.check()

    def test_revisions_go_on_after_crashes_without_writes(self):
        daemon = self.started()
        shown = []
        for _ in range(scaled(6, 3)):
            client = daemon.connect()
            shown += [client.call("KV.SET", "k", "v") for _ in range(3)]
            # In flight when it dies: its revision may have been given out.
            client.send(command("KV.SET", "k", "w") * 5)
            daemon.kill()
            while True:
                try:
                    shown.append(client.reply())
                except Closed:
                    break
            # An opening that is killed must not use up what the next one needs.
            daemon.launch()
            time.sleep(0.01)
            daemon.kill()
            daemon.start()
        self.assertEqual(len(set(shown)), len(shown), shown)
        self.assertEqual(shown, sorted(shown))

    def test_deleted_and_expired_keys_do_not_come_back(self):
        daemon = self.started()
        client = daemon.connect()
        client.call("MSET", "deleted", "1", "expired", "2", "stays", "3")
        client.call("PEXPIRE", "expired", "10")
        client.call("SELECT", "1")
        client.call("SET", "flushed", "4")
        self.assertEqual(client.call("FLUSHDB"), "OK")
        client.call("SELECT", "0")
        self.assertEqual(client.call("DEL", "deleted"), 1)
        wait_until(lambda: client.call("EXISTS", "expired") == 0, "expiry")
        daemon.kill()
        daemon.start()
        client = daemon.connect()
        self.assertEqual(client.call("KEYS", "*"), [b"stays"])
        client.call("SELECT", "1")
        self.assertEqual(client.call("DBSIZE"), 0)

    def test_a_killed_daemon_loses_nothing_in_the_other_sync_modes(self):
        for mode in ("interval", "never"):
            with self.subTest(mode=mode):
                daemon = self.started(settings={"durability.sync": mode})
                self.assertEqual(daemon.status()["sync"], mode.encode())
                client = daemon.connect()
                for i in range(200):
                    client.call("SET", f"k{i}", i)
                # Replies do not wait for the disk, so what the last turn wrote
                # may be on its way to the kernel; a while later it is there.
                wait_until(
                    lambda: daemon.info()["kvd_durable_seq"] ==
                    daemon.info()["kvd_last_seq"] or mode == "never", "flush")
                time.sleep(0.2)
                daemon.kill()
                daemon.start()
                self.assertEqual(
                    daemon.connect().pipeline(
                        [("GET", f"k{i}") for i in range(200)]),
                    [b"%d" % i for i in range(200)])
                daemon.restart()
                self.assertEqual(daemon.call("DBSIZE"), 200)

    def test_without_always_a_crash_leaves_a_state_that_was(self):
        for mode in ("interval", "never"):
            with self.subTest(mode=mode):
                daemon = self.started(settings={"durability.sync": mode})
                for _ in range(scaled(3, 1)):
                    client = daemon.connect()
                    client.call("FLUSHALL")
                    sent = 3000
                    client.send(b"".join(
                        command("MSET", "a", i, f"b{i}", i)
                        for i in range(sent)))
                    client.reply()
                    daemon.kill()
                    daemon.start()
                    client = daemon.connect()
                    newest = int(client.call("GET", "a") or -1)
                    self.assertEqual(
                        set(client.call("KEYS", "b*")),
                        {b"b%d" % i for i in range(newest + 1)})

    def test_a_clean_stop_and_a_restart(self):
        daemon = self.started()
        client = daemon.connect()
        client.pipeline([("SET", f"k{i}", b"\x00" * i) for i in range(1000)])
        client.call("PEXPIREAT", "k7", FAR_MS)
        revision = client.call("KV.SET", "last", "one")
        for _ in range(3):
            daemon.restart()
            self.assertIn("after a clean stop", daemon.log())
            client = daemon.connect()
            self.assertEqual(client.call("DBSIZE"), 1001)
            self.assertEqual(client.call("PEXPIRETIME", "k7"), FAR_MS)
            self.assertEqual(client.call("KV.GET", "last")[1], revision)
        self.assertGreater(client.call("KV.SET", "last", "two"), revision)


if __name__ == "__main__":
    unittest.main()
