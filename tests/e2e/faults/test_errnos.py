# SPDX-License-Identifier: MIT
"""Each errno at each call: what clients, people and scripts then hear is one of
the documented answers, and nothing that was acknowledged is lost.

A preloaded library (failing_calls.cc) makes the nth call of a kind fail, once
or from then on, in one phase of a life: a start, reads, writes, a roll, a
compaction, a stop.

    KVD_SEED=N        another sample
    KVD_ERRNO_CASES=N how many; "all" for every one
"""

import errno
import mmap
import os
import random
import shutil
import signal
import struct
import tempfile
import unittest

from harness import BIN_DIR, SANITIZED, Closed, Connection, E2eTest, ReplyError
from harness import as_map, command, say, seed_from_environment, wait_until

LIBRARY = os.path.join(BIN_DIR, "kvd_failing_calls.so")
CASES = os.environ.get("KVD_ERRNO_CASES", "40")
# In the order of Call in failing_calls.cc.
CALLS = ["open", "read", "write", "sync", "allocate", "truncate", "rename",
         "unlink", "stat", "free space", "list"]
SHORT = 0
ERRNOS = {
    errno.EIO: CALLS,
    errno.ENOMEM: CALLS,
    errno.EINTR: ["open", "read", "write", "sync", "allocate", "truncate",
                  "free space"],
    errno.ENOSPC: ["open", "write", "sync", "allocate", "rename"],
    errno.EDQUOT: ["open", "write", "sync", "allocate", "rename"],
    errno.EMFILE: ["open"],
    errno.ENFILE: ["open"],
    errno.EROFS: ["open", "write", "allocate", "truncate", "rename", "unlink"],
    SHORT: ["read", "write"],
}
PHASES = ["start", "reads", "writes", "roll", "compaction", "stop"]
SETTINGS = {
    "log.device": "thread",
    "log.segment_size": "64KiB",
    "memory.value_cache": "1MiB",
    "compaction.interval": "0s",
    "scrub.interval": "0s",
    "durability.look_interval": "10ms",
    "durability.reads_after_loss": "0s",
}
KEYS = 40
# What begins an error reply that changed nothing, and one that may have.
REFUSALS = ("DISKFULL ", "IOERR ", "DAMAGED ", "ERR ")
UNKNOWN = "IOERR outcome unknown"
# How kvd may end: as asked, cannot start, disk fault.
EXIT_CODES = {0, 1, 9}


class Control:
    """The file in which the library is told what fails."""

    def __init__(self, path):
        with open(path, "wb") as stream:
            stream.write(bytes(4096))
        with open(path, "r+b") as stream:
            self._memory = mmap.mmap(stream.fileno(), 4096)
        self.path = path

    def arm(self, call, number, nth, for_ever):
        self.disarm()
        struct.pack_into("=IiIQQQ", self._memory, 4, CALLS.index(call), number,
                         int(for_ever), nth, 0, 0)
        struct.pack_into("=I", self._memory, 0, 1)

    def disarm(self):
        struct.pack_into("=I", self._memory, 0, 0)

    def failed(self):
        return struct.unpack_from("=Q", self._memory, 32)[0]

    def counts(self):
        return struct.unpack_from(f"={len(CALLS)}Q", self._memory, 40)


class Model:
    """What each key may hold."""

    def __init__(self):
        self.allowed = {}

    def copy(self):
        model = Model()
        model.allowed = {key: set(held) for key, held in self.allowed.items()}
        return model

    def did(self, key, value):
        self.allowed[key] = {value}

    def may_have_done(self, key, value):
        self.allowed.setdefault(key, {None}).add(value)

    def wrong(self, key, value):
        return value not in self.allowed.get(key, {None})


def value_of(number, size=1500):
    return b"%d:" % number + b"v" * size


def name_of(case):
    phase, call, number, nth, for_ever = case
    what = "short" if number == SHORT else errno.errorcode[number]
    return (f"{phase}: {what} at {call} {nth}"
            f"{' and all after it' if for_ever else ''}")


