# SPDX-License-Identifier: MIT
"""What the end-to-end tests share: a daemon that never outlives its test, a
client that shows the raw bytes of replies, and kvctl as a process.

Every wait has a limit, and the limit only decides that something hangs: no
test passes or fails by how long a thing took.
"""

import contextlib
import ctypes
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

KIND = os.environ.get("KVD_E2E_KIND", "release")
BACKEND = os.environ.get("KVD_E2E_BACKEND", "local")
ROOT = os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", "..", ".."))
BIN_DIR = os.environ.get("KVD_BIN_DIR") or os.path.join(
    ROOT, "build", "release", "bin")
KVD = os.path.join(BIN_DIR, "kvd")
# The same for data in etcd; not every build has it.
KVD_ETCD = os.path.join(BIN_DIR, "kvd-etcd")
KVCTL = os.path.join(BIN_DIR, "kvctl")
SANITIZED = KIND != "release"
# How long anything may take before it counts as hanging.
SECONDS_MAX = 120 if SANITIZED else 60

# Segments of the default size would spend most of the tests' time in zeroing.
DEFAULTS = {"log.segment_size": "4MiB"}

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def scaled(release, sanitized):
    """How much of something: less where a sanitizer slows everything down."""
    return sanitized if SANITIZED else release


def seed_from_environment(default):
    """The seed of a random test: KVD_SEED replays one."""
    return int(os.environ.get("KVD_SEED", default))


def wait_until(condition, what, seconds_max=None):
    """Polls until condition() is true and returns what it returned."""
    deadline = time.monotonic() + (seconds_max or SECONDS_MAX)
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.005)


class ReplyError(str):
    """An error reply."""


class Closed(Exception):
    """The other end closed the connection."""


class Connection:
    """A raw connection: bytes out, replies in, both as they are on the wire."""

    def __init__(self, path, seconds_max=None):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Not non-blocking, as settimeout() makes it: that would fail while the
        # queue of the listening socket is full.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO,
                               struct.pack("ll", SECONDS_MAX, 0))
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise
        self.socket.settimeout(seconds_max or SECONDS_MAX)
        self._buffer = bytearray()
        self._at = 0

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        """Sends bytes as they are."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed from error

    def _more(self):
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionResetError as error:
            raise Closed from error
        if not data:
            raise Closed
        self._buffer += data

    def _line(self):
        start = self._at
        while True:
            end = self._buffer.find(b"\r\n", start)
            if end >= 0:
                break
            start = max(self._at, len(self._buffer) - 1)
            self._more()
        line = bytes(self._buffer[self._at:end])
        self._at = end + 2
        return line

    def _bytes(self, size):
        while len(self._buffer) < self._at + size:
            self._more()
        data = bytes(self._buffer[self._at:self._at + size])
        self._at += size
        return data

    def _parse(self):
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode("latin-1")
        if kind == b"-":
            return ReplyError(rest.decode("latin-1"))
        if kind in (b":", b"("):
            return int(rest)
        if kind == b"_":
            return None
        if kind == b"#":
            return rest == b"t"
        if kind == b",":
            return float(rest)
        if kind in (b"$", b"="):
            size = int(rest)
            return None if size < 0 else self._bytes(size + 2)[:-2]
        if kind in (b"*", b"~", b">"):
            count = int(rest)
            return (None if count < 0 else
                    [self._parse() for _ in range(count)])
        if kind == b"%":
            return {_hashable(self._parse()): self._parse()
                    for _ in range(int(rest))}
        raise AssertionError(f"not a reply: {line!r}")

    def raw_reply(self):
        """The bytes of the next reply."""
        start = self._at
        self._parse()
        raw = bytes(self._buffer[start:self._at])
        self._trim()
        return raw

    def reply(self):
        """The next reply as a Python value."""
        value = self._parse()
        self._trim()
        return value

    def _trim(self):
        if self._at == len(self._buffer) or self._at > 1 << 20:
            del self._buffer[:self._at]
            self._at = 0

    def rest(self):
        """All bytes until the other end closes."""
        data = bytes(self._buffer[self._at:])
        with contextlib.suppress(ConnectionResetError):
            while True:
                more = self.socket.recv(1 << 18)
                if not more:
                    break
                data += more
        return data

    def call(self, *words):
        """Sends a command; its reply as a Python value."""
        self.send(command(*words))
        return self.reply()

    def call_when_loaded(self, *words):
        """call(), again for as long as kvd answers that it loads."""
        def loaded():
            reply = self.call(*words)
            is_loading = (isinstance(reply, ReplyError) and
                          reply.startswith("LOADING "))
            return None if is_loading else (reply,)

        return wait_until(loaded, "kvd has loaded")[0]

    def raw(self, *words):
        """Sends a command; its reply as bytes."""
        self.send(command(*words))
        return self.raw_reply()

    def pipeline(self, commands):
        """Sends several commands at once; their replies."""
        self.send(b"".join(command(*words) for words in commands))
        return [self.reply() for _ in commands]


def _hashable(value):
    return tuple(value) if isinstance(value, list) else value


def as_bytes(word):
    """The bytes of a command's word."""
    if isinstance(word, bytes):
        return word
    return str(word).encode()


