# SPDX-License-Identifier: MIT
"""The clients that people have work as they come."""

import contextlib
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
import unittest

import hiredis
import redis

from harness import E2eTest, SANITIZED, SECONDS_MAX, command, run, scaled


class RedisPy(E2eTest):
    """redis-py as Debian has it."""

    threaded = True

    def setUp(self):
        self.kvd = self.started()

    def test_strings_keys_and_deadlines(self):
        client = self.kvd.client()
        self.assertTrue(client.ping())
        self.assertTrue(client.set("a", b"\x00\xff"))
        self.assertEqual(client.get("a"), b"\x00\xff")
        self.assertIsNone(client.set("a", "x", nx=True))
        self.assertEqual(client.set("a", "2", ex=100, get=True), b"\x00\xff")
        self.assertIn(client.ttl("a"), range(1, 101))
        self.assertEqual(client.incr("a", 40), 42)
        self.assertTrue(client.mset({"b": "1", "c": "2"}))
        self.assertEqual(client.mget("b", "none", "c"), [b"1", None, b"2"])
        self.assertEqual(client.append("b", "23"), 3)
        self.assertEqual(client.strlen("b"), 3)
        self.assertEqual(client.exists("a", "b", "none"), 2)
        self.assertEqual(client.type("a"), b"string")
        self.assertTrue(client.expire("b", 50))
        self.assertTrue(client.persist("b"))
        self.assertEqual(client.ttl("b"), -1)
        self.assertEqual(client.getdel("b"), b"123")
        self.assertEqual(client.getex("c", px=100_000), b"2")
        self.assertEqual(client.getset("c", "3"), b"2")
        self.assertEqual(client.unlink("c"), 1)
        self.assertEqual(client.dbsize(), 1)
        self.assertEqual(sorted(client.scan_iter("*")), [b"a"])
        with self.assertRaisesRegex(redis.ResponseError, "not an integer"):
            client.set("s", "x")
            client.incr("s")

    def test_decoded_and_in_another_database(self):
        client = self.kvd.client(db=3, decode_responses=True)
        client.set("grüße", "Ünïcode")
        self.assertEqual(client.get("grüße"), "Ünïcode")
        self.assertEqual(client.keys("*"), ["grüße"])
        self.assertEqual(self.kvd.client().dbsize(), 0)

    def test_server_commands(self):
        client = self.kvd.client(client_name="me")
        self.assertEqual(client.client_getname(), "me")
        self.assertGreater(client.client_id(), 0)
        self.assertEqual(client.info()["role"], "master")
        self.assertEqual(client.config_get("appendonly").keys(),
                         {"appendonly"})
        self.assertEqual(len(client.time()), 2)
        self.assertGreater(client.command_count(), 40)
        self.assertIn("get", client.command())
        self.assertEqual(client.execute_command("HELLO", "2")[1], b"redis")
        lines = client.client_list()
        self.assertIn("me", [line["name"] for line in lines])
        client.flushdb()
        client.flushall()
        client.select(1)

    def test_own_commands(self):
        client = self.kvd.client()
        revision = client.execute_command("KV.SET", "k", "v")
        self.assertEqual(client.execute_command("KV.GET", "k"),
                         [b"v", revision, -1])
        self.assertGreater(client.execute_command("KV.DEL", "k"), revision)

    def test_a_pipeline_without_a_transaction(self):
        pipeline = self.kvd.client().pipeline(transaction=False)
        for i in range(1000):
            pipeline.set(f"k{i}", i)
        for i in range(1000):
            pipeline.get(f"k{i}")
        replies = pipeline.execute()
        self.assertEqual(replies[1000:], [b"%d" % i for i in range(1000)])

    def test_a_pool_of_many_threads(self):
        client = self.kvd.client()
        count = scaled(300, 60)

        def work():
            for _ in range(count):
                client.incr("n")

        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(client.get("n"), b"%d" % (16 * count))

    def test_both_protocols_as_far_as_it_speaks_them(self):
        # Since version 5 redis-py can be told.
        told = int(redis.__version__.split(".")[0]) >= 5
        for options in ([{"protocol": 2}, {"protocol": 3}] if told else [{}]):
            client = self.kvd.client(**options)
            self.assertTrue(client.set("a", "1"))
            self.assertEqual(client.get("a"), b"1")
            self.assertIsNone(client.get("none"))

    def test_it_comes_back_after_a_restart(self):
        client = self.kvd.client(retry_on_error=[redis.ConnectionError])
        client.set("a", "1")
        self.kvd.restart()
        self.assertEqual(client.get("a"), b"1")


