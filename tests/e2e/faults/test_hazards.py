# SPDX-License-Identifier: MIT
"""What goes wrong around a daemon, and what then happens."""

import contextlib
import errno
import os
import re
import resource
import select
import shutil
import socket
import stat
import subprocess
import threading
import time
import unittest

from harness import KVD, ROOT, SANITIZED, Closed, Connection, E2eTest
from harness import ReplyError, command, run, scaled, wait_until
from small_disk import SmallDisk

KEYS = 400


def fill(daemon, count=KEYS, size=500):
    """Some keys with values that tell which key they belong to."""
    with Connection(daemon.socket_path) as client:
        replies = client.pipeline([("SET", f"key{i}", f"{i}:" + "v" * size)
                                   for i in range(count)])
        assert set(replies) == {"OK"}, replies


def check_filled(test, daemon, count=KEYS, size=500):
    with Connection(daemon.socket_path) as client:
        test.assertEqual(
            client.pipeline([("GET", f"key{i}") for i in range(count)]),
            [f"{i}:".encode() + b"v" * size for i in range(count)])


def overwrite(path, offset, data):
    with open(path, "r+b") as stream:
        stream.seek(offset)
        stream.write(data)


def flip(path, offset, bit=0):
    with open(path, "r+b") as stream:
        stream.seek(offset)
        byte = stream.read(1)[0]
        stream.seek(offset)
        stream.write(bytes([byte ^ (1 << bit)]))


class OneOwner(E2eTest):
    """The directory, the socket, and who has them."""

    def test_a_second_daemon_on_the_directory_is_refused(self):
        first = self.started()
        second = self.daemon(data_dir=first.data_dir)
        code, log = second.refuses_to_start()
        self.assertEqual(code, 3, log)
        self.assertIn(first.data_dir, log)
        self.assertIn(str(first.process.pid), log)
        self.assertTrue(first.serves())
        self.assertFalse(os.path.exists(second.socket_path))
        result = run([KVD, "verify", first.data_dir])
        self.assertEqual(result.returncode, 3)
        self.assertIn(str(first.process.pid), result.stderr.decode())
        # After it has gone, even with -9, the directory is free.
        first.kill()
        second.start()

    def test_a_socket_that_another_daemon_serves_is_not_taken_over(self):
        first = self.started()
        first.call("SET", "k", "v")
        second = self.daemon(socket_path=first.socket_path)
        code, log = second.refuses_to_start()
        self.assertEqual(code, 1, log)
        self.assertIn(first.socket_path, log)
        self.assertEqual(first.call("GET", "k"), b"v")

    def test_a_stale_socket_is_replaced(self):
        daemon = self.started()
        daemon.kill()
        self.assertTrue(stat.S_ISSOCK(os.stat(daemon.socket_path).st_mode))
        daemon.start()
        daemon.stop()
        self.assertFalse(os.path.exists(daemon.socket_path))

    def test_a_restart_leaves_the_new_daemons_socket_alone(self):
        first = self.started()
        first.call("SET", "k", "v")
        for _ in range(3):
            first.kill()
            first.start()
        self.assertEqual(first.call("GET", "k"), b"v")
        # Nothing temporary stays beside the socket.
        self.assertEqual([name for name in os.listdir(first.folder)
                          if name.startswith(("sock", ".")) and name != "sock"],
                         [])

    def test_what_is_no_socket_stays_untouched(self):
        folder = self.new_folder()
        target = os.path.join(folder, "target")
        path = os.path.join(folder, "s")
        os.symlink(target, path)
        code, log = self.daemon(socket_path=path).refuses_to_start()
        self.assertEqual(code, 1, log)
        self.assertIn("symbolic link", log)
        self.assertEqual(os.readlink(path), target)
        os.unlink(path)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write("precious")
        code, log = self.daemon(socket_path=path).refuses_to_start()
        self.assertEqual(code, 1, log)
        self.assertIn("not a socket", log)
        with open(path, encoding="utf-8") as stream:
            self.assertEqual(stream.read(), "precious")

    def test_a_path_longer_than_the_kernel_takes_is_refused(self):
        folder = self.new_folder()
        longest = os.path.join(folder, "s" * (107 - len(folder) - 1))
        daemon = self.started(socket_path=longest)
        daemon.stop()
        code, log = self.daemon(
            socket_path=longest + "s").refuses_to_start()
        self.assertEqual(code, 2, log)
        self.assertIn("107", log)
        self.assertEqual(os.listdir(folder), [])

    def test_a_socket_folder_that_does_not_exist_is_named(self):
        path = os.path.join(self.new_folder(), "none", "s")
        code, log = self.daemon(socket_path=path).refuses_to_start()
        self.assertEqual(code, 1, log)
        self.assertIn(path, log)

    def test_the_sockets_mode_is_as_configured(self):
        daemon = self.started()
        self.assertEqual(stat.S_IMODE(os.stat(daemon.socket_path).st_mode),
                         0o660)
        daemon.stop()
        daemon.settings["socket.mode"] = "0600"
        daemon.start()
        self.assertEqual(stat.S_IMODE(os.stat(daemon.socket_path).st_mode),
                         0o600)

    def test_the_data_is_for_its_owner_only(self):
        daemon = self.started()
        daemon.call("SET", "k", "v")
        self.assertEqual(os.stat(daemon.data_dir).st_mode & 0o077, 0)
        daemon.stop()  # Files come and go beneath one that runs.
        for name in os.listdir(daemon.data_dir):
            path = os.path.join(daemon.data_dir, name)
            self.assertEqual(os.stat(path).st_mode & 0o077, 0, name)