def command(*words):
    """A command as clients send it."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = as_bytes(word)
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)


def as_map(reply):
    """A map of a RESP2 or RESP3 reply, with text keys."""
    if not isinstance(reply, dict):
        reply = dict(zip(reply[::2], reply[1::2]))
    return {key.decode(): value for key, value in reply.items()}


class Process:
    """A child in a session of its own that dies with this program.

    Its stderr goes to a file, so that it can never block on a full pipe.
    """

    def __init__(self, arguments, log_path, env=None, limits=None,
                 pass_fds=()):
        self.log_path = log_path
        parent = os.getpid()

        def prepare():
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(127)
            for which, value in (limits or {}).items():
                resource.setrlimit(which, value)

        with open(log_path, "ab") as log:
            self.process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "NO_COLOR": "1", **(env or {})},
                start_new_session=True, pass_fds=pass_fds, preexec_fn=prepare)

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        if self.running():
            self.process.send_signal(number)

    def wait(self, seconds_max=None):
        """The exit code; negative for a signal."""
        try:
            return self.process.wait(seconds_max or SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"{self.process.args[0]} does not end:\n{self.log()}") from None

    def kill(self):
        """kill -9, of the whole session."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as stream:
            return stream.read()


# What is otherwise with the data in etcd: each a test of
# tests/e2e/etcd/test_differences.py.
DIFFERENCES = ("aggregates_beside_changes", "events_of_others",
               "large_changes", "large_values", "many_keys", "no_log",
               "revisions_in_scripts", "revisions_of_a_transaction",
               "subscribing_in_a_transaction", "swapdb")


def differences():
    """Those that this run meets."""
    return DIFFERENCES if BACKEND == "etcd" else ()


def unless_it_differs(name, *commands):
    """None of them if this run meets that difference."""
    assert name in DIFFERENCES, name
    return () if name in differences() else commands


def differs_on_etcd(name):
    """Marks a test that meets this difference: it is not run there."""
    assert name in DIFFERENCES, name

    def mark(test):
        test.local_only = True
        return test

    return mark


