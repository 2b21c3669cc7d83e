#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""How long kvd and redis-server take from their start to the first served GET.

    tests/bench/restart.py [--keys 5000000] [--rounds 5] [--kvd PATH]

A person runs this on an idle machine; CI does not, since its figures would mean
nothing there. Both servers get the same keys over a Unix socket: keys of 15
bytes, values of 100, the first half of them overwritten twice. Then each is
stopped and started again, in turns, once cleanly and once by kill -9 a round,
with its files in the page cache. The time is from the start of the process to
the reply with the value; a server that answers "loading" is asked again.

Redis keeps its log as it was written (appendonly yes, no rewriting), as kvd
does. After a kill -9 kvd also writes its newest segments back to the disk.
"""

import argparse
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
SECONDS_MAX = 600
# How often a starting server is looked at; the error of each figure.
POLL_SECONDS = 0.001
VALUE_BYTES = 100
PASSES_OVER_HALF = 2
# Commands that are on their way at once.
BATCH = 2000


def key(number):
    return b"key:%011d" % number


def value(number, version):
    return (b"%d.%d." % (number, version)).ljust(VALUE_BYTES, b"v")


def set_command(number, version):
    return (b"*3\r\n$3\r\nSET\r\n$15\r\n%b\r\n$%d\r\n%b\r\n" %
            (key(number), VALUE_BYTES, value(number, version)))


def connect(path):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(SECONDS_MAX)
    try:
        client.connect(path)
    except OSError:
        client.close()
        raise
    return client


def receive(client, size):
    data = b""
    while len(data) < size:
        more = client.recv(1 << 16)
        if not more:
            raise ConnectionResetError("closed")
        data += more
    return data


class Server:
    """A server and its directory, over several lives."""

    def __init__(self, name, folder, arguments):
        self.name = name
        self.folder = tempfile.mkdtemp(prefix=f"{name}-", dir=folder)
        # Short whatever DIR is: a socket's path has 107 bytes.
        self.sockets = tempfile.mkdtemp(prefix="bench-", dir="/tmp")
        self.path = os.path.join(self.sockets, "s")
        self.log = open(os.path.join(self.sockets, "log"), "ab")
        self.arguments = arguments(self.folder, self.path)
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop(signal.SIGKILL)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.sockets, ignore_errors=True)

    def start(self, expected=None):
        """Seconds to the first GET, whose value has to be the expected one."""
        wanted = b"$-1\r\n" if expected is None else (
            b"$%d\r\n%b\r\n" % (VALUE_BYTES, expected))
        began = time.monotonic()
        self.process = subprocess.Popen(
            self.arguments, stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log)
        while True:
            try:
                with connect(self.path) as client:
                    reply = self.first_get(client, wanted)
                took = time.monotonic() - began
                if reply != wanted:
                    sys.exit(f"{self.name} answers {reply!r}")
                return took
            except OSError:
                pass
            if (self.process.poll() is not None or
                    time.monotonic() - began > SECONDS_MAX):
                sys.exit(f"{self.name} does not start")
            time.sleep(POLL_SECONDS)

    @staticmethod
    def first_get(client, wanted):
        while True:
            client.sendall(b"GET %b\r\n" % key(0))
            reply = receive(client, 1)
            if not reply.startswith(b"-LOADING"):
                return reply + receive(client, len(wanted) - len(reply))
            time.sleep(POLL_SECONDS)

    def stop(self, number):
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def load(self, keys):
        with connect(self.path) as client:
            send(client, range(keys), 0)
            for version in range(1, 1 + PASSES_OVER_HALF):
                send(client, range(keys // 2), version)

    def call(self, *words):
        """An inline command's reply: one line, or a bulk string's."""
        with connect(self.path) as client:
            client.settimeout(SECONDS_MAX)
            client.sendall(" ".join(words).encode() + b"\r\n")
            with client.makefile("rb") as replies:
                line = replies.readline().decode().strip()
                if line.startswith("$"):
                    return replies.read(int(line[1:])).decode()
                return line

    def info(self, field):
        for line in self.call("INFO", "persistence").splitlines():
            if line.startswith(field + ":"):
                return line.split(":", 1)[1]
        sys.exit(f"{self.name} says nothing about {field}")

    def compact(self):
        """Rewrites the log without what is dead, to the end."""
        began = time.monotonic()
        self.call("BGREWRITEAOF")
        while self.info("aof_rewrite_in_progress") != "0":
            if time.monotonic() - began > SECONDS_MAX:
                sys.exit(f"{self.name} does not end its compaction")
            time.sleep(0.05)
        print(f"  {self.name}: compacted in {time.monotonic() - began:.1f} s",
              flush=True)

    def warm(self):
        """Reads every file once; returns how many bytes they have."""
        total = 0
        for folder, _, names in os.walk(self.folder):
            for name in names:
                with open(os.path.join(folder, name), "rb") as stream:
                    while chunk := stream.read(1 << 20):
                        total += len(chunk)
        return total


def send(client, numbers, version):
    for first in range(numbers.start, numbers.stop, BATCH):
        batch = range(first, min(first + BATCH, numbers.stop))
        client.sendall(b"".join(set_command(n, version) for n in batch))
        replies = receive(client, 5 * len(batch))
        if replies != b"+OK\r\n" * len(batch):
            sys.exit(f"SET answers {replies[:200]!r}")


def kvd_arguments(binary):
    return lambda folder, path: [
        binary, "--config", os.path.join(ROOT, "etc", "kvd.toml"),
        "--data-dir", folder, "--socket", path,
        "--set", "compaction.interval=0s"]


def redis_arguments(folder, path):
    return ["redis-server", "--port", "0", "--unixsocket", path,
            "--dir", folder, "--save", "", "--appendonly", "yes",
            "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0"]


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as stream:
        for line in stream:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return (f"{model}, {os.cpu_count()} cores, {platform.system()} "
            f"{platform.release()}")


def versions(binary):
    def first_line(*words):
        return subprocess.run(words, capture_output=True, text=True,
                              check=True).stdout.splitlines()[0]

    return first_line(binary, "--version"), first_line("redis-server",
                                                       "--version")


STOPS = (("after a clean stop", signal.SIGTERM),
         ("after kill -9", signal.SIGKILL))


def show_space(kvd):
    """What the sealed segments take for what they hold."""
    sealed = int(kvd.info("kvd_sealed_bytes"))
    live = int(kvd.info("kvd_live_bytes"))
    print(f"  kvd: sealed segments of {sealed / 1e6:,.0f} MB for "
          f"{live / 1e6:,.0f} MB of live records: {sealed / live:.3f}",
          flush=True)


def measure(servers, rounds, keys, compact):
    """Times by server and kind of stop."""
    newest = value(0, PASSES_OVER_HALF if keys > 1 else 0)
    for server in servers:
        server.start()
        server.load(keys)
        print(f"  {server.name}: loaded", flush=True)
        if compact:
            server.compact()
            if server.name == "kvd":
                show_space(server)
    times = {(server.name, stop): [] for server in servers
             for stop, _ in STOPS}
    for number in range(rounds):
        for stop, with_signal in STOPS:
            for server in servers if number % 2 == 0 else servers[::-1]:
                if with_signal == signal.SIGKILL:
                    # So that there is a tail.
                    with connect(server.path) as client:
                        send(client, range(min(keys // 2, 10 * BATCH)),
                             PASSES_OVER_HALF)
                server.stop(with_signal)
                size = server.warm()
                took = server.start(newest)
                times[server.name, stop].append(took)
                print(f"  round {number + 1} {server.name} {stop}: "
                      f"{took:.3f} s, {size / 1e6:,.0f} MB", flush=True)
    return times


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--keys", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compact", action="store_true",
                        help="compact both logs before the first stop")
    parser.add_argument("--dir", default=os.path.join(ROOT, "build"),
                        help="on the disk to measure")
    parser.add_argument("--kvd", default=os.path.join(ROOT, "build", "release",
                                                      "bin", "kvd"))
    options = parser.parse_args()
    os.makedirs(options.dir, exist_ok=True)

    kvd_version, redis_version = versions(options.kvd)
    print(f"{machine()}; load {os.getloadavg()[0]:.1f}")
    print(f"{kvd_version}, sync always\n"
          f"{redis_version}, appendonly yes, appendfsync everysec")
    print(f"{options.keys:,} keys\n")
    with Server("kvd", options.dir, kvd_arguments(options.kvd)) as kvd, \
            Server("redis", options.dir, redis_arguments) as redis:
        times = measure([kvd, redis], options.rounds, options.keys,
                        options.compact)

    print(f"\nStart to first GET, medians of {options.rounds} rounds:\n")
    print("| Start | kvd, s | Redis, s | kvd : Redis |")
    print("|---|---|---|---|")
    for stop, _ in STOPS:
        ours = statistics.median(times["kvd", stop])
        theirs = statistics.median(times["redis", stop])
        print(f"| {stop} | {ours:.2f} | {theirs:.2f} | {ours / theirs:.2f} |")


if __name__ == "__main__":
    main()
