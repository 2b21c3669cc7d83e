# SPDX-License-Identifier: MIT
"""What the benchmarks share: servers with their folders, load, and what the
kernel says of both.

A person runs the benchmarks on an idle machine; CI does not, since their
figures would mean nothing there. Everything that a benchmark starts or makes is
gone when it ends, also after Ctrl-C or SIGTERM.
"""

import argparse
import csv
import itertools
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import deployed

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
SECONDS_MAX = 600
# How often a starting server is looked at; the error of its time.
POLL_SECONDS = 0.001
HINTS_SECONDS_MAX = 120
# Commands that are on their way at once.
BATCH = 2000
OK = b"+OK\r\n"
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "B": 1}


# --- The command line and the first lines -------------------------------------


def option_parser(description, rounds=5):
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--dir", default=os.path.join(ROOT, "build"),
                        help="on the disk to measure")
    parser.add_argument("--kvd", default=os.path.join(ROOT, "build", "release",
                                                      "bin", "kvd"))
    parser.add_argument("--form", choices=("deployed", "plain"),
                        default="deployed",
                        help="kvd under the limits of systemd's unit, or as a "
                        "plain process")
    return parser


def add_settings(parser):
    parser.add_argument("--set", dest="settings", metavar="KEY=VALUE",
                        action="append", default=[],
                        help="a setting of kvd; can be repeated")


def begin(options, *lines):
    """Says where and of what the figures are."""
    # Ends what was started, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.makedirs(options.dir, exist_ok=True)
    form = ("under the unit's filter of system calls"
            if options.form == "deployed" else "as a plain process")
    print(f"{machine()}; load {os.getloadavg()[0]:.1f}; kvd {form}", *lines,
          sep="\n", flush=True)


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as stream:
        for line in stream:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return (f"{model}, {os.cpu_count()} cores, {platform.system()} "
            f"{platform.release()}")


def busy_and_stolen_seconds():
    """Of all processors so far: what anybody used of them, and what the host of
    a virtual machine kept for others while there was work (proc(5), steal)."""
    with open("/proc/stat", encoding="utf-8") as stat:
        user, nice, system, _, _, irq, softirq, steal = map(
            int, stat.readline().split()[1:9])
    tick = 1 / os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) * tick, steal * tick


def busy_seconds():
    """Of all processors so far, whoever used them."""
    return busy_and_stolen_seconds()[0]


def stolen_percent(before, after):
    """Of the time in which there was work, between two busy_and_stolen_seconds().

    A processor that the host gives to somebody else stands still, and a round
    can be slow for no reason of the server's.
    """
    busy, stolen = (last - first for first, last in zip(before, after))
    return 100 * stolen / (busy + stolen) if busy + stolen else 0.0


def version(binary):
    return subprocess.run([binary, "--version"], capture_output=True, text=True,
                          check=True).stdout.splitlines()[0]


def size(text):
    """Bytes of a size as kvd's settings write it: 64MiB."""
    for unit, scale in UNITS.items():
        if text.endswith(unit):
            return int(float(text.removesuffix(unit)) * scale)
    raise argparse.ArgumentTypeError(f"no size with its unit: {text}")


# --- Load ---------------------------------------------------------------------


def key(number):
    return b"key:%011d" % number


def set_command(name, value):
    return (b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" %
            (len(name), name, len(value), value))


def connect(path):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(SECONDS_MAX)
    try:
        client.connect(path)
    except OSError:
        client.close()
        raise
    return client


def receive(client, length):
    data = b""
    while len(data) < length:
        more = client.recv(1 << 16)
        if not more:
            raise ConnectionResetError("closed")
        data += more
    return data


def send(client, commands, reply=OK, batch=BATCH):
    """Sends so many commands at a time; each has to get this reply."""
    commands = iter(commands)
    while some := list(itertools.islice(commands, batch)):
        client.sendall(b"".join(some))
        wanted = reply * len(some)
        replies = receive(client, len(wanted))
        if replies != wanted:
            sys.exit(f"{some[0][:40]!r} and others answer {replies[:200]!r}")


def benchmark(path, *words):
    """What redis-benchmark measured: requests a second, latencies in ms."""
    result = subprocess.run(
        ["redis-benchmark", "-s", path, "--csv", *words],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=SECONDS_MAX, check=True)
    header, row = list(csv.reader(result.stdout.splitlines()))[-2:]
    return {name: float(value) for name, value in zip(header[1:], row[1:])}


# --- Servers ------------------------------------------------------------------


def kvd_arguments(options, *settings):
    def words(folder, path):
        return [
            # An empty file: each build has its own defaults.
            options.kvd, "--config", os.devnull,
            "--data-dir", folder, "--socket", path,
            *(word for setting in settings for word in ("--set", setting))]
    if options.form == "deployed":
        words.enter = deployed.entering()
    return words


def redis_arguments(fsync):
    """A log that is kept as it was written, as kvd's is."""
    return lambda folder, path: [
        "redis-server", "--port", "0", "--unixsocket", path, "--dir", folder,
        "--save", "", "--appendonly", "yes", "--appendfsync", fsync,
        "--auto-aof-rewrite-percentage", "0"]