class Daemon:
    """kvd on a data directory, over as many lives as the test wants.

    `settings` are given with --set; `wrap` is put before kvd's command line;
    `program` is another one than that which has the data where this run's are.
    """

    def __init__(self, test, folder=None, data_dir=None, socket_path=None,
                 settings=None, wrap=(), env=None, limits=None, pass_fds=(),
                 defaults=True, program=None):
        self.test = test
        self.program = program or (KVD if BACKEND == "local" else KVD_ETCD)
        self.folder = folder or test.new_folder()
        self.data_dir = data_dir or os.path.join(self.folder, "data")
        self.socket_path = socket_path or os.path.join(self.folder, "sock")
        self.settings = {**(DEFAULTS if defaults else {}),
                         **self._backend(), **(settings or {})}
        self.wrap = list(wrap)
        self.env = env
        self.limits = limits
        self.pass_fds = pass_fds
        self.process = None
        self._lives = 0
        test.addCleanup(self._finish)

    def _backend(self):
        """Settings that put the data where this run's are."""
        if BACKEND == "local":
            return {}
        import etcd  # Which imports this.
        return {"storage.backend": "etcd",
                "etcd.endpoints": etcd.shared_node().endpoint,
                "etcd.prefix": self.data_dir + "/"}

    def arguments(self, *more):
        """kvd's command line."""
        words = [*self.wrap, self.program, "--data-dir", self.data_dir,
                 "--socket", self.socket_path, *more]
        for name, value in self.settings.items():
            words += ["--set", f"{name}={value}"]
        return words

    def launch(self, *more):
        """Starts a process and does not wait for it to be ready."""
        assert self.process is None or not self.process.running()
        self._lives += 1
        self.process = Process(
            self.arguments(*more),
            os.path.join(self.folder, f"log.{self._lives}"), env=self.env,
            limits=self.limits, pass_fds=self.pass_fds)
        return self

    def start(self, *more):
        """Starts a process and waits until it serves."""
        return self.launch(*more).wait_ready()

    def wait_ready(self):
        wait_until(self.serves, "kvd is ready")
        return self

    def serves(self):
        """Whether it answers; fails the test when it ended instead."""
        if not self.process.running():
            raise AssertionError(
                f"kvd ended with {self.process.wait()}:\n{self.log()}")
        try:
            # Not PING, which is answered before the data is loaded.
            reply = self.call("KV.STATUS")
        except (OSError, Closed):
            return False
        # An error when there are too many clients.
        return (not isinstance(reply, ReplyError) and
                as_map(reply)["state"] != b"loading")

    def refuses_to_start(self, *more):
        """Starts it and returns (exit code, log): it must end by itself."""
        self.launch(*more)
        code = self.process.wait()
        return code, self.log()

    def connect(self, seconds_max=None):
        connection = Connection(self.socket_path, seconds_max)
        self.test.addCleanup(connection.close)
        return connection

    def client(self, **options):
        """redis-py's."""
        import redis  # Most tests need none.
        client = redis.Redis(unix_socket_path=self.socket_path,
                             socket_timeout=SECONDS_MAX, **options)
        self.test.addCleanup(client.close)
        return client

    def call(self, *words):
        """One command on a connection of its own."""
        with Connection(self.socket_path) as connection:
            return connection.call(*words)

    def status(self):
        return as_map(self.call("KV.STATUS"))

    def info(self):
        """All fields of INFO."""
        text = self.call("INFO", "everything").decode()
        return dict(line.split(":", 1) for line in text.splitlines()
                    if ":" in line)

    def signal(self, number):
        self.process.signal(number)

    def kill(self):
        """kill -9."""
        self.process.kill()

    def stop(self):
        """SIGTERM; must exit 0."""
        self.signal(signal.SIGTERM)
        code = self.process.wait()
        self.test.assertEqual(code, 0, self.log())
        return code

    def restart(self):
        self.stop()
        return self.start()

    def log(self):
        """What the newest process wrote to stderr."""
        return self.process.log()

    def proc(self, name):
        """A file under /proc of the newest process."""
        with open(f"/proc/{self.process.pid}/{name}",
                  encoding="utf-8") as stream:
            return stream.read()

    def resident_kib(self):
        for line in self.proc("status").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")

    def cpu_ticks(self):
        fields = self.proc("stat").rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def kvctl(self, *words, **options):
        return kvctl(*words, socket_path=self.socket_path, **options)

    def files(self, ending):
        """Paths in the data directory, sorted."""
        return sorted(os.path.join(self.data_dir, name)
                      for name in os.listdir(self.data_dir)
                      if name.endswith(ending))

    def _finish(self):
        """At the end of the test: a living daemon must stop cleanly."""
        if self.process is None or not self.process.running():
            return
        if self.wrap:
            self.process.kill()
            return
        try:
            self.signal(signal.SIGTERM)
            code = self.process.wait()
        finally:
            self.process.kill()
        if code != 0:
            raise AssertionError(
                f"kvd ended with {code} after SIGTERM:\n{self.log()}")


