# SPDX-License-Identifier: MIT
"""From every message about damage to a store that works: what a person would do
who copies the command out of the message."""

import json
import os
import re
import shutil

from harness import KVD, Connection, E2eTest, run

KEYS = 300
SETTINGS = {"log.segment_size": "64KiB"}


def value_of(i):
    return f"{i}:".encode() + b"v" * 500


def flip(path, offset):
    with open(path, "r+b") as stream:
        stream.seek(offset)
        byte = stream.read(1)[0]
        stream.seek(offset)
        stream.write(bytes([byte ^ 1]))


def cut(path, size):
    with open(path, "r+b") as stream:
        stream.truncate(size)


class FromTheMessageToAStore(E2eTest):

    def filled(self):
        daemon = self.started(settings=SETTINGS)
        with Connection(daemon.socket_path) as client:
            # Reread by the start that writes hints, or not: see below.
            replies = client.pipeline([("SET", f"key{i}", value_of(i))
                                       for i in range(KEYS)])
            self.assertEqual(set(replies), {"OK"})
        self.old_manifest = self.read(daemon, "MANIFEST")
        with Connection(daemon.socket_path) as client:
            replies = client.pipeline([("SET", f"more{i}", value_of(i))
                                       for i in range(KEYS)])
            self.assertEqual(set(replies), {"OK"})
        daemon.stop()
        for hint in daemon.files(".hint"):
            os.unlink(hint)
        return daemon

    def read(self, daemon, name):
        with open(os.path.join(daemon.data_dir, name), "rb") as stream:
            return stream.read()

    def write(self, daemon, name, data):
        with open(os.path.join(daemon.data_dir, name), "wb") as stream:
            stream.write(data)

    def foreign(self, daemon):
        other = self.started(settings=SETTINGS)
        other.call("SET", "foreign", "x")
        other.stop()
        shutil.copy(other.files(".seg")[0],
                    os.path.join(daemon.data_dir, "0000000999.seg"))

    # What is done to a directory; how many of the keys it costs at the most
    # with --uncertain.
    DAMAGES = {
        "a value": (lambda t, d: flip(d.files(".seg")[1], 20_000), 1),
        "a header": (lambda t, d: flip(d.files(".seg")[1], 60), 0),
        "a head": (lambda t, d: flip(d.files(".seg")[1], 140), 0),
        "a cut": (lambda t, d: cut(d.files(".seg")[1], 30_000), KEYS),
        "a missing segment": (lambda t, d: os.unlink(d.files(".seg")[1]), KEYS),
        "no MANIFEST": (
            lambda t, d: os.unlink(os.path.join(d.data_dir, "MANIFEST")), 0),
        "a damaged MANIFEST": (
            lambda t, d: flip(os.path.join(d.data_dir, "MANIFEST"), 50), 0),
        "an empty MANIFEST": (lambda t, d: t.write(d, "MANIFEST", b""), 0),
        "an old MANIFEST": (
            lambda t, d: t.write(d, "MANIFEST", t.old_manifest), 0),
        "a foreign segment": (lambda t, d: t.foreign(d), 0),
    }

    def commands_in(self, text):
        return re.findall(r"^(?:.* error)? *(kvd (?:verify|salvage) .*)$", text, re.M)

    def follow(self, command, new_dir, *more):
        words = [new_dir if word == "NEWDIR" else word
                 for word in command.split()]
        return run([KVD, *words[1:], *more])

    def check(self, new_dir, lost_max):
        daemon = self.daemon(data_dir=new_dir, settings=SETTINGS).start()
        names = [f"{name}{i}" for name in ("key", "more") for i in range(KEYS)]
        with Connection(daemon.socket_path) as client:
            replies = client.pipeline([("GET", name) for name in names])
            for name, reply in zip(names, replies):
                number = int(re.sub(r"\D", "", name))
                self.assertIn(reply, (None, value_of(number)), name)
            self.assertLessEqual(replies.count(None), lost_max)
            self.assertEqual(client.call("DBSIZE"),
                             len(names) - replies.count(None))
            self.assertEqual(client.call("SET", "new", "works"), "OK")
        daemon.restart()
        self.assertEqual(daemon.call("GET", "new"), b"works")
        daemon.stop()

    def test_every_damage_that_the_start_meets(self):
        daemon = self.filled()
        kept = daemon.data_dir + ".kept"
        shutil.copytree(daemon.data_dir, kept)
        for name, (damage, lost_max) in self.DAMAGES.items():
            with self.subTest(name):
                shutil.rmtree(daemon.data_dir)
                shutil.copytree(kept, daemon.data_dir)
                damage(self, daemon)
                code, log = daemon.refuses_to_start()
                self.assertEqual(code, 7, log)
                commands = self.commands_in(log)
                self.assertEqual(
                    [command.split()[1] for command in commands],
                    ["verify", "salvage"], log)
                verified = self.follow(commands[0], "")
                self.assertEqual(verified.returncode, 7)
                # Its last words are the same command.
                self.assertEqual(
                    self.commands_in(verified.stdout.decode()), commands[1:])
                new_dir = os.path.join(self.new_folder(), "new")
                done = self.follow(commands[1], new_dir, "--uncertain")
                self.assertIn(done.returncode, (0, 7), done.stderr)
                self.assertEqual(done.returncode == 7, b"Something was lost"
                                 in done.stdout, done.stdout)
                if lost_max == 0:
                    self.assertEqual(done.returncode, 0, done.stdout)
                self.check(new_dir, lost_max)

    def test_damage_that_is_met_later(self):
        daemon = self.daemon(settings={**SETTINGS, "memory.value_cache": "1MiB"})
        daemon.start()
        with Connection(daemon.socket_path) as client:
            client.pipeline([("SET", f"key{i}", value_of(i))
                             for i in range(KEYS)])
        daemon.restart()
        path = daemon.files(".seg")[0]
        with open(path, "rb") as stream:
            at = stream.read().index(b"key40" + value_of(40)) + 100
        flip(path, at)
        with Connection(daemon.socket_path) as client:
            replies = client.pipeline([("GET", f"key{i}")
                                       for i in range(KEYS)])
        self.assertIn("DAMAGED", str(replies[40]))
        commands = self.commands_in(daemon.log())
        self.assertEqual([command.split()[1] for command in commands],
                         ["verify", "salvage"], daemon.log())
        busy = self.follow(commands[1], os.path.join(self.new_folder(), "new"))
        self.assertEqual(busy.returncode, 3, busy.stderr)
        daemon.stop()
        new_dir = os.path.join(self.new_folder(), "new")
        done = self.follow(commands[1], new_dir, "--json")
        self.assertEqual(done.returncode, 7, done.stdout)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertFalse(lines[-1]["complete"])
        other = self.daemon(data_dir=new_dir).start()
        # Named as lost or, without a hint, as uncertain.
        named = {line["key"] for line in lines if line["type"] == "key"}
        for i in range(KEYS):
            reply = other.call("GET", f"key{i}")
            if f"key{i}" in named:
                self.assertIsNone(reply)
            elif i != 40:
                self.assertEqual(reply, value_of(i))