class Disk(E2eTest):
    """Directories that cannot be written, disks that fill and disks that
    fail."""

    def execute(self, client, *commands):
        """MULTI, these commands and EXEC, whose reply it returns."""
        for words in (("MULTI",), *commands):
            client.call(*words)
        return client.call("EXEC")

    def test_a_read_only_directory_is_refused_with_its_name(self):
        disk = SmallDisk(self, "size=8m")
        daemon = self.daemon(data_dir=os.path.join(disk.path, "data"))
        daemon.settings["log.segment_size"] = "256KiB"
        daemon.start()
        daemon.call("SET", "k", "v")
        daemon.stop()
        disk.remount("ro")
        code, log = daemon.refuses_to_start()
        self.assertEqual(code, 9, log)
        self.assertIn(daemon.data_dir, log)
        self.assertRegex(log, "[Rr]ead-only")
        # Reading is all that verify needs.
        result = run([KVD, "verify", daemon.data_dir])
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        disk.remount("rw")
        daemon.start()
        self.assertEqual(daemon.call("GET", "k"), b"v")

    def test_a_missing_parent_is_refused(self):
        path = os.path.join(self.new_folder(), "no", "data")
        code, log = self.daemon(data_dir=path).refuses_to_start()
        self.assertEqual(code, 1, log)
        self.assertIn(path, log)

    def test_a_full_disk(self):
        disk = SmallDisk(self, "size=12m")
        daemon = self.daemon(data_dir=os.path.join(disk.path, "data"))
        daemon.settings["log.segment_size"] = "1MiB"
        # What compaction does about it is another test.
        daemon.settings["compaction.interval"] = "0s"
        daemon.start()
        client = daemon.connect()
        value = "v" * 50_000
        written = 0
        while True:
            reply = client.call("SET", f"key{written}", value)
            if reply != "OK":
                break
            written += 1
            self.assertLess(written, 1000, "the disk never fills")
        self.assertIsInstance(reply, ReplyError)
        self.assertTrue(reply.startswith("DISKFULL "), reply)
        self.assertGreater(written, 50)
        # Nothing of the refused write is there, reads and deletes go on.
        self.assertEqual(client.call("EXISTS", f"key{written}"), 0)
        self.assertEqual(client.call("DBSIZE"), written)
        self.assertEqual(client.call("GET", "key0"), value.encode())
        self.assertEqual(client.call("PING"), "PONG")
        self.assertTrue(client.call("MSET", "a", value, "b", value)
                        .startswith("DISKFULL "))
        self.assertEqual(client.call("EXISTS", "a", "b"), 0)
        # A transaction is refused as a whole, or only removes.
        refused = self.execute(client, ("SET", "a", "1"), ("DEL", "key0"),
                               ("SET", "b", value))
        self.assertTrue(refused.startswith("EXECABORT "), refused)
        self.assertIn("DISKFULL ", refused)
        self.assertEqual(client.call("EXISTS", "a", "b", "key0"), 1)
        self.assertEqual(
            self.execute(client, ("DEL", "key0"), ("DEL", "key1")), [1, 1])
        for i in range(2, 5):
            self.assertEqual(client.call("DEL", f"key{i}"), 1)
        self.assertEqual(daemon.status()["state"], b"full")
        self.assertIn("full", daemon.kvctl("status").stdout.decode())
        alive = {b"key%d" % i for i in range(5, written)}

        with self.subTest("a crash and a start on the full disk"):
            daemon.kill()
            daemon.start()
            client = daemon.connect()
            self.assertEqual(set(client.call("KEYS", "*")), alive)
            self.assertEqual(client.call("GET", "key7"), value.encode())
            self.assertEqual(client.call("DEL", "key5"), 1)
            alive.remove(b"key5")

        with self.subTest("a clean stop and a start on the full disk"):
            daemon.stop()
            daemon.start()
            client = daemon.connect()
            self.assertEqual(set(client.call("KEYS", "*")), alive)

        with self.subTest("service resumes by itself"):
            # Whether what is left takes one more write is not the point: fill
            # it, then make room.
            def refused():
                reply = client.call("SET", "more", value)
                return reply if isinstance(reply, ReplyError) else None

            for _ in range(1000):
                if refused():
                    break
            self.assertTrue(refused(), "the disk never fills again")
            disk.remount("size=40m")
            wait_until(lambda: client.call("SET", "more", value) == "OK",
                       "writes resume")
            alive.add(b"more")
            for i in range(40):
                self.assertEqual(client.call("SET", f"new{i}", value), "OK")
                alive.add(b"new%d" % i)
            self.assertEqual(daemon.status()["state"], b"ok")
            daemon.restart()
            self.assertEqual(set(daemon.call("KEYS", "*")), alive)

    def test_a_start_on_a_disk_without_a_free_byte(self):
        disk = SmallDisk(self, "size=12m")
        daemon = self.daemon(data_dir=os.path.join(disk.path, "data"))
        daemon.settings["log.segment_size"] = "1MiB"
        spare = os.path.join(daemon.data_dir, "MANIFEST.tmp")
        daemon.start()
        fill(daemon)
        for life in range(4):
            with self.subTest(life=life):
                if life % 2 == 0:
                    daemon.kill()
                else:
                    daemon.stop()
                self.take_every_byte(disk)
                daemon.start()
                check_filled(self, daemon)
                # What the start gave back others may take, too, but for the
                # space of the next MANIFEST.
                wait_until(lambda: os.path.exists(spare)
                           and os.path.getsize(spare) > 0, "the spare")
                self.take_every_byte(disk)

    def take_every_byte(self, disk):
        with open(os.path.join(disk.path, "filler"), "ab", 0) as file:
            for size in (1 << 16, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError as error:
                    self.assertEqual(error.errno, errno.ENOSPC)

    @unittest.skipIf(SANITIZED, "sanitizers take descriptors to look at types")
    def test_few_descriptors_are_a_shortage_not_a_full_disk(self):
        for descriptors in range(6, 30, 2):
            with self.subTest(descriptors=descriptors):
                daemon = self.daemon(limits={
                    resource.RLIMIT_NOFILE: (descriptors, descriptors)})
                daemon.launch()
                answer = self.first_answer(daemon)
                log = daemon.log()
                self.assertNotIn("check failed", log.lower())
                self.assertNotIn("DISKFULL", str(answer))
                self.assertNotIn("no room", log)
                if answer is None:
                    self.assertEqual(daemon.process.wait(), 1, log)
                    self.assertRegex(log, "[Tt]oo many open files")
                else:
                    daemon.process.kill()
                    daemon.process.wait()

    def first_answer(self, daemon):
        """To a SET; None when the daemon ends instead."""
        wait_until(lambda: not daemon.process.running()
                   or os.path.exists(daemon.socket_path), "a start or an end")
        try:
            return daemon.connect(seconds_max=1).call("SET", "k", "v")
        except (OSError, Closed):
            pass
        time.sleep(0.1)  # It may be about to end.
        return "waits" if daemon.process.running() else None

    def test_a_limit_on_file_sizes_is_an_error_not_a_signal(self):
        limit = 2 << 20
        daemon = self.daemon(
            limits={resource.RLIMIT_FSIZE: (limit, limit)},
            settings={"log.segment_size": "1MiB"})
        daemon.start()
        client = daemon.connect()
        self.assertEqual(client.call("SET", "k", "v" * 1000), "OK")
        # Would need a file of its own that is larger than allowed.
        reply = client.call("SET", "large", bytes(limit))
        self.assertIsInstance(reply, ReplyError)
        self.assertEqual(client.call("EXISTS", "large"), 0)
        wait_until(lambda: client.call("SET", "k", "w") == "OK", "small writes")
        daemon.restart()
        self.assertEqual(daemon.call("GET", "k"), b"w")

    def test_the_device_that_works_here_is_used_and_named(self):
        daemon = self.started()
        info = daemon.info()
        self.assertEqual(info["kvd_log_device"], devices(self)[-1])
        daemon.stop()
        daemon.settings["log.device"] = "thread"
        info = daemon.start().info()
        self.assertEqual(info["kvd_log_device"], "thread")
        self.assertNotIn("kvd_log_device_why", info)

    def test_without_io_uring_a_thread_writes(self):
        daemon = self.daemon(env={"LD_PRELOAD": preload(build_shim(self)),
                                  "NO_IO_URING": "1"})
        info = daemon.start().info()
        self.assertEqual(info["kvd_log_device"], "thread")
        self.assertIn("io_uring: set up a ring: Operation not permitted",
                      info["kvd_log_device_why"])
        fill(daemon)
        daemon.kill()
        daemon.start()
        check_filled(self, daemon)
        daemon.stop()
        daemon.settings["log.device"] = "io_uring"
        code, log = daemon.refuses_to_start()
        self.assertEqual(code, 1)
        self.assertIn("io_uring: set up a ring: Operation not permitted", log)

    test_without_io_uring_a_thread_writes.release_only = True  # LD_PRELOAD.

    def test_each_device_opens_what_the_other_wrote(self):
        daemon = self.daemon(settings={"log.segment_size": "64KiB"})
        for life, device in enumerate(devices(self) * 2):
            daemon.settings["log.device"] = device
            daemon.start()
            if life > 0:
                check_filled(self, daemon)
            fill(daemon)
            daemon.kill()

    def test_a_disk_that_fails_to_flush(self):
        shim = build_shim(self)
        for device, call in (("thread", "sync"), ("thread", "write"),
                             ("io_uring", "submit"), ("io_uring", "complete")):
            with self.subTest(device=device, call=call):
                if device not in devices(self):
                    self.skipTest("no io_uring here")
                switch = os.path.join(self.new_folder(), "fail")
                daemon = self.started(
                    env={"LD_PRELOAD": preload(shim), "FAIL_IF": switch,
                         "FAIL_CALL": call},
                    settings={"durability.declare_after": "1h",
                              "log.device": device})
                client = daemon.connect()
                reader = daemon.connect()
                self.assertEqual(client.call("SET", "safe", "1"), "OK")
                # Nothing else is about to be written but what follows.
                wait_for_prepared(daemon)
                with open(switch, "w", encoding="utf-8"):
                    pass
                client.send(command("SET", "lost", "1"))
                reply = client.reply()
                self.assertIsInstance(reply, ReplyError)
                self.assertIn("outcome unknown", reply)
                self.assertEqual(client.rest(), b"")
                self.assertEqual(daemon.process.wait(), 9, daemon.log())
                self.assertIn("disk fault", daemon.log())
                self.assertEqual(reader.rest(), b"")
                os.unlink(switch)
                daemon.start()
                self.assertIn("after an unclean stop", daemon.log())
                self.assertEqual(daemon.call("GET", "safe"), b"1")

    test_a_disk_that_fails_to_flush.release_only = True  # LD_PRELOAD.

    def test_nobody_sees_what_a_stalled_disk_has_not_taken(self):
        shim = build_shim(self)
        for device in devices(self):
            with self.subTest(device=device):
                self.check_a_stalled_disk(shim, device)

    test_nobody_sees_what_a_stalled_disk_has_not_taken.release_only = True

    def check_a_stalled_disk(self, shim, device):
        switch = os.path.join(self.new_folder(), "stall")
        daemon = self.started(env={"LD_PRELOAD": preload(shim),
                                   "STALL_IF": switch},
                              settings={"limits.open_group": "64KiB",
                                        "log.device": device})
        writer, reader = daemon.connect(), daemon.connect()
        self.assertEqual(writer.call("MSET", "old", "1", "gone", "1"), "OK")
        with open(switch, "w", encoding="utf-8"):
            pass
        try:
            writer.send(command("SET", "new", "1") + command("DEL", "gone"))
            # What depends on nothing undurable is served; what would show the
            # writes waits.
            self.assertEqual(reader.call("GET", "old"), b"1")
            self.assertEqual(reader.call("PING"), "PONG")
            self.assertEqual(reader.call("GET", "never"), None)
            waiting = [daemon.connect() for _ in range(4)]
            for client, words in zip(waiting, [
                    ("GET", "new"), ("GET", "gone"), ("DBSIZE",),
                    ("SETNX", "new", "2")]):
                client.send(command(*words))
            # A writer that fills the open group waits; readers do not.
            flood = daemon.connect()
            sender = threading.Thread(daemon=True, target=flood.send, args=(
                b"".join(command("SET", f"f{i}", "x" * 10_000)
                         for i in range(100)),))
            sender.start()
            wait_until(lambda: int(daemon.info()["blocked_clients"]) > 0,
                       "a writer waits")
            self.assertEqual(reader.call("GET", "old"), b"1")
            time.sleep(0.2)
            for client in [writer, flood, *waiting]:
                self.assertEqual(select.select([client.socket], [], [], 0)[0],
                                 [], "an answer too early")
            wait_until(lambda: daemon.status()["state"] == b"degraded",
                       "status tells")
            self.assertEqual(daemon.kvctl("get", "old").stdout, b"1")
        finally:
            os.unlink(switch)
        self.assertEqual([writer.reply(), writer.reply()], ["OK", 1])
        self.assertEqual([client.reply() for client in waiting],
                         [b"1", None, 2, 0])
        self.assertEqual([flood.reply() for _ in range(100)], ["OK"] * 100)
        sender.join()
        wait_until(lambda: daemon.status()["state"] == b"ok", "status recovers")


def wait_for_prepared(daemon):
    """Waits until the next segment is made and the MANIFEST says so."""
    def is_prepared():
        path = os.path.join(daemon.data_dir, "MANIFEST")
        with open(path, encoding="utf-8") as stream:
            return re.search("^prepared ", stream.read(), re.MULTILINE)

    wait_until(is_prepared, "the next segment is prepared")
    time.sleep(0.1)


def devices(test):
    """What log.device can be here, the best one last."""
    probe = test.daemon(settings={"log.device": "io_uring"}).launch()
    try:
        probe.wait_ready()
    except AssertionError:
        return ["thread"]
    probe.stop()
    return ["thread", "io_uring"]


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>
static int fails(const char* call) {
  const char* path = getenv("FAIL_IF");
  const char* which = getenv("FAIL_CALL");
  return path && which && strcmp(which, call) == 0 && access(path, F_OK) == 0;
}
static int stalls(void) {
  const char* path = getenv("STALL_IF");
  return path && access(path, F_OK) == 0;
}
static void stall(void) {
  while (stalls()) usleep(2000);
}
int fdatasync(int fd) {
  stall();
  if (fails("sync")) { errno = EIO; return -1; }
  return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
int fsync(int fd) {
  stall();
  if (fails("sync")) { errno = EIO; return -1; }
  return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t at) {
  if (fails("write")) { errno = EIO; return -1; }
  return ((ssize_t (*)(int, const void*, size_t, off64_t))
              dlsym(RTLD_NEXT, "pwrite64"))(fd, data, size, at);
}
ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  return pwrite64(fd, data, size, at);
}
static void* end_stall(void* pipe_end) {
  stall();
  close((int)(long)pipe_end);
  return NULL;
}
// What kvd is about to submit waits for the end of the stall: for a pipe that
// is closed then.
static void hold(struct io_uring* ring) {
  struct io_uring_sq* queue = &ring->sq;
  struct io_uring_sqe* next = &queue->sqes[queue->sqe_head & *queue->kring_mask];
  if (io_uring_sq_ready(ring) != 1 || next->opcode != IORING_OP_WRITE) return;
  const struct io_uring_sqe held = *next;
  int ends[2];
  pthread_t thread;
  if (pipe(ends) != 0 ||
      pthread_create(&thread, NULL, end_stall, (void*)(long)ends[1]) != 0) {
    abort();
  }
  io_uring_prep_poll_add(next, ends[0], POLLIN);
  next->flags = IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
  *io_uring_get_sqe(ring) = held;
}
int io_uring_submit(struct io_uring* ring) {
  if (fails("submit")) return -EIO;
  if (stalls()) hold(ring);
  // A descriptor that is none: the kernel completes with an error.
  if (fails("complete")) {
    for (unsigned i = 0; i < ring->sq.ring_entries; ++i) {
      ring->sq.sqes[i].fd = -1;
    }
  }
  return ((int (*)(struct io_uring*))dlsym(RTLD_NEXT, "io_uring_submit"))(ring);
}
int io_uring_queue_init(unsigned entries, struct io_uring* ring,
                        unsigned flags) {
  if (getenv("NO_IO_URING")) return -EPERM;
  return ((int (*)(unsigned, struct io_uring*, unsigned))dlsym(
      RTLD_NEXT, "io_uring_queue_init"))(entries, ring, flags);
}
"""


def build_shim(test):
    """A library to preload whose flushes and writes fail on command."""
    folder = test.new_folder()
    source = os.path.join(folder, "shim.c")
    with open(source, "w", encoding="utf-8") as stream:
        stream.write(SHIM)
    library = os.path.join(folder, "shim.so")
    result = run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source,
                  "-ldl"])
    test.assertEqual(result.returncode, 0, result.stderr)
    return library


def preload(library):
    return " ".join(filter(None, [os.environ.get("LD_PRELOAD"), library]))


class Configuration(E2eTest):
    """Settings that are not good are refused before anything happens."""

    def write(self, text):
        path = os.path.join(self.new_folder(), "kvd.toml")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        return path

    def test_bad_files_are_refused_with_place_and_remedy(self):
        for text, expected in (
                ('[durability]\nsnc = "always"\n',
                 [":2:1", "snc", "durability.sync"]),
                ('[durability]\nsync = "alwys"\n',
                 [":2:", "alwys", '"always"', '"interval"', '"never"']),
                ('[limits]\nvalue_size = "1KB"\n', [":2:", "value_size"]),
                ('[limits]\nvalue_size = "1TiB"\n', [":2:", "512MiB"]),
                ('[limits]\nconnections = "ten"\n', [":2:", "whole number"]),
                ('[limits\n', [":1:"]),
                ('data_dir = 5\n', [":1:", "data_dir"]),
                ('[compacton]\n', [":1:", "compacton"])):
            with self.subTest(text=text):
                path = self.write(text)
                check = run([KVD, "check-config", "--config", path])
                self.assertEqual(check.returncode, 2, check.stderr)
                daemon = self.daemon()
                code, log = daemon.refuses_to_start("--config", path)
                self.assertEqual(code, 2, log)
                for part in [path, *expected]:
                    self.assertIn(part, log)
                    self.assertIn(part, check.stderr.decode())
                self.assertFalse(os.path.exists(daemon.data_dir))

    def test_bad_settings_on_the_command_line_are_refused(self):
        for setting, expected in (("durability.snc=always", "durability.sync"),
                                  ("durability.sync=alwys", "alwys"),
                                  ("nonsense", "nonsense")):
            with self.subTest(setting=setting):
                daemon = self.daemon()
                code, log = daemon.refuses_to_start("--set", setting)
                self.assertEqual(code, 2, log)
                self.assertIn(expected, log)
        for words in (["--nope"], ["frobnicate"], ["verify"],
                      ["--config", "/nonexistent.toml"]):
            with self.subTest(words=words):
                self.assertEqual(run([KVD, *words]).returncode, 2)

    def test_check_config_refuses_what_the_start_refuses(self):
        file = os.path.join(self.new_folder(), "file")
        open(file, "w", encoding="utf-8").close()
        folders = {}
        for mode in (0o777, 0o770, 0o1777, 0o702):
            folders[mode] = self.new_folder()
            os.chmod(folders[mode], mode)
        for settings, expected in (
                ({"socket.path": "/tmp/" + "s" * 159}, "164"),
                ({"socket.path": f"/tmp/{'f' * 94}/s"}, "100"),
                ({"socket.group": "no-such-group"}, "no-such-group"),
                ({"data_dir": file}, "not a directory"),
                ({"data_dir": "/tmp/" + "d" * 256}, "too long"),
                *(({"data_dir": folder}, f"{mode:04o}")
                  for mode, folder in folders.items())):
            with self.subTest(settings=settings):
                daemon = self.daemon(settings=settings)
                daemon.data_dir = settings.get("data_dir", daemon.data_dir)
                daemon.socket_path = settings.get("socket.path",
                                                  daemon.socket_path)
                check = run(daemon.arguments("check-config"))
                self.assertEqual(check.returncode, 2, check.stdout)
                code, log = daemon.refuses_to_start()
                self.assertEqual(code, 2, log)
                for text in (log, check.stderr.decode()):
                    self.assertIn(expected, text)
        # What is mended is taken.
        os.chmod(folders[0o777], 0o755)
        daemon = self.daemon(data_dir=folders[0o777])
        self.assertEqual(run(daemon.arguments("check-config")).returncode, 0)
        daemon.start()

    def test_a_data_directory_of_somebody_else_is_told_of(self):
        if os.geteuid() != 0:
            self.skipTest("giving a directory away takes root")
        folder = self.new_folder()
        os.chown(folder, 65534, 65534)
        daemon = self.started(data_dir=folder)
        self.assertIn("belongs to user 65534", daemon.log())

    def test_an_empty_option_does_not_mean_the_default(self):
        for option in ("--config", "--data-dir", "--socket", "--set"):
            for words in ([option, ""], [option + "="], [option]):
                for command in ("run", "check-config"):
                    with self.subTest(words=words, command=command):
                        result = run([KVD, command, *words])
                        self.assertEqual(result.returncode, 2, result.stderr)
                        self.assertIn(option, result.stderr.decode())
        self.assertEqual(run([KVD, "verify", ""]).returncode, 2)

    def test_the_command_line_wins_over_the_file(self):
        path = self.write('[limits]\nvalue_size = "2KiB"\n'
                          '[durability]\nsync = "never"\n')
        check = run([KVD, "check-config", "--config", path])
        self.assertEqual(check.returncode, 0, check.stderr)
        daemon = self.daemon(settings={"limits.value_size": "4KiB"})
        daemon.start("--config", path)
        self.assertEqual(daemon.call("CONFIG", "GET", "limits.value_size"),
                         [b"limits.value_size", b"4KiB"])
        self.assertEqual(daemon.status()["sync"], b"never")

    def test_the_shipped_file_is_good_and_says_the_defaults(self):
        path = os.path.join(ROOT, "etc", "kvd.toml")
        check = run([KVD, "check-config", "--config", path])
        self.assertEqual(check.returncode, 0, check.stderr)
        self.assertEqual(check.stdout.decode(), f"{path} is fine\n")

    def test_version_and_help(self):
        version = run([KVD, "--version"])
        self.assertEqual(version.returncode, 0)
        self.assertRegex(version.stdout.decode(), r"^kvd \d+\.\d+\.\d+\n$")
        usage = run([KVD, "--help"])
        self.assertEqual(usage.returncode, 0)
        for word in ("--config", "--data-dir", "--socket", "--set",
                     "check-config", "verify", "Exit codes"):
            self.assertIn(word, usage.stdout.decode())


class BadClients(E2eTest):
    """One client's input is that client's trouble alone."""

    def setUp(self):
        self.kvd = self.started(settings={
            "limits.half_command_timeout": "300ms",
            "limits.output_bytes": "2MiB", "limits.input_bytes": "2MiB",
            "limits.value_size": "1MiB"})
        fill(self.kvd, 50)
        self.bystander = self.kvd.connect()

    def tearDown(self):
        # Whoever did what: somebody else is served as ever.
        self.assertEqual(self.bystander.call("GET", "key7"),
                         b"7:" + b"v" * 500)
        check_filled(self, self.kvd, 50)

    def test_garbage_is_answered_and_ends_the_connection(self):
        for data in (b"\x00\x01\x02\r\n", os.urandom(100_000) + b"\r\n",
                     b"*3\r\n$3\r\nSET\r\n:1\r\n", b"GET / HTTP/1.1\r\n\r\n",
                     b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                     b"*1\r\n$4\r\nPINGxx", b'"\r\n', b"$5\r\nnonsense\r\n"):
            with self.subTest(data=data[:30]):
                client = self.kvd.connect()
                with contextlib.suppress(Closed):
                    client.send(data)
                    client.socket.shutdown(socket.SHUT_WR)
                for line in client.rest().split(b"\r\n")[:-1]:
                    self.assertTrue(line.startswith(b"-"), line)

    def test_huge_announced_lengths_cost_no_memory(self):
        before = self.kvd.resident_kib()
        clients = []
        for data in (b"*2147483647\r\n", b"*1\r\n$9223372036854775807\r\n",
                     b"*1048577\r\n", b"*2\r\n$3\r\nGET\r\n$536870912\r\n",
                     b"*99999999999999999999\r\n", b"*-9\r\n*1\r\n$-9\r\n"):
            with self.subTest(data=data):
                client = self.kvd.connect()
                client.send(data)
                reply = client.rest()
                self.assertTrue(reply.startswith(b"-ERR "), reply)
        # Announced at the limit, and never sent: only what arrives counts.
        for _ in range(200):
            client = self.kvd.connect()
            client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048576\r\nxx")
            clients.append(client)
        self.assertEqual(self.bystander.call("PING"), "PONG")
        grown = self.kvd.resident_kib() - before
        self.assertLess(grown, scaled(20, 120) * 1024)

    def test_a_command_beyond_the_input_limit_ends_the_connection(self):
        client = self.kvd.connect()
        # Each word fits, all together do not.
        with contextlib.suppress(Closed):
            client.send(command("MSET", *["x" * 700_000] * 6))
        self.assertTrue(client.rest().startswith(b"-ERR "))

    def test_half_a_command_times_out(self):
        for data in (b"*2\r\n$3\r\nGET\r\n", b"*", b"GET ke",
                     b"*1\r\n$4\r\nPI"):
            with self.subTest(data=data):
                client = self.kvd.connect()
                client.send(command("PING") + data)
                self.assertEqual(client.reply(), "PONG")
                self.assertIn(b"timeout", client.rest())
        # An idle connection is not a half command.
        self.assertEqual(self.bystander.call("PING"), "PONG")

    def test_half_close_is_answered(self):
        client = self.kvd.connect()
        commands = 500
        client.send(command("SET", "half", "1") +
                    command("INCR", "half") * commands)
        client.socket.shutdown(socket.SHUT_WR)
        replies = client.rest()
        self.assertEqual(replies, b"+OK\r\n" + b"".join(
            b":%d\r\n" % i for i in range(2, commands + 2)))
        self.bystander.call("DEL", "half")

    def test_a_client_that_never_reads_costs_little(self):
        before = self.kvd.resident_kib()
        self.bystander.call("SET", "big", b"x" * 1_000_000)
        client = self.kvd.connect()
        client.socket.settimeout(1)
        asked = 0
        # Reading stops above a mark: the flood waits in the client.
        with self.assertRaises((socket.timeout, Closed)):
            while True:
                client.send(command("GET", "big") * 100)
                asked += 100
                self.assertLess(asked, 1_000_000)
        self.assertEqual(self.bystander.call("PING"), "PONG")
        self.assertLess(self.kvd.resident_kib() - before,
                        scaled(30, 150) * 1024)
        self.bystander.call("DEL", "big")
        # Instead of a single reply beyond the cap comes an error.
        greedy = self.kvd.connect()
        self.bystander.call("SET", "m", b"x" * 900_000)
        reply = greedy.call("MGET", *["m"] * 20)
        self.assertIsInstance(reply, ReplyError)
        self.assertIn("limits.output_bytes", reply)
        self.bystander.call("DEL", "m")

    def test_a_pipelined_flood_is_answered_in_order(self):
        client = self.kvd.connect()
        count = scaled(50_000, 10_000)
        data = b"".join(command("ECHO", i) for i in range(count))
        # Half of it is sent before anything is read.
        sender = threading.Thread(target=client.send, args=(data,),
                                  daemon=True)
        sender.start()
        for i in range(count):
            self.assertEqual(client.reply(), b"%d" % i)
        sender.join()

    def test_clients_that_vanish_in_the_middle(self):
        for i in range(scaled(300, 60)):
            client = Connection(self.kvd.socket_path)
            client.send(command("SET", f"vanish{i}", "x" * 10_000) * 3)
            if i % 2:
                client.send(command("GET", f"vanish{i}") * 50)
            client.close()
        wait_until(lambda: self.bystander.call("DBSIZE") > 50, "writes")

    def test_descriptors_that_are_sent_along_are_discarded(self):
        client = self.kvd.connect()

        def descriptors():
            return len(os.listdir(f"/proc/{self.kvd.process.pid}/fd"))

        before = descriptors()
        with open("/dev/null", encoding="utf-8") as stream:
            for _ in range(50):
                socket.send_fds(client.socket, [command("PING")],
                                [stream.fileno()] * 4)
                self.assertEqual(client.reply(), "PONG")
        # The log may have opened a file meanwhile; 200 were sent.
        self.assertLess(descriptors(), before + 10)


class ManyClients(E2eTest):
    """More clients than there is room for."""

    def test_five_thousand_connections(self):
        count = scaled(5000, 1500)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < count + 200:
            self.skipTest(f"only {hard} descriptors are allowed")
        resource.setrlimit(resource.RLIMIT_NOFILE,
                           (min(hard, count + 1000)
                            if hard != resource.RLIM_INFINITY
                            else count + 1000, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE,
                        (soft, hard))
        daemon = self.started(
            limits={resource.RLIMIT_NOFILE: (hard, hard)},
            settings={"limits.connections": str(count)})
        clients = []
        self.addCleanup(lambda: [client.close() for client in clients])
        while len(clients) < count - 1:
            clients.append(Connection(daemon.socket_path))
        for i, client in enumerate(clients):
            client.send(command("SET", f"key{i}", i))
        for client in clients:
            self.assertEqual(client.reply(), "OK")
        self.assertEqual(daemon.call("DBSIZE"), count - 1)
        # One too many is told so; those served go on.
        wait_until(lambda: int(self.info_of(clients[0])["connected_clients"])
                   == count - 1, "probes leave")
        clients.append(Connection(daemon.socket_path))
        self.assertEqual(clients[-1].call("PING"), "PONG")
        refused = Connection(daemon.socket_path)
        self.addCleanup(refused.close)
        self.assertEqual(refused.rest(),
                         b"-ERR max number of clients reached\r\n")
        for i in (0, count // 2, count - 2):
            self.assertEqual(clients[i].call("GET", f"key{i}"), b"%d" % i)
        # Room that is given back is given on.
        clients.pop().close()
        wait_until(daemon.serves, "a place is free")
        text = clients[0].call("INFO", "stats").decode()
        self.assertNotIn("rejected_connections:0\r", text)

    def test_root_gets_in_when_others_have_all_places(self):
        if os.geteuid() != 0:
            self.skipTest("takes root")
        daemon = self.started(settings={"limits.connections": "8",
                                        "limits.reserved_connections": "2",
                                        "socket.mode": "0666"})
        os.chmod(daemon.folder, 0o755)
        # Somebody else's program that takes what it gets.
        holder = subprocess.Popen(
            ["/usr/bin/python3", "-c",
             "import contextlib, socket, sys\n"
             "held = []\n"
             "while True:\n"
             "    held.append(socket.socket(socket.AF_UNIX))\n"
             "    held[-1].connect(sys.argv[1])\n"
             "    with contextlib.suppress(BrokenPipeError):\n"
             "        held[-1].sendall(b'PING\\r\\n')\n"
             "    if held[-1].recv(100).startswith(b'-ERR max number'):\n"
             "        break\n"
             "print(len(held), flush=True)\n"
             "sys.stdin.read()\n", daemon.socket_path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, user=65534)
        self.addCleanup(holder.stdout.close)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.stdin.close)
        # With a probe of this test that may not have left yet.
        self.assertIn(int(holder.stdout.readline()), (8, 9))
        for _ in range(5):
            status = daemon.kvctl("status")
            self.assertEqual(status.returncode, 0, status.stderr)
        # Not so a second connection of one process.
        first = daemon.connect()
        self.assertEqual(first.call("PING"), "PONG")
        self.assertEqual(daemon.connect().rest(),
                         b"-ERR max number of clients reached\r\n")
        self.assertIn(f"pid {holder.pid} (uid 65534) has", daemon.log())
        self.assertEqual(
            first.call("CONFIG", "GET", "maxclients"), [b"maxclients", b"8"])

    @staticmethod
    def info_of(client):
        text = client.call("INFO", "clients").decode()
        return dict(line.split(":", 1) for line in text.splitlines()
                    if ":" in line)

    def test_descriptors_run_out(self):
        # Less than the reserve leaves: accept() itself fails.
        daemon = self.daemon(
            limits={resource.RLIMIT_NOFILE: (60, 60)},
            settings={"limits.reserved_descriptors": "16"})
        daemon.start()
        wait_until(lambda: daemon.status()["connections"] == 1, "probes leave")
        clients = []
        self.addCleanup(lambda: [client.close() for client in clients])
        served = refused = 0
        for _ in range(100):
            clients.append(Connection(daemon.socket_path))
            with contextlib.suppress(Closed):  # Refused already.
                clients[-1].send(command("PING"))
        for client in clients:
            try:
                if client.reply() == "PONG":
                    served += 1
                    continue
            except Closed:
                pass
            refused += 1
        self.assertGreater(served, 0)
        self.assertGreater(refused, 0)
        # The reserve is for files: new segments can still be opened.
        for i in range(60):
            self.assertEqual(clients[0].call("SET", f"k{i}", bytes(200_000)),
                             "OK")
        before = daemon.cpu_ticks()
        time.sleep(0.5)
        # Waiting is not spinning: 0.5 s would be 50 ticks.
        self.assertLess(daemon.cpu_ticks() - before, 40)
        while clients:
            clients.pop().close()
        wait_until(daemon.serves, "clients are accepted again")

    def test_passed_limits_that_are_too_small_pause_accept(self):
        # All descriptors are taken while kvd runs: accept4() says EMFILE.
        daemon = self.started()
        keeper = daemon.connect()
        self.assertEqual(keeper.call("SET", "k", "v"), "OK")
        wait_for_prepared(daemon)
        wait_until(lambda: int(self.info_of(keeper)["connected_clients"]) == 1,
                   "probes leave")
        limit = len(os.listdir(f"/proc/{daemon.process.pid}/fd"))
        pid = daemon.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit + 2, before[1]))
        clients = [Connection(daemon.socket_path) for _ in range(20)]
        self.addCleanup(lambda: [client.close() for client in clients])
        wait_until(lambda: "cannot accept" in daemon.log(), "accept pauses")
        ticks = daemon.cpu_ticks()
        time.sleep(0.5)
        self.assertLess(daemon.cpu_ticks() - ticks, 40)
        self.assertEqual(keeper.call("SET", "k", "w"), "OK")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        for client in clients:
            self.assertEqual(client.call("PING"), "PONG")


class Damage(E2eTest):
    """Bytes that are not what was written: found, named, never served."""

    SETTINGS = {"log.segment_size": "64KiB"}

    def stopped(self, keys=KEYS):
        """A stopped daemon with several sealed segments."""
        daemon = self.started(settings=self.SETTINGS)
        fill(daemon, keys)
        daemon.stop()
        self.assertGreater(len(daemon.files(".seg")), 2)
        return daemon

    def killed(self, keys=KEYS):
        """The same after kill -9, the last writes declared durable."""
        daemon = self.started(settings={
            **self.SETTINGS, "durability.declare_after": "10ms"})
        fill(daemon, keys)
        time.sleep(0.1)
        daemon.kill()
        return daemon

    def manifest(self, daemon):
        return os.path.join(daemon.data_dir, "MANIFEST")

    def manifest_bytes(self, daemon):
        with open(self.manifest(daemon), "rb") as stream:
            return stream.read()

    def snapshot(self, daemon):
        """Names and bytes of all files but LOCK. Only of a daemon that does not
        run: files come and go beneath one that does."""
        result = {}
        for name in os.listdir(daemon.data_dir):
            if name != "LOCK":
                with open(os.path.join(daemon.data_dir, name), "rb") as stream:
                    result[name] = stream.read()
        return result

    def assert_refused(self, daemon, code, *parts):
        """It must not start, say why, and change nothing."""
        before = self.snapshot(daemon)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(daemon.socket_path)  # Of a daemon that was killed.
        actual, log = daemon.refuses_to_start()
        self.assertEqual(actual, code, log)
        for part in parts:
            self.assertIn(part, log)
        self.assertEqual(self.snapshot(daemon), before)
        self.assertFalse(os.path.exists(daemon.socket_path))
        return log

    def remove_hints(self, daemon):
        """The next start has to read the segments themselves."""
        for hint in daemon.files(".hint"):
            os.unlink(hint)

    def assert_served_but_for(self, daemon, damaged_max, *parts):
        """It starts; each key has its value, or an error that says why."""
        daemon.start()
        with daemon.connect() as client:
            replies = client.pipeline([("GET", f"key{i}") for i in range(KEYS)])
        damaged = 0
        for i, reply in enumerate(replies):
            if reply == f"{i}:".encode() + b"v" * 500:
                continue
            damaged += 1
            self.assertIsInstance(reply, ReplyError, f"key{i}")
            self.assertTrue(reply.startswith("DAMAGED "), reply)
            for part in parts:
                self.assertIn(part, reply)
        self.assertLessEqual(damaged, damaged_max)
        if damaged > 0:
            self.assertEqual(daemon.status()["state"], b"damaged")
            self.assertIn("kvd verify", daemon.log())
        daemon.stop()
        return damaged

    def verify(self, daemon):
        result = run([KVD, "verify", daemon.data_dir])
        return result.returncode, (result.stdout + result.stderr).decode()

    def test_an_undamaged_store_verifies(self):
        daemon = self.stopped()
        before = self.snapshot(daemon)
        code, text = self.verify(daemon)
        self.assertEqual(code, 0, text)
        self.assertIn(f"{KEYS} records", text)
        self.assertEqual(self.snapshot(daemon), before)
        daemon = self.killed()
        code, text = self.verify(daemon)
        self.assertEqual(code, 0, text)

    def test_a_flip_in_a_sealed_segment(self):
        daemon = self.stopped()
        segment = daemon.files(".seg")[1]
        size = os.path.getsize(segment)
        # In the header, the head, the first record, and later ones.
        for offset in (3, 60, 130, 200, 320, size // 2, size - 20):
            with self.subTest(offset=offset):
                flip(segment, offset, 3)
                code, text = self.verify(daemon)
                self.assertEqual(code, 7, text)
                self.assertIn(segment, text)
                if offset >= 128:
                    # Keys come out of the hint; one value at the most is hit,
                    # and none by what stands between records.
                    damaged = self.assert_served_but_for(daemon, 1, segment,
                                                         "offset")
                    self.assertEqual(damaged, 1 if offset > 232 else 0)
                self.remove_hints(daemon)
                log = self.assert_refused(daemon, 7, segment, "verify")
                if offset >= 128:
                    self.assertIn("offset", log)
                flip(segment, offset, 3)
                daemon.start()  # The hints are back.
                daemon.stop()
        daemon.start()
        check_filled(self, daemon)

    def test_flips_in_two_segments_are_both_listed(self):
        daemon = self.stopped()
        first, second = daemon.files(".seg")[:2]
        for segment in (first, second):
            flip(segment, os.path.getsize(segment) // 2)
        code, text = self.verify(daemon)
        self.assertEqual(code, 7)
        self.assertIn(first, text)
        self.assertIn(second, text)

    def test_zeros_inside_a_sealed_length(self):
        daemon = self.stopped()
        segment = daemon.files(".seg")[0]
        size = os.path.getsize(segment)
        overwrite(segment, size - 4096, bytes(4096))
        damaged = self.assert_served_but_for(daemon, 9, segment)
        self.assertGreater(damaged, 6)
        self.remove_hints(daemon)
        self.assert_refused(daemon, 7, segment)

    def test_a_sealed_segment_that_is_missing_short_or_foreign(self):
        daemon = self.stopped()
        segments = daemon.files(".seg")
        kept = segments[1] + ".kept"
        os.rename(segments[1], kept)
        self.assert_refused(daemon, 7, segments[1], "missing")
        shutil.copy(segments[0], segments[1])
        self.assert_refused(daemon, 7, segments[1])
        shutil.copy(kept, segments[1])
        os.truncate(segments[1], os.path.getsize(kept) - 8)
        self.assert_refused(daemon, 7, segments[1])
        os.rename(kept, segments[1])
        daemon.start()
        check_filled(self, daemon)

    def test_the_last_acknowledged_write_rots(self):
        daemon = self.killed()
        segment = self.active_segment(daemon)
        with open(segment, "rb") as stream:
            at = stream.read().rindex(b"vvvv")
        flip(segment, at)
        self.assert_refused(daemon, 7, segment, "offset")
        flip(segment, at)
        daemon.start()
        check_filled(self, daemon)

    def active_segment(self, daemon):
        """The newest segment that holds values."""
        for path in reversed(daemon.files(".seg")):
            with open(path, "rb") as stream:
                if b"vvvv" in stream.read():
                    return path
        raise AssertionError("no segment holds values")

    def test_a_torn_tail_is_cut_and_logged(self):
        daemon = self.started(settings={
            **self.SETTINGS, "log.segment_size": "1MiB",
            "durability.declare_after": "1h"})
        fill(daemon, 50)
        with Connection(daemon.socket_path) as client:
            client.call("SET", "last", b"L" * 900)
        daemon.kill()
        segment = self.active_segment(daemon)
        with open(segment, "rb") as stream:
            end = stream.read().rindex(b"LLLL") + 4
        # As a crash would leave it: the end of the last group never came.
        overwrite(segment, end - 500, bytes(500))
        daemon.start()
        self.assertIn("torn tail", daemon.log())
        check_filled(self, daemon, 50)
        self.assertIsNone(daemon.call("GET", "last"))
        self.assertEqual(daemon.call("SET", "last", "again"), "OK")
        daemon.restart()
        self.assertNotIn("torn tail", daemon.log())
        self.assertEqual(daemon.call("GET", "last"), b"again")

    def test_a_live_segment_cut_short(self):
        daemon = self.started(settings={
            **self.SETTINGS, "log.segment_size": "1MiB",
            "durability.declare_after": "1h"})
        fill(daemon, 50)
        daemon.kill()
        segment = self.active_segment(daemon)
        with open(segment, "rb") as stream:
            end = stream.read().rindex(b"vvvv") + 4
        os.truncate(segment, end - 100)
        daemon.start()
        self.assertIn("torn tail", daemon.log())
        with Connection(daemon.socket_path) as client:
            for i in range(50):
                self.assertIn(client.call("GET", f"key{i}"),
                              (None, f"{i}:".encode() + b"v" * 500))

    def test_a_missing_manifest(self):
        daemon = self.stopped()
        os.rename(self.manifest(daemon), self.manifest(daemon) + ".kept")
        self.assert_refused(daemon, 7, daemon.data_dir, "MANIFEST")
        os.rename(self.manifest(daemon) + ".kept", self.manifest(daemon))
        daemon.start()
        check_filled(self, daemon)

    def test_a_rolled_back_manifest(self):
        daemon = self.started(settings=self.SETTINGS)
        old = self.manifest_bytes(daemon)
        fill(daemon)
        daemon.stop()
        new = self.manifest_bytes(daemon)
        with open(self.manifest(daemon), "wb") as stream:
            stream.write(old)
        self.assert_refused(daemon, 7, daemon.data_dir)
        with open(self.manifest(daemon), "wb") as stream:
            stream.write(new)
        daemon.start()
        check_filled(self, daemon)

    def test_a_damaged_manifest(self):
        daemon = self.stopped()
        text = self.manifest_bytes(daemon)
        for name, damaged in (
                ("empty", b""), ("cut", text[:len(text) // 2]),
                ("flipped", text[:40] + bytes([text[40] ^ 1]) + text[41:]),
                ("foreign", b"[section]\nkey = 1\n"),
                ("longer", text + b"x\n")):
            with self.subTest(name):
                with open(self.manifest(daemon), "wb") as stream:
                    stream.write(damaged)
                self.assert_refused(daemon, 7, self.manifest(daemon))
                self.assertEqual(self.verify(daemon)[0], 7)
        with open(self.manifest(daemon), "wb") as stream:
            stream.write(text)
        daemon.start()
        check_filled(self, daemon)

    def test_an_unknown_format_is_refused_and_untouched(self):
        daemon = self.stopped()
        text = self.manifest_bytes(daemon)
        first, rest = text.split(b"\n", 1)
        self.assertRegex(first, rb"\b2$")
        # A later format may checksum its file in another way.
        with open(self.manifest(daemon), "wb") as stream:
            stream.write(first[:-1] + b"9999\n" + rest)
        self.assert_refused(daemon, 8, self.manifest(daemon))

    def test_files_of_others_are_left_alone(self):
        daemon = self.stopped()
        for name in ("notes.txt", "0000000001.seg.bak", "1.seg"):
            with open(os.path.join(daemon.data_dir, name), "wb") as stream:
                stream.write(b"mine")
        daemon.start()
        check_filled(self, daemon)
        daemon.stop()
        for name in ("notes.txt", "0000000001.seg.bak", "1.seg"):
            with open(os.path.join(daemon.data_dir, name), "rb") as stream:
                self.assertEqual(stream.read(), b"mine")

    def test_a_directory_of_something_else(self):
        daemon = self.daemon()
        os.mkdir(daemon.data_dir)
        path = os.path.join(daemon.data_dir, "0000000001.seg")
        with open(path, "wb") as stream:
            stream.write(b"something of another program")
        self.assert_refused(daemon, 7, daemon.data_dir)

    def test_verify_of_nothing(self):
        path = os.path.join(self.new_folder(), "none")
        result = run([KVD, "verify", path])
        self.assertEqual(result.returncode, 1)
        self.assertIn(path, result.stderr.decode())
        self.assertFalse(os.path.exists(path))


if __name__ == "__main__":
    unittest.main()
