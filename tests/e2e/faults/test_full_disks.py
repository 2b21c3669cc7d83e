# SPDX-License-Identifier: MIT
"""ext4, xfs and btrfs that are full to the last byte, each in a file of its own
behind a loop device.

The mounts are in a namespace of this process and vanish with it.
"""

import contextlib
import ctypes
import errno
import os
import shutil
import signal
import unittest

from harness import Closed, Connection, E2eTest, ReplyError, command, run
from harness import wait_until

_CLONE_NEWNS = 0x20000
_libc = ctypes.CDLL(None, use_errno=True)

MIB = 1 << 20
VALUE = b"v" * 20_000
# How a file system of which size is made; what it holds at least is given by
# its tools.
FILE_SYSTEMS = {
    "ext4": (48, ["mkfs.ext4", "-q", "-F"]),
    "xfs": (320, ["mkfs.xfs", "-q", "-f"]),
    "btrfs": (160, ["mkfs.btrfs", "-q", "-f"]),
}


def setUpModule():
    if os.geteuid() != 0:
        raise unittest.SkipTest("mounting takes root")
    if _libc.unshare(_CLONE_NEWNS) != 0:
        raise unittest.SkipTest(
            f"no mount namespace here: {os.strerror(ctypes.get_errno())}")
    run(["mount", "--make-rprivate", "/"])