def ceiling_arguments(kvd, value_bytes):
    """The server that answers constants; it lies beside kvd."""
    binary = os.path.join(os.path.dirname(kvd), "kvd_ceiling")
    return lambda folder, path: [binary, path, str(value_bytes)]


class Server:
    """A server and its directory, over several lives."""

    def __init__(self, name, folder, arguments):
        self.name = name
        self.folder = tempfile.mkdtemp(prefix=f"{name}-", dir=folder)
        # Short whatever DIR is: a socket's path has 107 bytes.
        self.sockets = tempfile.mkdtemp(prefix="bench-", dir="/tmp")
        self.path = os.path.join(self.sockets, "s")
        self.log = open(os.path.join(self.sockets, "log"), "ab+")
        self.arguments = arguments(self.folder, self.path)
        # Called in the process that becomes the server.
        self.enter = getattr(arguments, "enter", None)
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop(signal.SIGKILL)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.sockets, ignore_errors=True)

    def start(self, name=b"-", expected=None):
        """Seconds to the first GET, whose value has to be the expected one."""
        wanted = b"$-1\r\n" if expected is None else (
            b"$%d\r\n%b\r\n" % (len(expected), expected))
        began = time.monotonic()
        self.process = subprocess.Popen(
            self.arguments, stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log, preexec_fn=self.enter)
        while True:
            try:
                with connect(self.path) as client:
                    reply = self.first_get(client, name, wanted)
                took = time.monotonic() - began
                if reply != wanted:
                    sys.exit(f"{self.name} answers {reply!r}")
                return took
            except OSError:
                pass
            if (self.process.poll() is not None or
                    time.monotonic() - began > SECONDS_MAX):
                sys.exit(f"{self.name} does not start: {self.last_words()}")
            time.sleep(POLL_SECONDS)

    @staticmethod
    def first_get(client, name, wanted):
        deadline = time.monotonic() + SECONDS_MAX
        while True:
            client.sendall(b"GET %b\r\n" % name)
            reply = receive(client, 1)
            if (not reply.startswith(b"-LOADING") or
                    time.monotonic() > deadline):
                return reply + receive(client, len(wanted) - len(reply))
            time.sleep(POLL_SECONDS)

    def last_words(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace").strip()[-500:]

    def stop(self, number=signal.SIGTERM):
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def call(self, *words):
        """An inline command's reply: one line, or a bulk string's."""
        with connect(self.path) as client:
            client.sendall(" ".join(words).encode() + b"\r\n")
            with client.makefile("rb") as replies:
                line = replies.readline().decode().strip()
                if line.startswith("-"):
                    sys.exit(f"{self.name}: {words[0]} answers {line}")
                if line.startswith("$"):
                    return replies.read(int(line[1:])).decode()
                return line

    def info(self, field, section="persistence"):
        for line in self.call("INFO", section).splitlines():
            if line.startswith(field + ":"):
                return line.split(":", 1)[1]
        sys.exit(f"{self.name} says nothing about {field}")

    def cpu_seconds(self):
        """Of the server so far, all of its threads, also those that ended.

        Nanoseconds of the process's own clock, as clock_getcpuclockid() names
        it: /proc/PID/stat counts in ticks of 10 ms, a tenth of what a fast
        server takes for a million operations.
        """
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def _proc(self, name, field):
        with open(f"/proc/{self.process.pid}/{name}",
                  encoding="utf-8") as stream:
            for line in stream:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
        sys.exit(f"no {field} in /proc/{self.process.pid}/{name}")

    def disk_bytes_read(self):
        """What the server's reads had the disk read so far."""
        return self._proc("io", "read_bytes")

    def memory_bytes(self):
        """RssAnon: heap and stacks. The program's own pages and mapped files,
        which the kernel can drop at any time, are not in it."""
        return self._proc("status", "RssAnon") * 1024

    def quiet_memory_bytes(self):
        """The same, once it has not moved for a second."""
        deadline = time.monotonic() + 60
        before = self.memory_bytes()
        while True:
            time.sleep(1)
            now = self.memory_bytes()
            if abs(now - before) < 1 << 16 or time.monotonic() > deadline:
                return now
            before = now

    def wait_for_hints(self):
        """Until kvd has read each sealed segment again to write its hint, some
        seconds after the last was sealed: it would share disk and processors
        with what is measured. Others have nothing to wait for."""
        deadline = time.monotonic() + HINTS_SECONDS_MAX
        # The active segment and the next one have none.
        while len(self.files(".hint")) < len(self.files(".seg")) - 2:
            if time.monotonic() > deadline:
                sys.exit("kvd does not write its hints")
            time.sleep(0.1)

    def files(self, suffix):
        """Sizes by path; a server at work may remove files meanwhile."""
        sizes = {}
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith(suffix):
                    try:
                        sizes[entry.path] = entry.stat().st_size
                    except FileNotFoundError:
                        pass
        return sizes