def kvctl(*words, socket_path=None, stdin=b"", env=None, seconds_max=None):
    """Runs kvctl; the CompletedProcess with bytes."""
    environment = {**os.environ, "NO_COLOR": "1", **(env or {})}
    environment.pop("KVD_SOCKET", None)
    if socket_path:
        environment["KVD_SOCKET"] = socket_path
    if env and "KVD_SOCKET" in env:
        environment["KVD_SOCKET"] = env["KVD_SOCKET"]
    return subprocess.run(
        [KVCTL, *words], input=stdin, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=environment,
        timeout=seconds_max or SECONDS_MAX, check=False)


def run(arguments, stdin=b"", env=None, seconds_max=None):
    """Runs a program to its end; the CompletedProcess with bytes."""
    return subprocess.run(
        arguments, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, **(env or {})}, timeout=seconds_max or SECONDS_MAX,
        check=False)


class E2eTest(unittest.TestCase):
    """A test with folders that vanish and daemons that stop."""

    def new_folder(self):
        """A fresh folder with a path short enough for a socket's name."""
        folder = tempfile.mkdtemp(prefix="kvd-", dir="/tmp")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def daemon(self, **options):
        """A daemon that is not started yet."""
        return Daemon(self, **options)

    def started(self, **options):
        """A daemon that serves."""
        return self.daemon(**options).start()

    def background(self, arguments, **options):
        """A process that ends with the test at the latest."""
        handle, path = tempfile.mkstemp(prefix="log-", dir=self.new_folder())
        os.close(handle)
        process = Process(arguments, path, **options)
        self.addCleanup(process.kill)
        return process

    def redis_server(self, *more):
        """redis-server on a Unix socket without persistence; its path."""
        folder = self.new_folder()
        path = os.path.join(folder, "redis")
        process = self.background(
            ["redis-server", "--port", "0", "--unixsocket", path, "--save", "",
             "--appendonly", "no", "--dir", folder, *more])

        def serves():
            self.assertTrue(process.running(), process.log())
            try:
                with Connection(path) as connection:
                    return connection.call("PING") == "PONG"
            except (OSError, Closed):
                return False

        wait_until(serves, "redis-server is ready")
        return path


class Manager:
    """A notify socket as systemd has it; collects what is said.

    It always reads, as systemd does: a full queue would hold up the sender.
    """

    def __init__(self, test):
        self.path = os.path.join(test.new_folder(), "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._messages = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        test.addCleanup(self._close)

    def _read(self):
        while True:
            message = self._socket.recv(65536).decode()
            if message == "end":
                return
            self._messages.append(message)

    def _close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            own.sendto(b"end", self.path)
        self._thread.join(SECONDS_MAX)
        self._socket.close()

    def forget(self):
        """Forgets what was said so far by daemons that have ended."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            own.sendto(b"mark", self.path)
        wait_until(lambda: "mark" in self._messages, "the queue is empty")
        del self._messages[:]

    def lines(self):
        """All lines so far, in order."""
        return [line for message in list(self._messages)
                for line in message.splitlines()]

    def wait_for(self, beginning):
        def found():
            return next((line for line in self.lines()
                         if line.startswith(beginning)), None)

        return wait_until(found, f"{beginning} is said")


def activate(passed):
    """A command line to put before kvd's that passes it a socket."""
    return ["/bin/bash", "-c",
            f'exec 3<&{passed.fileno()}; '
            'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$0" "$@"']


def say(text):
    """A line in the test's log, such as a seed."""
    print(text, file=sys.stderr, flush=True)