class Disk:
    """A mounted file system of its own."""

    def __init__(self, test, kind):
        size_mib, make = FILE_SYSTEMS[kind]
        if shutil.which(make[0]) is None:
            test.skipTest(f"{make[0]} is not installed")
        folder = test.new_folder()
        image = os.path.join(folder, "image")
        with open(image, "wb") as stream:
            stream.truncate(size_mib * MIB)
        made = run([*make, image])
        test.assertEqual(made.returncode, 0, made.stderr)
        self.path = os.path.join(folder, "disk")
        self.filler = os.path.join(self.path, "filler")
        os.mkdir(self.path)
        # The device goes with the mount.
        mounted = run(["mount", "-o", "loop", image, self.path])
        if mounted.returncode != 0:
            test.skipTest(f"no loop device with {kind} here: "
                          f"{mounted.stderr.decode()}")
        test.addCleanup(run, ["umount", "-l", self.path])

    def fill(self):
        """Takes every byte that there is."""
        handle = os.open(self.filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for size in (MIB, 64 << 10, 4096, 512):
                with contextlib.suppress(_NoSpace):
                    while True:
                        _write(handle, os.urandom(size))
        finally:
            os.close(handle)

    def make_room(self):
        os.unlink(self.filler)
        run(["sync", "-f", self.path])


class _NoSpace(Exception):
    pass


def _write(handle, data):
    try:
        os.write(handle, data)
        # What is only in memory may find no room later.
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _NoSpace from error


class FullDisks(E2eTest):
    """Writers hear of it or wait, the others go on, and nothing is lost."""

    release_only = True

    def on_a_full_disk(self, kind):
        """A daemon on a full disk, and the values that were acknowledged."""
        disk = Disk(self, kind)
        daemon = self.daemon(data_dir=os.path.join(disk.path, "data"),
                             settings={"log.segment_size": "1MiB",
                                       "compaction.interval": "0s"})
        daemon.start()
        acknowledged = {}
        client = daemon.connect()
        for i in range(100):
            value = b"%d:" % i + VALUE
            self.assertEqual(client.call("SET", f"key{i}", value), "OK")
            acknowledged[f"key{i}"] = value
        disk.fill()
        self.waiting = self.write_until_it_is_full(daemon, acknowledged)
        return disk, daemon, acknowledged

    def write_until_it_is_full(self, daemon, acknowledged):
        """The writer that waits then, with its key and value, or None."""
        client = Connection(daemon.socket_path, 2)
        self.addCleanup(client.close)
        for i in range(100, 1000):
            key, value = f"key{i}", b"%d:" % i + VALUE
            client.send(command("SET", key, value))
            try:
                reply = client.reply()
            except TimeoutError:
                client.socket.settimeout(60)
                return client, key, value
            if reply != "OK":
                self.assertIsInstance(reply, ReplyError)
                self.assertTrue(reply.startswith("DISKFULL "), reply)
                return None
            acknowledged[key] = value
        raise AssertionError("the disk never fills")

    def check(self, daemon, acknowledged, others=()):
        client = daemon.connect()
        for key, value in acknowledged.items():
            self.assertEqual(client.call("GET", key), value, key)
        allowed = {key.encode() for key in (*acknowledged, *others)}
        self.assertLessEqual(set(client.call("KEYS", "*")), allowed)

    def check_it_goes_on(self, daemon, acknowledged):
        """Reads at once; a removal at once or when there is room."""
        self.check(daemon, acknowledged,
                   [self.waiting[1]] if self.waiting else [])
        self.assertEqual(daemon.call("PING"), "PONG")
        if self.waiting is None:
            self.assertEqual(daemon.call("DEL", "key0"), 1)
            del acknowledged["key0"]

    def check_it_resumes(self, daemon, acknowledged):
        if self.waiting is not None:
            client, key, value = self.waiting
            if self.may_have_ended:
                with contextlib.suppress(Closed):
                    client.reply()
            else:
                self.assertEqual(client.reply(), "OK")
            acknowledged[key] = value

        def takes_a_write():
            reply = daemon.call("SET", "again", "1")
            self.assertIn(str(reply).split(" ", maxsplit=1)[0],
                          ("OK", "DISKFULL"))
            return reply == "OK"

        wait_until(takes_a_write, "service resumes")
        acknowledged["again"] = b"1"
        wait_until(lambda: daemon.status()["state"] == b"ok", "it says so")
        self.check(daemon, acknowledged)

    def run_through(self, kind):
        with self.subTest("it resumes by itself, and stops cleanly"):
            disk, daemon, acknowledged = self.on_a_full_disk(kind)
            self.may_have_ended = False
            self.check_it_goes_on(daemon, acknowledged)
            disk.make_room()
            self.check_it_resumes(daemon, acknowledged)
            daemon.restart()
            self.check(daemon, acknowledged)
            daemon.stop()

        with self.subTest("kill -9 and a start on the full disk"):
            disk, daemon, acknowledged = self.on_a_full_disk(kind)
            waiting = [self.waiting[1]] if self.waiting else []
            daemon.kill()
            daemon.start()
            self.check(daemon, acknowledged, waiting)
            disk.make_room()
            self.waiting = None
            wait_until(lambda: daemon.call("SET", "again", "1") == "OK",
                       "service resumes")
            daemon.kill()
            daemon.start()
            self.check(daemon, acknowledged, ["again", *waiting])
            daemon.stop()

        with self.subTest("life after life, and others take what is free"):
            disk, daemon, acknowledged = self.on_a_full_disk(kind)
            waiting = [self.waiting[1]] if self.waiting else []
            for _ in range(6):
                daemon.kill()
                disk.fill()
                daemon.start()
                self.check(daemon, acknowledged, waiting)
                disk.fill()
            daemon.stop()
            disk.fill()
            daemon.start()
            self.check(daemon, acknowledged, waiting)
            daemon.stop()

        with self.subTest("a stop on the full disk"):
            disk, daemon, acknowledged = self.on_a_full_disk(kind)
            waiting = [self.waiting[1]] if self.waiting else []
            daemon.signal(signal.SIGTERM)
            code = daemon.process.wait()
            log = daemon.log()
            # What waits for room is not on disk when it ends.
            self.assertIn(code, (0, 9) if waiting else (0,), log)
            self.assertEqual(code == 0, "everything is on disk" in log)
            daemon.start()
            self.check(daemon, acknowledged, waiting)
            disk.make_room()
            wait_until(lambda: daemon.call("SET", "again", "1") == "OK",
                       "service resumes")
            self.check(daemon, acknowledged, ["again", *waiting])
            daemon.stop()

    def test_ext4(self):
        self.run_through("ext4")

    def test_xfs(self):
        self.run_through("xfs")

    def test_btrfs(self):
        self.run_through("btrfs")


if __name__ == "__main__":
    unittest.main()