class Life:
    """One daemon with the library, and what its clients know."""

    def __init__(self, test, template, model):
        self.test = test
        folder = test.new_folder()
        data = os.path.join(folder, "data")
        shutil.copytree(template, data)
        self.control = Control(os.path.join(folder, "control"))
        self.model = model.copy()
        self.written = 1000
        self.daemon = test.daemon(
            folder=folder, data_dir=data, settings=SETTINGS, env={
                "LD_PRELOAD": LIBRARY, "KVD_FAIL_DIR": data,
                "KVD_FAIL_CONTROL": self.control.path})

    def running(self):
        return self.daemon.process.running()

    def launched_and_ready(self):
        """Whether it serves; not, when it has ended."""
        self.daemon.launch()

        def ready():
            if not self.running():
                return True
            try:
                reply = self.daemon.call("KV.STATUS")
            except (OSError, Closed):
                return False
            return (not isinstance(reply, ReplyError) and
                    as_map(reply)["state"] != b"loading")

        wait_until(ready, "it serves or ends")
        return self.running()

    def exchange(self, commands):
        """Sends commands; their replies as far as they come. What does not
        come while calls fail has to come when they do no more."""
        replies = []
        try:
            with Connection(self.daemon.socket_path, 1) as client:
                client.send(b"".join(command(*words) for words in commands))
                while len(replies) < len(commands):
                    try:
                        replies.append(client.reply())
                    except TimeoutError:
                        self.control.disarm()
                        client.socket.settimeout(20)
                        replies.append(client.reply())
        except (Closed, OSError):
            pass
        return replies

    def read_all(self):
        keys = [f"key{i}" for i in range(KEYS)]
        replies = self.exchange([("GET", key) for key in keys])
        for key, reply in zip(keys, replies):
            if isinstance(reply, ReplyError):
                self.test.assertTrue(reply.startswith(REFUSALS), reply)
            else:
                self.test.assertFalse(self.model.wrong(key, reply),
                                      f"{key} holds {reply!r:.40}")

    def write(self, count):
        commands = []
        for i in range(count):
            self.written += 1
            key = f"key{self.written % KEYS}"
            if i % 7 == 6:
                commands.append(("DEL", key))
            else:
                commands.append(("SET", key, value_of(self.written)))
        replies = self.exchange(commands)
        for i, words in enumerate(commands):
            value = words[2] if words[0] == "SET" else None
            reply = replies[i] if i < len(replies) else ReplyError(UNKNOWN)
            if not isinstance(reply, ReplyError):
                self.model.did(words[1], value)
            elif reply.startswith(UNKNOWN):
                self.model.may_have_done(words[1], value)
            else:
                self.test.assertTrue(reply.startswith(REFUSALS), reply)

    def compact(self):
        for reply in self.exchange([("KV.COMPACT", "WAIT")]):
            if isinstance(reply, ReplyError):
                self.test.assertTrue(reply.startswith(("ERR ", "IOERR ")),
                                     reply)

    def do(self, phase):
        if phase == "start":
            self.launched_and_ready()
        elif phase == "reads":
            self.read_all()
        elif phase == "writes":
            self.write(6)
        elif phase == "roll":
            self.write(120)
        elif phase == "compaction":
            self.compact()
        elif phase == "stop":
            self.daemon.signal(signal.SIGTERM)
            self.daemon.process.wait(30)

    def check_end(self):
        """After the process has ended."""
        code = self.daemon.process.wait(30)
        log = self.daemon.log()
        self.test.assertIn(code, EXIT_CODES, log)
        if code == 0:
            self.test.assertIn("everything is on disk", log)
        else:
            self.test.assertRegex(log, r" error .*: ")

    def check_service(self):
        """Nothing fails any more: everything works again."""
        def takes_a_write():
            self.written += 1
            replies = self.exchange([("SET", "again", value_of(self.written))])
            if not self.running() or replies == ["OK"]:
                return True
            self.test.assertTrue(
                not replies or replies[0].startswith(REFUSALS), replies)
            return False

        wait_until(takes_a_write, "writes are taken again", 20)
        if self.running():
            wait_until(lambda: self.daemon.status()["state"] != b"full",
                       "it says so", 20)
            self.read_all()

    def check_after_restart(self):
        self.test.assertTrue(self.launched_and_ready(), self.daemon.log())
        with Connection(self.daemon.socket_path) as client:
            for i in range(KEYS):
                reply = client.call("GET", f"key{i}")
                self.test.assertFalse(self.model.wrong(f"key{i}", reply),
                                      f"key{i} holds {reply!r:.40}")
            self.test.assertEqual(client.call("SET", "after", "1"), "OK")
        self.daemon.stop()


