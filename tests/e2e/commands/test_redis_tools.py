# SPDX-License-Identifier: MIT
"""The other modes of redis-cli and redis-benchmark; test_clients.py has those
that people use every day."""

import os
import pty
import re
import subprocess
import unittest

from harness import E2eTest, SECONDS_MAX, run, scaled, wait_until


class RedisCliModes(E2eTest):

    def setUp(self):
        self.kvd = self.started()

    def arguments(self, *words):
        return ["redis-cli", "-s", self.kvd.socket_path, *words]

    def cli(self, *words, stdin=b"", code=0):
        result = run(self.arguments(*words), stdin=stdin)
        text = (result.stdout + result.stderr).decode()
        self.assertEqual(result.returncode, code, text)
        return text

    def shows(self, *words, pattern):
        """On a terminal, which is where most of these go on for ever."""
        try:
            terminal, end = pty.openpty()
        except OSError as error:
            self.skipTest(f"no pseudo terminals here: {error}")
        self.addCleanup(os.close, terminal)
        process = subprocess.Popen(
            self.arguments(*words), stdin=subprocess.DEVNULL, stdout=end,
            stderr=end, env={**os.environ, "TERM": "xterm"})
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        os.close(end)
        output = b""
        while not re.search(pattern, output):
            output += os.read(terminal, 65536)  # Fails where it ends.

    def test_forms_of_output(self):
        self.kvd.call("MSET", "a", 'say "hi"', "b", "ü")
        for words, shown in (
                (("--csv",), '"say \\"hi\\"","\\xc3\\xbc",NULL\n'),
                (("--csv", "-3"), '"say \\"hi\\"","\\xc3\\xbc",NULL\n'),
                (("--json",), '["say \\"hi\\"","ü",null]\n'),
                (("--json", "-2"), '["say \\"hi\\"","ü",null]\n'),
                (("--quoted-json",),
                 r'["say \\"hi\\"","\\xc3\\xbc",null]' "\n"),
                (("--no-raw",),
                 '1) "say \\"hi\\""\n2) "\\xc3\\xbc"\n3) (nil)\n'),
                (("-d", ";", "-D", "|"), 'say "hi";ü;|')):
            with self.subTest(words):
                self.assertEqual(self.cli(*words, "MGET", "a", "b", "none"),
                                 shown)
        self.assertIn('"proto":3,', self.cli("--json", "HELLO", "3"))
        self.assertIn('"server","redis",', self.cli("--csv", "-3", "HELLO"))

    def test_words_from_stdin_and_quoted(self):
        self.cli("-X", "here", "SET", "here", "1", stdin=b"\x00key")
        self.assertEqual(self.kvd.call("GET", b"\x00key"), b"1")
        self.cli("--quoted-input", "SET", r'"n\x00x"', "2")
        self.assertEqual(
            self.cli("--no-raw", "--scan", "--quoted-pattern", r'"n\x00*"'),
            '"n\\x00x"\n')

    def test_repeated_in_intervals(self):
        self.assertEqual(self.cli("-r", "3", "-i", "0.01", "INCR", "n"),
                         "1\n2\n3\n")

    def test_a_script_from_a_file(self):
        path = os.path.join(self.kvd.folder, "script.lua")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write("redis.call('SET', KEYS[1], ARGV[1])\n"
                         "return {redis.call('GET', KEYS[1]), #ARGV}\n")
        self.assertEqual(self.cli("--eval", path, "k", ",", "v", "w"),
                         "v\n2\n")

    def test_errors_and_exit_codes(self):
        error = "ERR unknown command 'nope', with args beginning with: 'x' \n"
        self.assertEqual(self.cli("nope", "x"), error + "\n")
        self.assertEqual(self.cli("-e", "nope", "x", code=1), error)
        text = self.cli("--no-auth-warning", "-a", "secret", "PING")
        self.assertIn("AUTH failed: ERR AUTH <password> called without any "
                      "password configured for the default user", text)
        self.assertIn("PONG", text)

    def test_latency(self):
        numbers = self.cli("--latency", "-i", "0.1").split()
        self.assertEqual(len(numbers), 4)  # Lowest, highest, mean, samples.
        self.assertGreater(int(numbers[3]), 0)
        self.assertRegex(self.cli("--latency", "--csv", "-i", "0.1"),
                         r"^\d+,\d+,\d+\.\d+,\d+\n$")
        self.shows("--latency", pattern=rb"min: \d+, max: \d+, avg: \d")
        self.shows("--latency-history", "-i", "0.1",
                   pattern=rb"\(\d+ samples\) -- 0\.1\d seconds range")
        self.shows("--latency-dist", "-i", "0.1",
                   pattern=rb"From 0 to 100%: .*\n")

    def test_a_cache_workload(self):
        self.shows("--lru-test", "100",
                   pattern=rb"\d+ Gets/sec \| Hits: \d+ .* \| Misses: \d+")

    def test_scans_in_intervals(self):
        with self.kvd.connect() as client:
            client.pipeline([("SET", f"key{i:03}", "x" * i) for i in range(500)])
        for mode in ("--bigkeys", "--memkeys"):
            text = self.cli(mode, "-i", "0.001")
            self.assertRegex(text, "Biggest string found .*key49")
            self.assertIn("Sampled 500 keys", text)
        text = self.cli("--scan", "-i", "0.001", "--pattern", "key1*")
        self.assertEqual(len(set(text.split())), 100)

    def test_a_pipe_with_errors_goes_on(self):
        text = self.cli("--pipe", "--pipe-timeout", str(SECONDS_MAX), code=1,
                        stdin=b"SET a 1\r\nNOPE\r\nINCR a\r\n")
        self.assertIn("unknown command 'NOPE'", text)
        self.assertIn("errors: 1, replies: 3", text)
        self.assertEqual(self.kvd.call("GET", "a"), b"2")

    def test_a_monitor(self):
        process = self.background(self.arguments("MONITOR"))
        # The first may be there before MONITOR is.
        while "SET" not in process.log():
            self.assertTrue(process.running(), process.log())
            self.kvd.call("SET", "a", "1 2")
        self.assertRegex(process.log(), r'(?m)^\d+\.\d{6} \[0 unix:[^\]]*\] "SET" "a" "1 2"$')

    def test_what_needs_what_kvd_has_not(self):
        """Says so and ends, rather than hang."""
        self.kvd.call("SET", "a", "1")
        dump = os.path.join(self.kvd.folder, "dump.rdb")
        for words, error in (
                (("--rdb", dump), "unknown command 'SYNC'"),
                (("--functions-rdb", dump), "unknown command 'REPLCONF'"),
                (("--replica",), "unknown command 'SYNC'"),
                (("--hotkeys",), "An LFU maxmemory policy is not selected")):
            with self.subTest(words[0]):
                self.assertIn(error, self.cli(*words, code=1))
        self.assertFalse(os.path.exists(dump))


