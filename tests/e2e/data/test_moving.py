# SPDX-License-Identifier: MIT
"""Keys move out, in, and between kvd and Debian's redis-server: equal, with
their deadlines, and from where they were when somebody interrupts.
"""

import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
import unittest

from harness import KVCTL, SECONDS_MAX, Connection, E2eTest, ReplyError
from harness import as_map, run, scaled, wait_until

KEYS = int(os.environ.get("KVD_MOVING_KEYS", scaled(4000, 1500)))
# Whoever moves millions has the time.
SECONDS = SECONDS_MAX + KEYS // 500
AWKWARD = [b"", b"\x00", b"\xff\xfe", b"a,b", b'say "hi"', b"two\nlines",
           b"\r\n", "é".encode(), b" space ", b"{}", b"*1\r\n", b"\xef\xbb\xbf",
           b"-", b"\x1b[31m"]


def random_keys(count, seed=5, databases=(0,)):
    """SETs of text, of binary keys and values, some with a deadline."""
    rng = random.Random(seed)
    hour = int(time.time() * 1000) + 3_600_000
    commands = []
    for number in range(count):
        key = b"key:%d:" % number
        if number % 3 == 0:
            key += rng.randbytes(rng.randrange(8))
        if number < len(AWKWARD):
            key = AWKWARD[number]
        value = (b"value %d" % number if number % 2 else
                 rng.randbytes(rng.randrange(200)))
        if number % 7 == 0:
            value = AWKWARD[number // 7 % len(AWKWARD)]
        words = ["SET", key, value]
        if rng.random() < 0.3:
            words += ["PXAT", hour + rng.randrange(1_000_000_000)]
        commands.append((databases[number % len(databases)], words))
    return commands


def fill(path, commands):
    """Sends them, each in its database."""
    with Connection(path) as client:
        for database in sorted({database for database, _ in commands}):
            assert client.call("SELECT", database) == "OK"
            mine = [words for number, words in commands if number == database]
            for start in range(0, len(mine), 1000):
                assert set(client.pipeline(mine[start:start + 1000])) == {"OK"}


def content(path, databases=range(16)):
    """{(database, key): (value, deadline)} of all strings of a server."""
    found = {}
    with Connection(path) as client:
        for database in databases:
            assert client.call("SELECT", database) == "OK"
            cursor = b"0"
            while True:
                cursor, keys = client.call("SCAN", cursor, "COUNT", 1000)
                values = client.pipeline([("GET", key) for key in keys])
                times = client.pipeline([("PEXPIRETIME", key) for key in keys])
                for key, value, deadline in zip(keys, values, times):
                    if not isinstance(value, ReplyError):
                        found[database, key] = (value, deadline)
                if cursor == b"0":
                    break
    return found


class MovingTest(E2eTest):
    """What the tests below share."""

    def setUp(self):
        self.kvd = self.started()

    def check(self, *words, code=0, on=None, **options):
        result = (on or self.kvd).kvctl(*words, seconds_max=SECONDS, **options)
        self.assertEqual(result.returncode, code,
                         (words, result.stdout[-1000:], result.stderr))
        return result

    def summary(self, *words, **options):
        return json.loads(self.check(*words, "--json", **options).stdout)


class WithRedis(MovingTest):
    """Beside redis-server."""

    def test_from_redis_to_kvd_to_redis(self):
        first, second = self.redis_server(), self.redis_server()
        fill(first, random_keys(KEYS, databases=(0, 0, 0, 9)))
        expected = content(first)
        self.assertEqual(len(expected), KEYS)

        summary = self.summary("import", "--from-redis", first)
        self.assertEqual(summary["equal"], KEYS)
        self.assertEqual(summary["different"], 0)
        self.assertEqual(content(self.kvd.socket_path), expected)

        result = self.check("export", "--to-redis", second)
        self.assertIn(b"keys are equal", result.stdout)
        self.assertEqual(content(second), expected)
        result = self.check("diff", first, second)
        self.assertTrue(result.stdout.startswith(
            f"{KEYS:,} equal, 0 different".encode()), result.stdout)

        with Connection(second) as client:
            client.call("SET", "new", "x")
            client.call("SELECT", 9)
            key = next(key for database, key in expected if database == 9)
            client.call("SET", key, "changed", "KEEPTTL")
            client.call("SELECT", 0)
            gone = next(key for database, key in expected if database == 0)
            client.call("DEL", gone)
        result = self.check("diff", self.kvd.socket_path, second, "--json",
                            code=1)
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual(lines[-1], {"equal": KEYS - 2, "different": 1,
                                     "only_in_a": 1, "only_in_b": 1})
        self.assertIn({"key": "new", "db": 0, "only_in": "B"}, lines)
        self.assertEqual([line["different"] for line in lines[:-1]
                          if line.get("db") == 9], ["value"])

    def test_over_tcp_with_a_password(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        path = self.redis_server("--port", str(port), "--bind", "127.0.0.1")
        place = f"127.0.0.1:{port}"
        password = os.path.join(self.new_folder(), "password")
        with open(password, "w", encoding="utf-8") as stream:
            stream.write("secret\n")
        with Connection(path) as client:
            client.pipeline([("SET", f"k{i}", i) for i in range(500)])
            client.call("CONFIG", "SET", "requirepass", "secret")
        result = self.check("import", "--from-redis", place, code=4)
        self.assertIn(b"--password-file", result.stderr)
        result = self.check("import", "--from-redis", place, code=4,
                            env={"REDISCLI_AUTH": "wrong"})
        self.assertEqual(self.kvd.call("DBSIZE"), 0)
        self.check("import", "--from-redis", place, "--password-file",
                   password)
        self.assertEqual(self.kvd.call("DBSIZE"), 500)
        self.kvd.call("SET", "more", "1")
        self.check("export", "--to-redis", place,
                   env={"REDISCLI_AUTH": "secret"})
        # kvd needs none, and takes it.
        self.check("diff", place, self.kvd.socket_path,
                   env={"REDISCLI_AUTH": "secret"})

    def test_keys_of_other_types_are_listed(self):
        path = self.redis_server()
        with Connection(path) as client:
            client.call("SET", "text", "1")
            client.pipeline([("RPUSH", f"list{i}", "x") for i in range(15)])
            client.call("HSET", b"\xffhash", "f", "v")
            client.call("SELECT", 3)
            client.call("SADD", "set", "x")
        result = self.check("import", "--from-redis", path, code=1)
        text = result.stdout.decode()
        self.assertIn("17 keys (1 hash, 15 list, 1 set)", text)
        self.assertIn("--skipped", text)
        skipped = os.path.join(self.new_folder(), "skipped")
        summary = self.summary("import", "--from-redis", path, "--skipped",
                               skipped)
        self.assertEqual((summary["records"], summary["other_types"]), (1, 17))
        with open(skipped, encoding="utf-8") as stream:
            listed = [json.loads(line) for line in stream]
        self.assertEqual(len(listed), 17)
        self.assertIn({"key_b64": "/2hhc2g=", "type": "hash", "db": 0}, listed)
        self.assertIn({"key": "set", "type": "set", "db": 3}, listed)
        self.check("diff", path, self.kvd.socket_path, code=1)

    def test_a_redis_without_pexpiretime(self):
        path = self.redis_server("--rename-command", "PEXPIRETIME", "")
        fill(path, random_keys(200))
        self.check("import", "--from-redis", path)
        self.check("diff", path, self.kvd.socket_path)
        self.assertTrue(any(deadline > 0 for _, deadline in
                            content(self.kvd.socket_path).values()))

    def test_databases_that_kvd_does_not_have(self):
        path = self.redis_server("--databases", "20")
        fill(path, [(0, ["SET", "a", "0"]), (17, ["SET", "a", "17"])])
        result = self.check("import", "--from-redis", path, code=2)
        self.assertIn(b"database 17", result.stderr)
        self.assertEqual(self.kvd.call("DBSIZE"), 0)
        self.check("import", "--from-redis", path, "--db", "0")
        self.assertEqual(self.kvd.call("GET", "a"), b"0")

    def test_what_changes_meanwhile_is_named(self):
        path = self.redis_server()
        fill(path, random_keys(scaled(4000, 1000)))
        stop = threading.Event()

        def write():
            with Connection(path) as client:
                number = 0
                while not stop.is_set():
                    number += 1
                    client.call("SET", "hot", number)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            result = self.check("import", "--from-redis", path, "--json",
                                code=1)
        finally:
            stop.set()
            writer.join()
        self.assertEqual(json.loads(result.stdout)["different"], 1)
        self.check("import", "--from-redis", path)

    def test_redis_takes_the_stream(self):
        fill(self.kvd.socket_path,
             random_keys(scaled(2000, 500), databases=(0, 4)))
        stream = self.check("export", "--format", "resp").stdout
        path = self.redis_server()
        result = run(["redis-cli", "-s", path, "--pipe"], stdin=stream)
        self.assertIn(b"errors: 0", result.stdout)
        self.assertEqual(content(path), content(self.kvd.socket_path))


class Dumps(MovingTest):
    """Files."""

    def test_export_import_export_gives_equal_bytes(self):
        commands = random_keys(KEYS, databases=(0, 2, 15))
        fill(self.kvd.socket_path, commands)
        expected = content(self.kvd.socket_path)
        folder = self.new_folder()
        for ending in ("json", "csv", "resp", "json.zst", "csv.zst"):
            with self.subTest(ending):
                other = self.started()
                paths = [os.path.join(folder, f"{i}.{ending}")
                         for i in range(2)]
                self.check("export", "--sort", "-o", paths[0])
                self.check("import", paths[0], on=other)
                self.assertEqual(content(other.socket_path), expected)
                self.check("export", "--sort", "-o", paths[1], on=other)
                contents = []
                for path in paths:
                    with open(path, "rb") as stream:
                        contents.append(stream.read())
                self.assertEqual(contents[0], contents[1])
                self.check("diff", paths[0], other.socket_path)
                # Standard input, unsorted, through a pipe.
                dump = self.check("export", "--format",
                                  ending.split(".", maxsplit=1)[0]).stdout
                other.call("FLUSHALL")
                self.check("import", stdin=dump, on=other)
                self.assertEqual(content(other.socket_path), expected)
                other.stop()

    def test_one_database_and_a_selection(self):
        fill(self.kvd.socket_path,
             [(0, ["SET", "user:1", "a"]), (0, ["SET", "user*", "b"]),
              (0, ["SET", "other", "c"]), (3, ["SET", "user:3", "d"])])

        def keys(*words):
            lines = self.check("export", "--sort", *words).stdout.splitlines()
            return [(json.loads(line).get("db"), json.loads(line)["key"])
                    for line in lines]

        self.assertEqual(keys(), [(0, "other"), (0, "user*"), (0, "user:1"),
                                  (3, "user:3")])
        self.assertEqual(keys("user:*"), [(0, "user:1"), (3, "user:3")])
        self.assertEqual(keys("--prefix", "user*"), [(0, "user*")])
        self.assertEqual(keys("--db", "3"), [(None, "user:3")])
        # What names no database goes where --db says.
        dump = self.check("export", "--db", "3").stdout
        self.check("import", "--db", "5", stdin=dump)
        self.assertEqual(content(self.kvd.socket_path)[5, b"user:3"],
                         (b"d", -1))
        self.kvd.call("DEL", "user:1", "user*", "other")
        self.assertEqual(keys(), [(3, "user:3"), (5, "user:3")])

    def test_revisions(self):
        self.kvd.call("KV.SET", "a", "1", "PX", "10000000")
        revision = self.kvd.call("KV.SET", "a", "2", "KEEPTTL")
        line = json.loads(self.check("export", "--revisions").stdout)
        self.assertEqual(line["rev"], revision)
        self.assertEqual(line["expires_ms"],
                         self.kvd.call("PEXPIRETIME", "a"))

    def test_keys_that_are_there(self):
        dump = b'{"key":"a","value":"new"}\n{"key":"b","value":"new"}\n'

        def found():
            return self.kvd.connect().call("MGET", "a", "b")

        self.kvd.call("SET", "a", "old")
        result = self.check("import", "--dry-run", stdin=dump)
        self.assertIn(b"1 are there already; nothing was written",
                      result.stdout)
        self.assertEqual(found(), [b"old", None])
        result = self.check("import", "--if-empty", code=1, stdin=dump)
        self.assertIn(b"database 0 has 1 key", result.stderr)
        self.assertEqual(found(), [b"old", None])
        self.assertEqual(self.summary("import", "--skip-existing",
                                      stdin=dump)["existing"], 1)
        self.assertEqual(found(), [b"old", b"new"])
        self.check("import", stdin=dump)
        self.assertEqual(found(), [b"new", b"new"])
        self.kvd.call("FLUSHALL")
        self.check("import", "--if-empty", stdin=dump)
        self.assertEqual(found(), [b"new", b"new"])

    def test_a_deadline_that_has_passed(self):
        self.kvd.call("SET", "a", "old")
        self.check("import",
                   stdin=b'{"key":"a","value":"new","expires_ms":1000}\n')
        self.assertEqual(self.kvd.call("EXISTS", "a"), 0)

    def test_a_record_that_kvd_refuses_is_named(self):
        lines = [json.dumps({"key": f"k{i}", "value": "v"})
                 for i in range(5000)]
        lines[2500] = json.dumps({"key": "k" * 70_000, "value": "v"})
        result = self.check("import", code=6, stdin="\n".join(lines).encode())
        self.assertIn(b"record 2501 (line 2501), key", result.stderr)
        stored = self.kvd.call("DBSIZE")
        self.assertGreaterEqual(stored, 2500)
        self.assertIn(f"{stored:,} other records were set".encode(),
                      result.stderr)
        result = self.check("import", code=2, stdin=b"SET a 1\r\nSET b\r\n")
        self.assertIn(b"record 2 (byte 10)", result.stderr)

    def test_large_values_take_bounded_memory(self):
        value = os.urandom(1 << 20)
        with self.kvd.connect() as client:
            for i in range(scaled(100, 20)):
                client.call("SET", f"k{i}", value)
        path = os.path.join(self.new_folder(), "dump.resp")
        result = run(["/usr/bin/python3", "-c",
                      "import resource, subprocess, sys\n"
                      "code = subprocess.call(sys.argv[1:])\n"
                      "print(resource.getrusage(resource.RUSAGE_CHILDREN)"
                      ".ru_maxrss)\nsys.exit(code)",
                      KVCTL, "export", "-o", path],
                     env={"KVD_SOCKET": self.kvd.socket_path})
        self.assertEqual(result.returncode, 0, result.stderr)
        if os.environ.get("KVD_E2E_KIND", "release") == "release":
            self.assertLess(int(result.stdout), 64 << 10)
        self.check("diff", path, self.kvd.socket_path)


class Interrupted(MovingTest):
    """SIGINT, and the same command again."""

    EXPORTED = scaled(10_000, 4_000)

    def start(self, *words, stdin=subprocess.DEVNULL):
        process = subprocess.Popen(
            [KVCTL, *words], stdin=stdin, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A test in the background ignores SIGINT, and so would this.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            env={**os.environ, "KVD_SOCKET": self.kvd.socket_path})
        self.addCleanup(process.kill)
        return process

    def test_an_import_goes_on(self):
        lines = [b'{"key":"k%d","value":"v%d"}\n' % (i, i)
                 for i in range(20_000)]
        folder = self.new_folder()
        state = os.path.join(folder, "state")
        process = self.start("import", "-", "--resume-file", state,
                             stdin=subprocess.PIPE)
        # It waits for the rest when it is interrupted.
        process.stdin.write(b"".join(lines[:15_000]))
        process.stdin.flush()
        wait_until(lambda: self.kvd.call("DBSIZE") == 15_000,
                   "the first part is there")
        process.send_signal(signal.SIGINT)
        process.stdin.flush()
        _, err = process.communicate(timeout=SECONDS_MAX)
        self.assertEqual(process.returncode, 130, err)
        self.assertIn(b"15,000 records are imported", err)
        self.assertIn(b"same command", err)

        result = self.check("import", "-", "--resume-file", state, code=2,
                            stdin=b"".join(reversed(lines)))
        self.assertIn(b"is not what was interrupted", result.stderr)
        result = self.check("import", "x", "--resume-file", state, code=74)
        before = self.sets()
        summary = self.summary("import", "-", "--resume-file", state,
                               stdin=b"".join(lines))
        self.assertEqual(summary["records"], 20_000)
        self.assertEqual(self.sets() - before, 5_000)
        self.assertEqual(self.kvd.call("DBSIZE"), 20_000)
        self.assertFalse(os.path.exists(state))

    def sets(self):
        text = self.kvd.call("INFO", "commandstats").decode()
        line = next(line for line in text.splitlines()
                    if line.startswith("cmdstat_set:"))
        return int(line.split("calls=")[1].split(",")[0])

    def test_an_export_goes_on(self):
        rng = random.Random(1)
        fill(self.kvd.socket_path,
             [(i % 2, ["SET", f"k{i}", rng.randbytes(1000).hex()])
              for i in range(self.EXPORTED)])
        folder = self.new_folder()
        whole = os.path.join(folder, "whole.json")
        self.check("export", "-o", whole)
        for ending in ("json", "json.zst"):
            with self.subTest(ending):
                self.interrupt_export(os.path.join(folder, f"dump.{ending}"),
                                      whole)

    def interrupt_export(self, path, whole):
        words = ["export", "-o", path, "--resume-file", path + ".state"]
        process = self.start(*words)
        wait_until(lambda: process.poll() is not None or (
            os.path.exists(path + ".part") and
            os.path.getsize(path + ".part") > 0), "it has begun")
        # kvd stands still, so the export is not over.
        self.kvd.signal(signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        self.kvd.signal(signal.SIGCONT)
        _, err = process.communicate(timeout=SECONDS_MAX)
        self.assertEqual(process.returncode, 130, err)
        self.assertFalse(os.path.exists(path))
        self.assertTrue(os.path.exists(path + ".state"))
        part = os.path.getsize(path + ".part")
        self.check(*words)
        self.assertGreater(os.path.getsize(path), part)
        self.assertFalse(os.path.exists(path + ".part"))
        if path.endswith(".zst"):
            self.check("diff", path, whole)
            return
        # Not from the beginning, so nothing is there twice.
        with open(path, "rb") as stream, open(whole, "rb") as expected:
            self.assertEqual(sorted(stream), sorted(expected))

    def test_cursors_of_another_life_are_refused(self):
        self.kvd.call("SET", "a", "1")
        folder = self.new_folder()
        path = os.path.join(folder, "dump")
        state = os.path.join(folder, "state")
        task = f"export to {path} as json"
        with open(state, "w", encoding="utf-8") as stream:
            json.dump({"task": task, "records": 1, "bytes": 2,
                       "input_bytes": 0, "input_checksum": 0,
                       "run_id": "another", "database": 0, "cursor": "5",
                       "output_bytes": 0}, stream)
        result = self.check("export", "-o", path, "--resume-file", state,
                            code=2)
        self.assertIn(b"was started anew", result.stderr)
        result = self.check("export", "-o", path + "2", "--resume-file",
                            state, code=2)
        self.assertIn(b"belongs to another command", result.stderr)


if __name__ == "__main__":
    unittest.main()