class SalvageAndInspect(E2eTest):

    def stopped(self):
        daemon = self.started(settings=SETTINGS)
        daemon.call("SET", "a key", "value")
        daemon.call("SETEX", b"\xff", "1000", "value")
        daemon.stop()
        return daemon

    def test_an_intact_store(self):
        daemon = self.stopped()
        new_dir = os.path.join(self.new_folder(), "new")
        done = run([KVD, "salvage", daemon.data_dir, new_dir])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"All was readable.", done.stdout)
        other = self.daemon(data_dir=new_dir).start()
        self.assertEqual(other.call("GET", "a key"), b"value")
        self.assertGreater(other.call("TTL", b"\xff"), 900)

    def test_what_it_refuses(self):
        daemon = self.stopped()
        new_dir = os.path.join(self.new_folder(), "new")
        os.mkdir(new_dir)
        with open(os.path.join(new_dir, "a file"), "w", encoding="utf-8"):
            pass
        for words, code, said in (
                (["salvage", daemon.data_dir, new_dir], 2, b"not empty"),
                (["salvage", daemon.data_dir, daemon.data_dir], 2,
                 b"not empty"),
                (["salvage", daemon.data_dir + ".no", new_dir], 2, b"no"),
                (["salvage", daemon.data_dir], 2, b"NEWDIR"),
                (["salvage"], 2, b"DIR"),
                (["salvage", "a", "b", "c"], 2, b"unexpected"),
                (["verify", "--uncertain", "a"], 2, b"--uncertain"),
                (["inspect", daemon.data_dir + "/no.seg"], 2, b"no.seg"),
                (["inspect", "--key", "k", "a"], 2, b"--records")):
            with self.subTest(words):
                done = run([KVD, *words])
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(said, done.stderr)
        self.assertEqual(os.listdir(new_dir), ["a file"])

    def test_inspect_beside_a_running_daemon(self):
        daemon = self.started(settings=SETTINGS)
        daemon.call("SET", "a key", "value")
        done = run([KVD, "inspect", daemon.data_dir, "--json", "--records"])
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        records = [line for line in lines if line["type"] == "record"]
        self.assertEqual([record["key"] for record in records], ["a key"])
        self.assertTrue(daemon.serves())
        words = run([KVD, "inspect", daemon.data_dir]).stdout
        self.assertIn(b"may be moving", words)
        one = run([KVD, "inspect", daemon.files(".seg")[0], "--records",
                   "--key", "a key"])
        self.assertIn(b'"a key"', one.stdout)
