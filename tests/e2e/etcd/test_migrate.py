# SPDX-License-Identifier: MIT
"""kvctl migrate: all that a kvd has goes into etcd, and back."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
import unittest

import etcd
from harness import E2eTest, KVCTL, KVD, KVD_ETCD, run, scaled, wait_until

KEYS = scaled(1500, 500)
MIB = 1 << 20
AWKWARD = [b"", b"\x00", b"\xff\xfe", b"two\nlines", b"\r\n", b"/", b"-",
           "é".encode(), b"a/b/0/1"]


class Meddler:
    """Stands before a kvd and replaces some bytes once on their way to it."""

    def __init__(self, test, target, old, new):
        self.path = os.path.join(test.new_folder(), "sock")
        self.old, self.new = old, new
        self._target = target
        self._sockets = []
        test.addCleanup(lambda: [one.close() for one in self._sockets])
        self._listener = self._socket()
        self._listener.bind(self.path)
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _socket(self):
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sockets.append(made)
        return made

    def _accept(self):
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            self._sockets.append(client)
            server = self._socket()
            server.connect(self._target)
            for ends in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pass_on, args=ends,
                                 daemon=True).start()

    def _pass_on(self, source, target, meddles):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                if meddles and self.old and self.old in data:
                    data = data.replace(self.old, self.new, 1)
                    self.old = None
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Migrate(E2eTest):

    def setUp(self):
        etcd.require_etcd(self)
        if not os.path.exists(KVD_ETCD):
            self.skipTest("kvd-etcd is not built")
        self.node = etcd.shared_node()
        self.local = self.daemon(program=KVD, settings={
            "storage.backend": "local"}).start()

    def on_etcd(self):
        """A kvd with nothing in it."""
        kvd = self.daemon(program=KVD_ETCD)
        kvd.settings.update({
            "storage.backend": "etcd", "etcd.endpoints": self.node.endpoint,
            "etcd.prefix": kvd.folder + "/"})
        return kvd.start()

    def fill(self, kvd, keys=KEYS):
        rng = random.Random(3)
        hour = int(time.time() * 1000) + 3_600_000
        with kvd.connect() as client:
            for database in (0, 0, 7, 15):
                client.call("SELECT", database)
                commands = []
                for number in range(keys // 4):
                    key = (AWKWARD[number] if number < len(AWKWARD) else
                           b"k%d:" % number + rng.randbytes(number % 5))
                    words = ["SET", key, rng.randbytes(rng.randrange(300))]
                    if number % 3 == 0:
                        words += ["PXAT", hour + number]
                    commands.append(words)
                self.assertEqual(set(client.pipeline(commands)), {"OK"})

    def content(self, kvd):
        found = {}
        with kvd.connect() as client:
            for database in range(16):
                client.call("SELECT", database)
                for key in client.call("KEYS", "*"):
                    found[database, key] = (client.call("GET", key),
                                            client.call("PEXPIRETIME", key))
        return found

    def migrate(self, *words, code=0, on=None):
        done = (on or self.local).kvctl("migrate", *words)
        self.assertEqual(done.returncode, code, (done.stdout, done.stderr))
        return (done.stdout + done.stderr).decode()

    def test_there_and_back(self):
        self.fill(self.local)
        self.local.call("SET", "large", b"\xff" * MIB)
        expected = self.content(self.local)
        shared = self.on_etcd()
        text = self.migrate("--to-etcd", shared.socket_path, "--dry-run")
        self.assertIn(f"counted {len(expected):,} records", text)
        self.assertEqual(self.content(shared), {})

        text = self.migrate("--to-etcd", shared.socket_path)
        self.assertIn(f"moved {len(expected):,} records", text)
        self.assertIn(f"verified: {len(expected):,} keys are equal", text)
        self.assertEqual(self.content(shared), expected)

        back = self.daemon(program=KVD, settings={
            "storage.backend": "local"}).start()
        self.migrate("--from-etcd", shared.socket_path, on=back)
        self.assertEqual(self.content(back), expected)

    def test_a_report_that_cannot_be_written_is_told(self):
        shared = self.on_etcd()
        for words in ([], ["--json"]):
            done = run(["/bin/bash", "-c", 'exec "$0" "$@" >/dev/full', KVCTL,
                        "--socket", self.local.socket_path, "migrate",
                        "--to-etcd", shared.socket_path, *words])
            self.assertEqual(done.returncode, 74, done.stderr)
            self.assertIn(b"cannot write", done.stderr)

    def test_a_target_that_has_keys_is_left_alone(self):
        self.local.call("SET", "k", "new")
        shared = self.on_etcd()
        shared.call("SET", "k", "old")
        shared.call("SET", "other", "1")
        for words in ([], ["--dry-run"]):
            text = self.migrate("--to-etcd", shared.socket_path, *words, code=1)
            self.assertIn("is not empty (database 0 has 2 keys); nothing was "
                          "moved", text)
            self.assertIn("--force", text)
        text = self.migrate("--to-etcd", shared.socket_path, "--dry-run",
                            "--force")
        self.assertIn("1 are there already; nothing was written", text)
        self.assertEqual(shared.call("GET", "k"), b"old")
        self.migrate("--to-etcd", shared.socket_path, "--force")
        self.assertEqual(shared.call("MGET", "k", "other"), [b"new", b"1"])

    def test_what_etcd_cannot_take_is_told_before_anything_is_moved(self):
        self.local.call("SET", "small", "1")
        with self.local.connect() as client:
            client.call("SELECT", 3)
            client.call("SET", "huge", b"x" * (MIB + 1))
        self.local.call("SET", "large", b"x" * (2 * MIB))
        shared = self.on_etcd()
        for words in ([], ["--dry-run"], ["--force"]):
            text = self.migrate("--to-etcd", shared.socket_path, *words, code=1)
            self.assertIn("2 values are larger than 1.0 MiB", text)
            self.assertIn('"huge" in database 3, 1.0 MiB', text)
        self.assertEqual(self.content(shared), {})

    def test_the_sides_are_what_they_should_be(self):
        shared, other = self.on_etcd(), self.on_etcd()
        text = self.migrate("--to-etcd", self.local.socket_path, code=2)
        self.assertIn("has its data on its machine, not in etcd", text)
        text = self.migrate("--to-etcd", shared.socket_path, on=other, code=2)
        self.assertIn("has its data in etcd already", text)
        self.migrate(code=2)
        self.migrate("--to-etcd", "a", "--from-etcd", "b", code=2)
        self.migrate("--to-etcd", shared.socket_path, "--db", "1", code=2)
        self.assertIn("cannot reach kvd at ",
                      self.migrate("--to-etcd", "/nowhere", code=3))

    def interrupted(self, shared, number):
        """Where a migration that got a signal on its way says how far it is."""
        state = os.path.join(self.new_folder(), "state")
        words = [KVCTL, "--socket", self.local.socket_path, "migrate",
                 "--to-etcd", shared.socket_path, "--resume-file", state]
        process = subprocess.Popen(words, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        self.addCleanup(process.kill)
        wait_until(lambda: process.poll() is not None or
                   shared.call("DBSIZE") > 0, "something is moved")
        process.send_signal(number)
        process.communicate()
        # It may have been done already, or only its comparison was left.
        self.assertIn(process.returncode, (0, 130, -signal.SIGKILL))
        return state

    def test_it_goes_on_where_it_was_interrupted(self):
        self.fill(self.local, 4 * KEYS)
        expected = self.content(self.local)
        for number in (signal.SIGINT, signal.SIGKILL):
            with self.subTest(number):
                shared = self.on_etcd()
                state = self.interrupted(shared, number)
                self.migrate("--to-etcd", shared.socket_path, "--resume-file",
                             state,
                             *([] if os.path.exists(state) else ["--force"]))
                self.assertEqual(self.content(shared), expected)
                self.assertFalse(os.path.exists(state))

    def test_what_goes_wrong_at_once_can_be_gone_on_with(self):
        self.fill(self.local)
        shared = self.on_etcd()
        state = os.path.join(self.new_folder(), "state")
        evil = Meddler(self, shared.socket_path, b"PXAT", b"WHAT")
        text = self.migrate("--to-etcd", evil.path, "--resume-file", state,
                            code=6)
        self.assertIn("Go on with the same command when that is mended", text)
        evil.old = None
        text = self.migrate("--to-etcd", evil.path, "--resume-file", state)
        self.assertEqual(self.content(shared), self.content(self.local))

    def test_going_on_wants_what_was_moved_to_be_there(self):
        self.fill(self.local, 4 * KEYS)
        shared = self.on_etcd()
        state = self.interrupted(shared, signal.SIGINT)
        if not os.path.exists(state):
            self.skipTest("it was done before")
        self.assertEqual(shared.call("FLUSHALL"), "OK")
        words = ["--to-etcd", shared.socket_path, "--resume-file", state]
        text = self.migrate(*words, code=2)
        self.assertIn("is empty, but ", text)
        self.assertIn("Remove the file to begin anew", text)
        os.remove(state)
        self.migrate(*words)
        self.assertEqual(self.content(shared), self.content(self.local))

    def test_a_key_that_only_the_target_has_is_told(self):
        self.fill(self.local)
        shared = self.on_etcd()
        state = self.interrupted(shared, signal.SIGKILL)
        resume = (["--resume-file", state] if os.path.exists(state) else
                  ["--force"])
        # What was moved already is deleted: going on cannot see that.
        with shared.connect() as client:
            moved = client.call("SCAN", 0, "COUNT", 1)[1][0]
        self.assertEqual(self.local.call("DEL", moved), 1)
        text = self.migrate("--to-etcd", shared.socket_path, *resume,
                            code=0 if "--force" in resume else 1)
        self.assertIn("1 key is in kvd at " + shared.socket_path + " alone: "
                      "deleted from the other side meanwhile", text)
        # Asked for all the same, it may stay.
        text = self.migrate("--to-etcd", shared.socket_path, "--force")
        self.assertIn("1 key is in kvd at ", text)
        text = self.migrate("--to-etcd", shared.socket_path, "--force",
                            "--json")
        self.assertEqual(json.loads(text)["extra"], 1)
        shared.call("DEL", moved)
        text = self.migrate("--to-etcd", shared.socket_path, "--force")
        self.assertNotIn("alone", text)

    def test_each_key_is_compared(self):
        for number in range(50):
            self.local.call("SET", f"k{number}", f"value-{number}-")
        deadline = int(time.time() * 1000) + 3_600_000
        self.local.call("SET", "k", "v", "PXAT", deadline)
        for old, new, named, extra in (
                (b"value-7-", b"value-8-", "k7", 0),
                (b"%d" % deadline, b"%d" % (deadline + 1), "k", 0),
                (b"$2\r\nk9\r\n$8", b"$2\r\nkX\r\n$8", "k9", 1)):
            with self.subTest(named):
                evil = Meddler(self, self.on_etcd().socket_path, old, new)
                text = self.migrate("--to-etcd", evil.path, code=1)
                self.assertIn("50 keys are equal, 1 differ", text)
                self.assertIn(f'\n  "{named}"\n', text)
                self.assertEqual('"kX"' in text, extra == 1)


if __name__ == "__main__":
    unittest.main()