class Hiredis(E2eTest):
    """hiredis' reader on a plain socket."""

    def test_replies_of_every_kind(self):
        kvd = self.started()
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(SECONDS_MAX)
            client.connect(kvd.socket_path)
            client.sendall(
                command("SET", "a", b"\x00\r\n") + command("GET", "a") +
                command("GET", "none") + command("INCR", "n") +
                command("MGET", "a", "none") + command("INCR", "a"))
            reader, replies = hiredis.Reader(), []
            while len(replies) < 6:
                reply = reader.gets()
                if reply is False:
                    reader.feed(client.recv(3))  # In small pieces.
                    continue
                replies.append(reply)
        self.assertEqual(replies[:5],
                         [b"OK", b"\x00\r\n", None, 1, [b"\x00\r\n", None]])
        self.assertIsInstance(replies[5], hiredis.ReplyError)


class RedisCli(E2eTest):
    """redis-cli, interactive and not, and its modes."""

    def setUp(self):
        self.kvd = self.started()

    def cli(self, *words, stdin=b""):
        result = run(["redis-cli", "-s", self.kvd.socket_path, *words],
                     stdin=stdin)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr, b"")
        return result.stdout.decode()

    def test_one_command(self):
        self.assertEqual(self.cli("SET", "a", "1"), "OK\n")
        self.assertEqual(self.cli("GET", "a"), "1\n")
        self.assertEqual(self.cli("-3", "GET", "none"), "\n")
        self.assertEqual(self.cli("-n", "2", "DBSIZE"), "0\n")
        self.assertEqual(self.cli("-x", "SET", "b", stdin=b"\x00\xff"), "OK\n")
        self.assertEqual(self.kvd.call("GET", "b"), b"\x00\xff")
        self.assertEqual(self.cli("-r", "3", "INCR", "n"), "1\n2\n3\n")
        self.assertEqual(self.cli("--json", "MGET", "a", "none"),
                         '["1",null]\n')

    def test_commands_from_stdin(self):
        self.assertEqual(self.cli(stdin=b"set a 1\nincr a\nselect 1\ndbsize\n"),
                         "OK\n2\nOK\n0\n")

    DIALOGUE = [
        (b"set greeting hello", rb"OK"),
        (b"get greeting", rb'"hello"'),
        (b"hello 3", rb'"proto" => \(integer\) 3'),
        (b"get none", rb"\(nil\)"),
        (b"select 2", rb"OK(?=\r\nredis [^\n]*sock\[2\]> )"),
        (b"nope x", rb"\(error\) ERR unknown command"),
        (b"kv.set k v", rb"\(integer\) \d+"),
        # From COMMAND DOCS.
        (b"help set", rb"Sets a value"),
        (b"help kv.set", rb"returns its revision"),
    ]

    def test_interactive(self):
        try:
            for descriptor in pty.openpty():
                os.close(descriptor)
        except OSError as error:
            self.skipTest(f"no pseudo terminals here: {error}")
        # A dumb terminal shows lines; others show hints and edit in place.
        for terminal in ("dumb", "xterm"):
            with self.subTest(terminal=terminal):
                self.interact(terminal)

    def interact(self, kind):
        """Holds the dialogue with a redis-cli on a terminal."""
        child, terminal = pty.fork()
        if child == 0:
            # Rows and columns: without them redis-cli asks the terminal.
            fcntl.ioctl(0, termios.TIOCSWINSZ,
                        struct.pack("HHHH", 24, 120, 0, 0))
            os.environ.update(TERM=kind, HOME=self.kvd.folder)
            os.execvp("redis-cli", ["redis-cli", "-s", self.kvd.socket_path])
        output = b""

        def read_until(pattern):
            nonlocal output
            deadline = time.monotonic() + SECONDS_MAX
            while not re.search(pattern, output):
                ready, _, _ = select.select([terminal], [], [], 1)
                self.assertLess(time.monotonic(), deadline, output)
                if ready:
                    output += os.read(terminal, 65536)

        # Its editor throws away what was typed before it shows the prompt, and
        # replies have a "> " too: wait for the whole prompt at the very end.
        prompt = rb"redis [^\n]*sock(\[\d+\])?> \Z"
        try:
            read_until(prompt)
            for line, expected in self.DIALOGUE:
                output = b""
                os.write(terminal, line + b"\r")
                read_until(rb"\n(?s:.*)" + expected + rb"(?s:.*)\n" + prompt)
        finally:
            os.close(terminal)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    def test_pipe(self):
        count = scaled(100_000, 10_000)
        data = b"".join(command("SET", f"key{i}", i) for i in range(count))
        text = self.cli("--pipe", stdin=data)
        self.assertIn(f"errors: 0, replies: {count}", text)
        self.assertEqual(self.kvd.call("DBSIZE"), count)
        self.assertEqual(self.kvd.call("GET", f"key{count - 1}"),
                         b"%d" % (count - 1))

    def test_stat(self):
        self.kvd.call("SET", "a", "1")
        process = subprocess.Popen(
            ["redis-cli", "-s", self.kvd.socket_path, "-i", "0.1", "--stat"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        lines = [process.stdout.readline().decode() for _ in range(4)]
        self.assertIn("keys", lines[1])
        self.assertRegex(lines[2], r"^1\s+\d+(\.\d+)?[KMGB]\s+\d+\s+0\s+\d+")

    def test_bigkeys_and_memkeys(self):
        with self.kvd.connect() as client:
            client.pipeline([("SET", f"key{i}", "x" * i) for i in range(500)])
        text = self.cli("--bigkeys")
        self.assertRegex(text, r"Biggest string found .*key499.* 499 bytes")
        self.assertIn("Sampled 500 keys", text)
        for words in (("--memkeys",), ("--memkeys", "--memkeys-samples", "0")):
            text = self.cli(*words)
            self.assertRegex(text, r"Biggest string found .*key49\d.* 5\d\d "
                             "bytes")
            self.assertIn("Sampled 500 keys", text)
        # A sanitizer's memory is not in order.
        if not SANITIZED:
            self.assertRegex(self.cli("MEMORY", "DOCTOR"),
                             r"^Memory is in order")

    def test_scan(self):
        with self.kvd.connect() as client:
            client.pipeline([("SET", f"key{i}", "x") for i in range(500)])
        text = self.cli("--scan", "--pattern", "key1*")
        self.assertEqual(len(set(text.split())), 111)


class RedisBenchmark(E2eTest):
    """redis-benchmark, without a warning."""

    threaded = True

    def benchmark(self, *words):
        kvd = self.started()
        result = run(["redis-benchmark", "-s", kvd.socket_path, "-q", *words],
                     seconds_max=4 * SECONDS_MAX)
        text = (result.stdout + result.stderr).decode()
        self.assertEqual(result.returncode, 0, text)
        self.assertNotIn("WARN", text.upper())
        self.assertNotIn("ERR", text)
        self.assertEqual(result.stderr, b"")
        return text

    def test_the_usual_tests(self):
        text = self.benchmark("-t", "ping,set,get,incr,mset", "-n", "2000")
        for name in ("PING_INLINE", "PING_MBULK", "SET", "GET", "INCR",
                     "MSET (10 keys)"):
            self.assertRegex(text, re.escape(name) + r".*requests per second")

    def test_pipelined_on_random_keys(self):
        self.benchmark("-t", "set,get,incr", "-n", str(scaled(20_000, 4000)),
                       "-P", "16", "-r", "100000", "-d", "100", "-3")


class OtherWays(E2eTest):
    """By hand."""

    def test_inline_through_socat(self):
        if not shutil.which("socat"):
            self.skipTest("socat is not installed")
        kvd = self.started()
        address = f"UNIX-CONNECT:{kvd.socket_path}"
        result = run(["socat", "-t", "5", "-", address],
                     stdin=b"SET a 1\nINCR a\r\nPING\nQUIT\n")
        self.assertEqual(result.stdout, b"+OK\r\n:2\r\n+PONG\r\n+OK\r\n")

    def test_one_byte_at_a_time(self):
        client = self.started().connect()
        for byte in command("SET", "slow", "1") + command("GET", "slow"):
            client.send(bytes([byte]))
        self.assertEqual([client.reply(), client.reply()], ["OK", b"1"])


if __name__ == "__main__":
    unittest.main()
