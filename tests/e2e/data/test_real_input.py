# SPDX-License-Identifier: MIT
"""The machine's own package data, written by several programs at once.

Every stanza of dpkg's status file and of apt's package lists becomes a key.
Writers of three kinds share the work, kvd is killed in the middle and started
again, the writers finish, and every value is compared byte by byte; once more
after a clean stop.
"""

import glob
import multiprocessing
import os
import re
import subprocess
import sys
import time
import unittest

import redis

from harness import KIND, KVCTL, SECONDS_MAX, E2eTest, command, say
from harness import run, wait_until

# What a sanitizer gets to see of it.
STANZAS_MAX = {"release": None, "asan": 6000, "tsan": 3000}[KIND]
# Starting a process for each key costs milliseconds, so kvctl gets fewer.
KVCTL_SHARE = {"release": 600, "asan": 60, "tsan": 40}[KIND]


def stanzas_of(path, source):
    """(key, value) of each stanza of a file in dpkg's format.

    A package may stand in a file several times (versions, architectures), and
    in several files: the key of a repeated one has a number behind it.
    """
    if path.startswith("/var/lib/apt/lists/"):
        # Often compressed, in a way that apt knows.
        text = run(["/usr/lib/apt/apt-helper", "cat-file", path]).stdout
    else:
        with open(path, "rb") as stream:
            text = stream.read()
    counts = {}
    for stanza in re.split(rb"\n\n+", text):
        name = re.search(rb"^Package: *(\S+)", stanza, re.MULTILINE)
        if not name:
            continue
        key = b"pkg/" + source + name.group(1)
        counts[key] = counts.get(key, 0) + 1
        if counts[key] > 1:
            key += b"#%d" % counts[key]
        yield key, stanza + b"\n"


def real_input():
    """All stanzas of this machine."""
    stanzas = list(stanzas_of("/var/lib/dpkg/status", b""))
    for path in sorted(glob.glob("/var/lib/apt/lists/*_Packages*")):
        if STANZAS_MAX and len(stanzas) >= STANZAS_MAX:
            break
        source = os.path.basename(path).rsplit("_Packages", 1)[0].encode()
        stanzas += stanzas_of(path, source + b"/")
    return stanzas[:STANZAS_MAX]


def write_with_python(path, stanzas):
    """A process that pipelines SETs through redis-py until all are done."""
    client = redis.Redis(unix_socket_path=path, socket_timeout=SECONDS_MAX)
    for start in range(0, len(stanzas), 50):
        batch = stanzas[start:start + 50]
        while True:
            pipeline = client.pipeline(transaction=False)
            for key, value in batch:
                pipeline.set(key, value)
            try:
                pipeline.execute()
                break
            except (redis.ConnectionError, OSError):
                time.sleep(0.02)  # It was killed, and will be back.


def write_with_redis_cli(path, stanzas):
    """redis-cli --pipe: all of it again after a crash."""
    data = b"".join(command("SET", key, value) for key, value in stanzas)
    for _ in range(1000):
        result = subprocess.run(
            ["redis-cli", "-s", path, "--pipe"], input=data,
            capture_output=True, timeout=4 * SECONDS_MAX, check=False)
        done = b"errors: 0, replies: %d" % len(stanzas)
        if result.returncode == 0 and done in result.stdout:
            return
        time.sleep(0.02)
    sys.exit("redis-cli never gets through")


def write_with_kvctl(path, stanzas):
    """One kvctl per key; what a crash left unknown is done again."""
    for key, value in stanzas:
        while True:
            result = subprocess.run(
                [KVCTL, "--socket", path, "--wait", "60s", "set", key.decode()],
                input=value, capture_output=True, timeout=4 * SECONDS_MAX,
                check=False)
            if result.returncode == 0:
                break
            if result.returncode not in (3, 5):
                sys.exit(f"kvctl: {result.returncode} {result.stderr}")


class RealInput(E2eTest):
    """The package data of this machine."""

    def setUp(self):
        self.stanzas = real_input()
        self.assertGreater(len(self.stanzas), 50)
        say(f"{len(self.stanzas)} stanzas, "
            f"{sum(len(value) for _, value in self.stanzas)} bytes")
        # Small enough that the load fills several, as large as needed that the
        # disk is not the test.
        self.kvd = self.started(settings={"log.segment_size": "16MiB"})

    def split(self):
        """Shares for each writer."""
        kvctl, rest = (self.stanzas[:KVCTL_SHARE], self.stanzas[KVCTL_SHARE:])
        return [(write_with_kvctl, kvctl[0::2]),
                (write_with_kvctl, kvctl[1::2]),
                (write_with_redis_cli, rest[0::4]),
                (write_with_redis_cli, rest[1::4]),
                (write_with_python, rest[2::4]),
                (write_with_python, rest[3::4])]

    def begin(self):
        context = multiprocessing.get_context("fork")
        writers = [context.Process(target=write, daemon=True,
                                   args=(self.kvd.socket_path, share))
                   for write, share in self.split() if share]
        for writer in writers:
            writer.start()
            self.addCleanup(writer.kill)
        return writers

    def compare(self):
        """Every value, byte by byte, and nothing else."""
        with self.kvd.connect() as client:
            self.assertEqual(client.call("DBSIZE"), len(self.stanzas))
            wrong = []
            for start in range(0, len(self.stanzas), 500):
                batch = self.stanzas[start:start + 500]
                values = client.pipeline([("GET", key) for key, _ in batch])
                wrong += [key for (key, value), found in zip(batch, values)
                          if value != found]
            self.assertEqual(wrong[:10], [])

    def test_load_kill_load_compare(self):
        keys = dict(self.stanzas)
        self.assertEqual(len(keys), len(self.stanzas), "keys are unique")
        writers = self.begin()
        for share in (3, 2):
            wait_until(lambda: self.kvd.call("DBSIZE") >=
                       len(self.stanzas) // share or not any(
                           writer.is_alive() for writer in writers),
                       "the load goes on", 4 * SECONDS_MAX)
            self.kvd.kill()
            self.kvd.start()
            self.assertIn("after an unclean stop", self.kvd.log())
            # What is there is right, however far it got.
            with self.kvd.connect() as client:
                found = client.call("KEYS", "*")
                self.assertGreaterEqual(len(found), len(self.stanzas) // share)
                for start in range(0, len(found), 500):
                    batch = found[start:start + 500]
                    values = client.pipeline([("GET", key) for key in batch])
                    for key, value in zip(batch, values):
                        self.assertEqual(value, keys[key])
        for writer in writers:
            writer.join(8 * SECONDS_MAX)
            self.assertEqual(writer.exitcode, 0)
        self.compare()
        self.kvd.kill()
        self.kvd.start()
        self.compare()
        self.kvd.restart()
        self.assertIn("after a clean stop", self.kvd.log())
        self.compare()


if __name__ == "__main__":
    unittest.main()