@unittest.skipIf(not os.path.exists(LIBRARY) and not SANITIZED,
                 f"{LIBRARY} was not built")
class Errnos(E2eTest):
    """A sample of all cases."""

    release_only = True

    def template(self):
        """A store with sealed segments, hints and a tail; its model."""
        # Not new_folder(): it outlives the cleanups of each case.
        folder = tempfile.mkdtemp(prefix="kvd-", dir="/tmp")
        self.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        daemon = self.daemon(folder=folder, settings=SETTINGS)
        daemon.start()
        model = Model()
        with Connection(daemon.socket_path) as client:
            for number in range(300):
                key = f"key{number % KEYS}"
                self.assertEqual(client.call("SET", key, value_of(number)),
                                 "OK")
                model.did(key, value_of(number))
        daemon.kill()
        return daemon.data_dir, model

    def counts(self, template, model):
        """How many calls of each kind each phase makes."""
        life = Life(self, template, model)
        counts = {}
        before = life.control.counts()
        for phase in PHASES:
            life.do(phase)
            after = life.control.counts()
            counts[phase] = [b - a for a, b in zip(before, after)]
            before = after
        life.check_end()
        return counts

    def cases(self, counts):
        return [(phase, call, number, nth, for_ever)
                for phase in PHASES
                for number, calls in ERRNOS.items()
                for call in calls
                for nth in range(counts[phase][CALLS.index(call)])
                # Interrupted for ever is a call that never returns.
                for for_ever in ((False, True) if number != errno.EINTR
                                 else (False,))]

    def run_case(self, case, template, model):
        phase, *what = case
        life = Life(self, template, model)
        for earlier in PHASES[:PHASES.index(phase)]:
            # A compaction leaves nothing to compact.
            if earlier in ("start", "writes"):
                life.do(earlier)
        life.control.arm(*what)
        life.do(phase)
        if phase != "stop" and life.running():
            # Meanwhile it may meet the fault in the background.
            life.read_all()
        life.control.disarm()
        if phase != "stop" and life.running():
            life.check_service()
        if life.running():
            if random.Random(repr(case)).random() < 0.5:
                life.daemon.kill()
            else:
                life.daemon.signal(signal.SIGTERM)
                life.check_end()
        else:
            life.check_end()
        life.check_after_restart()
        shutil.rmtree(life.daemon.folder, ignore_errors=True)

    def test_a_sample(self):
        template, model = self.template()
        cases = self.cases(self.counts(template, model))
        seed = seed_from_environment(29)
        say(f"{CASES} of {len(cases)} cases, seed {seed}")
        if CASES != "all":
            # As many of each phase and kind of call as there are, then others.
            chooser = random.Random(seed)
            chooser.shuffle(cases)
            seen = set()
            first = [case for case in cases
                     if case[:3] not in seen and not seen.add(case[:3])]
            rest = [case for case in cases if case not in set(first)]
            cases = (first + rest)[:int(CASES)]
        for case in cases:
            with self.subTest(name_of(case)):
                try:
                    self.run_case(case, template, model)
                finally:
                    self.doCleanups()


if __name__ == "__main__":
    unittest.main()