class RedisBenchmarkModes(E2eTest):
    """Each of its tests that needs strings alone, and its ways to run them."""

    threaded = True

    NAMES = ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR",
             "MSET (10 keys)"]
    TESTS = ("-t", "ping_inline,ping_mbulk,set,get,incr,mset")
    OTHERS = "lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange"

    def benchmark(self, *words, stdin=b"", code=0):
        result = run(["redis-benchmark", "-s", self.kvd.socket_path, *words],
                     stdin=stdin, seconds_max=4 * SECONDS_MAX)
        text = (result.stdout + result.stderr).decode()
        self.assertEqual(result.returncode, code, text)
        return text

    def setUp(self):
        self.kvd = self.started()
        self.count = str(scaled(2000, 500))

    def assert_rows(self, text):
        """One row a test, and nothing that went wrong."""
        for name in self.NAMES:
            self.assertEqual(text.count(f'"{name}","'), 1, text)
        self.assertNotIn("ERR", text)
        # About whether data are kept.
        self.assertNotIn("WARN", text.replace("WARNING: Keepalive", ""))

    def test_each_way_to_run_them(self):
        for words in (("-P", "16", "-3"), ("-c", "1", "--precision", "3"),
                      ("-c", "200", "--threads", "2"),
                      ("-r", "1000", "-d", "2000", "--dbnum", "5"),
                      ("-k", "0", "-n", "300")):
            with self.subTest(words):
                self.assert_rows(self.benchmark(
                    *self.TESTS, "--csv", "-n", self.count, *words))

    def test_commands_of_ones_own(self):
        self.benchmark("-q", "-n", self.count, "-r", "100",
                       "SET", "key:__rand_int__", "value")
        self.assertIn(self.kvd.call("DBSIZE"), range(1, 101))
        self.benchmark("-q", "-n", "100", "-x", "SET", "from-stdin",
                       stdin=b"some\r\nbytes")
        self.assertEqual(self.kvd.call("GET", "from-stdin"), b"some\r\nbytes")
        self.benchmark("-q", "-n", "100", "EVAL",
                       "return redis.call('INCR', KEYS[1])", "1", "n")
        self.assertEqual(self.kvd.call("GET", "n"), b"100")

    def test_idle_connections(self):
        process = self.background(["redis-benchmark", "-s",
                                   self.kvd.socket_path, "-I", "-c", "100"])
        wait_until(
            lambda: int(self.kvd.info()["connected_clients"]) == 101,
            "all are connected")
        self.assertTrue(process.running(), process.log())

    def test_those_of_other_types_end_with_an_error(self):
        for name in self.OTHERS.split(","):
            with self.subTest(name):
                text = self.benchmark("-t", name, "-n", "10", "-q", code=1)
                self.assertIn("ERR unknown command", text)


if __name__ == "__main__":
    unittest.main()
