# SPDX-License-Identifier: MIT
"""kvctl against the real daemon."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest

from harness import KVCTL, KVD, E2eTest, as_bytes, kvctl, run, scaled

BINARY = bytes(range(256)) + b"\r\n\x00$5\r\n"


class Verbs(E2eTest):
    """Every verb, its output and its exit code."""

    def setUp(self):
        self.kvd = self.started()

    def check(self, words, code=0, out=None, err=b"", stdin=b""):
        """Runs kvctl and compares what is given; None compares nothing."""
        result = self.kvd.kvctl(*words, stdin=stdin)
        self.assertEqual(result.returncode, code,
                         (words, result.stdout, result.stderr))
        if out is not None:
            self.assertEqual(result.stdout, out, words)
        if err is not None:
            self.assertEqual(result.stderr, err, words)
        return result

    def out(self, *words, **options):
        return self.check(words, **options).stdout

    def json(self, *words):
        return json.loads(self.out(*words, "--json"))

    def test_set_and_get(self):
        self.assertRegex(self.out("set", "greeting", "hello"),
                         rb"^OK  rev \d+\n$")
        self.check(["get", "greeting"], out=b"hello")
        self.check(["put", "greeting", "again"])
        self.check(["get", "greeting"], out=b"again")
        self.check(["get", "nope"], code=1, out=b"",
                   err=b"kvctl: no such key: nope\n")
        self.check(["set", "empty", ""])
        self.check(["get", "empty"], out=b"")
        self.check(["set", "--", "-dash", "--value"])
        self.check(["get", "--", "-dash"], out=b"--value")
        self.check(["get", "greeting", "--hex"], out=b"616761696e\n")
        self.check(["get", "greeting", "--base64"], out=b"YWdhaW4=\n")

    def test_binary_values_from_stdin_and_files(self):
        for words in (["set", "k"], ["set", "k", "-"]):
            self.kvd.call("DEL", "k")
            self.check(words, stdin=BINARY)
            self.assertEqual(self.kvd.call("GET", "k"), BINARY)
            self.check(["get", "k"], out=BINARY)
        path = os.path.join(self.new_folder(), "value")
        large = os.urandom(3_000_000)
        with open(path, "wb") as stream:
            stream.write(large)
        self.check(["set", "large", "--file", path])
        self.check(["get", "large"], out=large)
        self.check(["set", "k", "--file", path + ".none"], code=74, err=None)
        self.check(["get", "large", "--json"], err=b"")

    def test_conditions_and_revisions(self):
        first = self.json("set", "k", "1")["rev"]
        result = self.check(["set", "k", "2", "--nx"], code=1, err=None)
        self.assertIn(b"nothing was written", result.stderr)
        self.check(["set", "none", "2", "--xx"], code=1, err=None)
        result = self.check(["set", "k", "2", "--ifrev", str(first + 7)],
                            code=1, err=None)
        self.assertEqual(result.stderr.decode(),
                         f"kvctl: k is at rev {first}, not {first + 7}; "
                         "nothing was written\n")
        second = self.json("set", "k", "2", "--ifrev", str(first))["rev"]
        self.assertGreater(second, first)
        self.check(["del", "k", "--ifrev", str(first)], code=1, err=None)
        self.check(["get", "k"], out=b"2")
        self.check(["del", "k", "--ifrev", str(second)])
        self.check(["exists", "k"], code=1, out=b"0\n")
        self.check(["set", "new", "1", "--ifrev", "0"])
        self.check(["set", "new", "1", "--ifrev", "0"], code=1, err=None)

    def test_deadlines(self):
        self.check(["set", "k", "v", "--ttl", "1h"])
        self.assertIn(self.json("ttl", "k")["ttl_ms"], range(1, 3_600_001))
        self.check(["set", "k", "w", "--keep-ttl"])
        self.assertIsNotNone(self.json("get", "k")["ttl_ms"])
        self.check(["persist", "k"])
        self.check(["ttl", "k"], out=b"lives for ever\n")
        self.check(["expire", "k", "1h30m"])
        self.assertRegex(self.out("ttl", "k"), rb"^1h(30|29)m\n$")
        for verb in (["ttl"], ["persist"]):
            self.check([*verb, "none"], code=1, err=b"kvctl: no such key: "
                       b"none\n")
        self.check(["expire", "none", "5s"], code=1, err=None)
        self.check(["set", "k", "v", "--px", "1"])
        while self.kvd.call("EXISTS", "k"):
            time.sleep(0.005)
        self.check(["get", "k"], code=1, err=None)

    def test_del_exists_incr(self):
        self.check(["call", "MSET", "a", "1", "b", "2", "c", "3"], out=b"OK\n")
        self.check(["exists", "a", "b"], out=b"2\n")
        self.check(["exists", "a", "none"], code=1, out=b"1\n")
        self.check(["incr", "a"], out=b"2\n")
        self.check(["incr", "a", "40"], out=b"42\n")
        self.check(["incr", "a", "-2"], out=b"40\n")
        self.check(["set", "text", "x"])
        self.check(["incr", "text"], code=6, err=b"kvctl: value is not an "
                   b"integer or out of range\n")
        self.check(["del", "a"], out=b"deleted 1\n")
        self.check(["rm", "a"], code=1, err=b"kvctl: no such key: a\n")
        self.check(["delete", "b", "c", "none"], out=b"deleted 2\n")

    def test_del_by_prefix_asks_first(self):
        with self.kvd.connect() as client:
            client.pipeline([("SET", f"{prefix}{i}", "v")
                             for prefix in ("user:", "user*", "other:")
                             for i in range(1500)])
        self.check(["del", "--prefix", "user:", "--dry-run"],
                   out=b"would delete 1,500\n")
        result = self.check(["del", "--prefix", "user:"], code=2, err=None)
        self.assertIn(b"--yes", result.stderr)
        self.assertEqual(self.kvd.call("DBSIZE"), 4500)
        self.check(["del", "--prefix", "user:", "--yes"],
                   out=b"deleted 1,500\n")
        # The star is a star.
        self.check(["del", "--prefix", "user*", "--yes"],
                   out=b"deleted 1,500\n")
        self.assertEqual(self.kvd.call("DBSIZE"), 1500)

    def test_ls(self):
        with self.kvd.connect() as client:
            client.pipeline([("SET", f"user:{i}", "v" * i)
                             for i in range(2500)] + [("SET", "x", "1")])
        lines = self.out("ls", "user:").decode().splitlines()
        self.assertEqual(sorted(lines), sorted(f"user:{i}"
                                               for i in range(2500)))
        self.assertEqual(len(self.out("ls").splitlines()), 2501)
        self.assertEqual(len(self.out("list", "--limit", "7").splitlines()), 7)
        self.check(["ls", "none"], out=b"")
        one = self.json("ls", "user:17", "--limit", "1")
        self.assertEqual(list(one), ["key", "rev", "size", "ttl_ms"])
        self.assertIsNone(one["ttl_ms"])

    def test_json(self):
        revision = self.json("set", "k", "v")["rev"]
        self.assertEqual(self.json("get", "k"),
                         {"key": "k", "value": "v", "rev": revision,
                          "ttl_ms": None})
        self.kvd.call("SET", b"\xffkey", b"\xff\x00")
        self.assertEqual(
            {name: value for name, value in json.loads(self.check(
                ["get", b"\xffkey", "--json"]).stdout).items()
             if name != "rev"},
            {"key_b64": "/2tleQ==", "value_b64": "/wA=", "ttl_ms": None})
        self.assertEqual(self.json("exists", "k"), {"exist": 1})
        self.assertEqual(self.json("incr", "n"), {"key": "n", "value": 1})
        self.assertEqual(self.json("del", "n"), {"deleted": 1})
        self.assertEqual(json.loads(self.out("call", "--json", "MGET", "k",
                                             "none")), ["v", None])
        self.assertEqual(self.json("status")["keys"], 2)
        self.assertEqual(self.json("ping"), {"reply": "PONG"})

    def test_ping_status_call(self):
        self.check(["ping"], out=b"PONG\n")
        self.check(["set", "k", "v"])
        text = self.out("status").decode()
        for part in ("kvd ", f"pid {self.kvd.process.pid}",
                     f"socket {self.kvd.socket_path}", "keys 1", "sync always",
                     f"data {self.kvd.data_dir}"):
            self.assertIn(part, text)
        self.check(["call", "GET", "k"], out=b"v\n")
        self.check(["call", "NOPE", "x"], code=6, err=None)
        self.check(["call"], code=2, err=None)
        self.check(["--db", "3", "set", "k", "other"])
        self.check(["get", "k", "--db", "3"], out=b"other")
        self.check(["get", "k"], out=b"v")

    def test_sockets_are_found_in_the_order_that_the_help_says(self):
        other = self.started()
        other.call("SET", "k", "other")
        self.check(["set", "k", "mine"])
        self.check(["--socket", other.socket_path, "get", "k"], out=b"other")
        self.check(["get", "k", "--socket", other.socket_path], out=b"other")
        self.check(["get", "k"], out=b"mine")  # $KVD_SOCKET.

    def test_ls_with_sizes_moves_no_values(self):
        value = b"v" * 1_000_000
        with self.kvd.connect() as client:
            client.pipeline([("SET", f"k{i}", value) for i in range(20)])
        before = int(self.kvd.info()["total_net_output_bytes"])
        lines = self.out("ls", "--json").splitlines()
        self.assertEqual({json.loads(line)["size"] for line in lines},
                         {len(value)})
        self.check(["set", "k1", "v", "--nx"], code=1, err=None)
        self.check(["del", "k1", "--ifrev", "1"], code=1, err=None)
        moved = int(self.kvd.info()["total_net_output_bytes"]) - before
        self.assertLess(moved, len(value))

    def test_shutdown_by_a_call(self):
        self.check(["call", "SHUTDOWN"], out=b"")
        self.assertEqual(self.kvd.process.wait(), 0)

    def test_misuse(self):
        for words, expected in (
                (["gte", "k"], b'unknown command "gte". Did you mean "get"?'),
                (["get", "k", "--jsn"], b'Did you mean "--json"?'),
                (["get"], b"KEY"), (["get", "a", "b"], b'"b"'),
                (["set", "k", "v", "--ttl", "soon"], b"soon"),
                (["incr", "k", "x"], b'"x"'),
                (["--timeout", "x", "ping"], b"--timeout"),
                (["--db", "16", "ping"], b"16")):
            with self.subTest(words=words):
                result = self.check(words, code=2, out=b"", err=None)
                self.assertTrue(result.stderr.startswith(b"kvctl: "),
                                result.stderr)
                self.assertIn(expected, result.stderr)
        self.assertEqual(kvctl().returncode, 2)
        self.assertEqual(kvctl("--help").returncode, 0)
        self.assertRegex(kvctl("--version").stdout, rb"^kvctl \d+\.\d+\.\d+\n")

    def test_many_at_once(self):
        count = scaled(200, 40)
        workers = [subprocess.Popen(
            ["/bin/sh", "-c", f'i=0; while [ $i -lt {count // 4} ]; do '
             '"$0" incr n >/dev/null || exit 1; i=$((i+1)); done', KVCTL],
            env={**os.environ, "KVD_SOCKET": self.kvd.socket_path})
            for _ in range(4)]
        for worker in workers:
            self.assertEqual(worker.wait(300), 0)
        self.check(["get", "n"], out=b"%d" % (count // 4 * 4))


def closing(*redirections):
    """A command line to put before a program: the shell redirects first."""
    return ["/bin/bash", "-c", 'exec "$0" "$@" ' + " ".join(redirections)]


# What a verb takes to succeed, by the words of its usage.
SAMPLES = {"KEY": "k", "DURATION": "1h", "ARGUMENT": None, "OPTIONS": None,
           "CHANNEL": "news", "MESSAGE": "x"}
MORE = {"backup": ["-"], "call": ["PING"],
        "stat": ["-n", "1", "-i", "10ms"],
        "diff": ["/dev/null", "/dev/null"], "import": ["/dev/null"]}
# What works with an etcd alone: tests/e2e/etcd.
ON_ETCD = {"migrate"}


def verbs():
    """Each verb of kvctl's help with words that it works with."""
    text = kvctl("help").stdout.decode()
    rows = text.split("\nCommands:\n")[1].split("\n\n")[0].splitlines()
    found = {}
    for row in rows:
        verb = row.split()[0].rstrip(",")
        usage = kvctl("help", verb).stdout.decode().splitlines()[1]
        words = usage.removeprefix(f"Usage: kvctl {verb} ").split()
        found[verb] = [SAMPLES[word] for word in words if word in SAMPLES]
        if verb == "set":
            found[verb].append("5")
        found[verb] += MORE.get(verb, [])
    return found


class Streams(E2eTest):
    """Standard streams that are closed, full or empty."""

    def setUp(self):
        self.kvd = self.started()

    def run_with(self, words, *redirections):
        return run([*closing(*redirections), *words],
                   env={"KVD_SOCKET": self.kvd.socket_path})

    def publish_all_the_time(self):
        """What subscribe waits for."""
        ended = threading.Event()

        def publish():
            with self.kvd.connect() as client:
                while not ended.wait(0.005):
                    client.call("PUBLISH", "news", "x")

        publishing = threading.Thread(target=publish)
        publishing.start()
        self.addCleanup(publishing.join)
        self.addCleanup(ended.set)

    def test_every_verb_tells_that_its_output_cannot_be_written(self):
        self.publish_all_the_time()
        self.assertIn("ls", verbs())
        for verb, words in verbs().items():
            for options in ([], ["--json"], ["--help"]):
                if verb in ON_ETCD and options != ["--help"]:
                    continue
                for redirection in (">/dev/full", ">&-"):
                    line = [KVCTL, verb, *words, *options]
                    if options == ["--help"]:
                        line = [KVCTL, verb, "--help"]
                    elif verb == "call":
                        line = [KVCTL, verb, *options, *words]
                    with self.subTest(line=line, redirection=redirection):
                        self.kvd.call("SET", "k", "5", "EX", "1000")
                        result = self.run_with(line, redirection)
                        self.assertEqual(result.returncode, 74, result.stderr)
                        self.assertIn(b"cannot write", result.stderr)
        for words in (["--help"], ["--version"]):
            self.assertEqual(self.run_with([KVCTL, *words], ">&-").returncode,
                             74)

    def test_what_cannot_be_said_does_not_change_the_exit_code(self):
        for redirection in ("2>&-", "2>/dev/full"):
            for words, code in ((["get", "nope"], 1), (["gte"], 2), ([], 2),
                                (["call", "NOPE"], 6),
                                (["del", "--prefix", "x"], 0)):
                with self.subTest(words=words, redirection=redirection):
                    result = self.run_with([KVCTL, *words], redirection)
                    self.assertEqual(result.returncode, code)

    def test_no_connection_takes_the_place_of_a_closed_stream(self):
        value = b"*1\r\n$8\r\nFLUSHALL\r\n"
        self.kvd.call("SET", "k", value)
        for redirections in (["<&-"], [">&-"], ["2>&-"], ["<&-", ">&-"],
                             ["<&-", "2>&-"], [">&-", "2>&-"],
                             ["<&-", ">&-", "2>&-"]):
            with self.subTest(redirections=redirections):
                result = self.run_with([KVCTL, "get", "k"], *redirections)
                shown = ">&-" not in redirections
                self.assertEqual(result.returncode, 0 if shown else 74)
                self.assertEqual(result.stdout, value if shown else b"")
                self.run_with([KVCTL, "get", value], *redirections)
                self.assertEqual(self.kvd.call("GET", "k"), value)

    def test_nothing_is_stored_that_nobody_gave(self):
        self.kvd.call("SET", "k", "old")
        for redirection in ("</dev/null", "<&-"):
            for words in (["k"], ["k", "-"], ["k", "--json"], ["k", "--"]):
                with self.subTest(words=words, redirection=redirection):
                    result = self.run_with([KVCTL, "set", *words], redirection)
                    self.assertEqual(result.returncode, 2, result.stderr)
        # A pipe and a file do give a value, but not in the place of a word.
        for option in ("--json", "--nx", "--ttl=5s", "--"):
            for redirection in ("< /etc/passwd", "< <(echo other)"):
                result = self.run_with([KVCTL, "set", "k", option],
                                       redirection)
                self.assertEqual(result.returncode, 2, result.stderr)
                self.assertIn(b"--", result.stderr)
        self.assertEqual(self.kvd.call("GET", "k"), b"old")
        self.run_with([KVCTL, "set", "k", "--ttl", "1h"], "< <(echo other)")
        self.assertEqual(self.kvd.call("GET", "k"), b"other\n")
        self.run_with([KVCTL, "set", "new", "-", "--nx"], "< <(echo third)")
        self.assertEqual(self.kvd.call("GET", "new"), b"third\n")

    def test_kvd_lives_and_stops_without_them(self):
        every = [["<&-"], [">&-"], ["2>&-"], ["2>/dev/full"],
                 ["<&-", ">&-", "2>&-"], [">&-", "2>/dev/full"]]
        for redirections in every:
            with self.subTest(redirections=redirections):
                daemon = self.started(wrap=closing(*redirections))
                daemon.call("SET", "k", "v")
                daemon.call("NOPE")
                daemon.stop()
                self.assertEqual(daemon.start().call("GET", "k"), b"v")
                daemon.stop()

    def test_kvd_tells_that_its_output_cannot_be_written(self):
        self.kvd.call("SET", "k", "v")
        self.kvd.stop()
        for words in (["--version"], ["--help"], ["check-config"],
                      ["verify", self.kvd.data_dir]):
            for redirection in (">/dev/full", ">&-"):
                with self.subTest(words=words, redirection=redirection):
                    result = self.run_with([KVD, *words], redirection)
                    self.assertEqual(result.returncode, 74, result.stderr)
        self.assertEqual(self.run_with([KVD, "--nope"], "2>&-").returncode, 2)


# What parsers, shells, formats and patterns take for something else.
AWKWARD = [
    "", " ", "-", "--", "---", "-1", "-x", "-n", "-n5", "-i", "-h", "--=", "=",
    "=x", "x=", "a=b", "+", "++", "+1", "[", "]", "[]", "[a]", "[a,b]",
    "[[a]]", "a,b", ",", "{", "}", "{}", "{a}", "{{}}", "{0}", "(", "()", "<",
    ">", "|", "&", ";", ":", "%", "%s", "%n", "%%", "*", "**", "?", "!", "~",
    "^", "$", "$k", "$(k)", "`k`", "\\", "\\n", '"', '""', '"a b"', "'",
    "'a b'", "#", "@", "@file", "/", "//", ".", "..", "\n", "a\nb", "\r\n",
    "\t", "\x01", "\x1b[31m", "\x7f", b"\xff", b"\xc3", "é", "*3\r\n",
    "$-1\r\n", "0", "00", "1e5", "nan", "null", "set", "get", "help",
    "--json", "--json=x", "--help", "--version", "--socket", "--jsno",
    "--unknown", "--ttl", "--nx", "-" * 5000]


class Words(E2eTest):
    """Keys and values arrive as they were given."""

    def test_behind_two_dashes_all_words_are_words(self):
        kvd = self.started()
        for word in AWKWARD:
            with self.subTest(word=word):
                data = as_bytes(word)
                for words in (["set", "--", word, word],
                              ["set", "--", "k", word]):
                    result = kvd.kvctl(*words)
                    self.assertEqual(result.returncode, 0, result.stderr)
                    self.assertEqual(kvd.call("GET", words[2]), data)
                self.assertEqual(kvd.kvctl("get", "--", word).stdout, data)
                self.assertEqual(kvd.kvctl("call", "ECHO", word).stdout,
                                 data + b"\n")
                kvd.call("MSET", "a", "1", "b", "2", "[a,b]", "3")
                others = kvd.call("DBSIZE") - 1
                result = kvd.kvctl("del", "--", word)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual(kvd.call("DBSIZE"), others)
                self.assertEqual(kvd.call("EXISTS", word), 0)

    def test_else_they_arrive_or_are_refused(self):
        kvd = self.started()
        refused = 0
        for word in AWKWARD:
            with self.subTest(word=word):
                kvd.call("SET", "k", "old")
                # Not the empty value that a closed pipe would give.
                result = kvd.kvctl("set", "k", word, stdin=b"swallowed")
                if result.returncode == 0 and word != "-":
                    self.assertEqual(kvd.call("GET", "k"), as_bytes(word))
                elif word != "-":
                    refused += 1
                    self.assertEqual(result.returncode, 2, result.stderr)
                    self.assertEqual(kvd.call("GET", "k"), b"old")
        self.assertLess(refused, 12)


class Troubles(E2eTest):
    """What it says when there is no daemon, or not a good one."""

    def test_nobody_there(self):
        path = os.path.join(self.new_folder(), "none")
        result = kvctl("get", "k", socket_path=path)
        self.assertEqual(result.returncode, 3)
        text = result.stderr.decode()
        self.assertIn(f"kvctl: cannot reach kvd at {path}", text)
        for part in ("kvd is not running", "systemctl start", "--socket"):
            self.assertIn(part, text)
        # A socket that nobody serves any more.
        daemon = self.started()
        daemon.kill()
        result = daemon.kvctl("get", "k")
        self.assertEqual(result.returncode, 3)
        self.assertIn(b"kvd is not running", result.stderr)

    def test_wait_for_a_daemon_that_starts_later(self):
        daemon = self.daemon()
        results = []

        def work():
            results.append(daemon.kvctl("set", "k", "v", "--wait", "100s"))

        worker = threading.Thread(target=work)
        worker.start()
        time.sleep(0.3)
        self.assertEqual(results, [])
        daemon.start()
        worker.join()
        self.assertEqual(results[0].returncode, 0, results[0].stderr)
        self.assertEqual(daemon.call("GET", "k"), b"v")
        # And what does not come is given up.
        daemon.stop()
        self.assertEqual(daemon.kvctl("ping", "--wait", "100ms").returncode, 3)

    def test_no_permission(self):
        if os.geteuid() != 0:
            self.skipTest("becoming somebody else takes root")
        daemon = self.started()
        os.chmod(daemon.folder, 0o755)
        os.chmod(daemon.socket_path, 0o660)
        user = pwd.getpwnam("nobody")
        # Others need not be able to look into the folder of the build.
        program = shutil.copy(KVCTL, daemon.folder)
        result = subprocess.run(
            [program, "get", "k"], user=user.pw_uid, group=user.pw_gid,
            extra_groups=[], stdin=subprocess.DEVNULL,
            env={**os.environ, "KVD_SOCKET": daemon.socket_path},
            capture_output=True, timeout=60, check=False)
        self.assertEqual(result.returncode, 4, result.stderr)
        text = result.stderr.decode()
        self.assertIn(f"permission denied on {daemon.socket_path} (root:", text)
        self.assertIn("0660; you are nobody)", text)
        self.assertIn("usermod -aG", text)

    def test_no_reply_in_time(self):
        path = os.path.join(self.new_folder(), "s")
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(path)
            silent.listen(5)
            result = kvctl("set", "k", "v", "--timeout", "200ms",
                           socket_path=path)
            self.assertEqual(result.returncode, 5)
            self.assertIn(b"no reply within 200ms; the write may or may not "
                          b"have happened", result.stderr)
            self.assertIn(b"kvctl get KEY", result.stderr)
            result = kvctl("get", "k", "--timeout", "200ms", socket_path=path)
            self.assertEqual(result.returncode, 5)
            self.assertNotIn(b"write may", result.stderr)

    def test_a_daemon_that_dies_before_it_answers(self):
        path = os.path.join(self.new_folder(), "s")
        with socket.socket(socket.AF_UNIX) as dying:
            dying.bind(path)
            dying.listen(5)

            def die():
                client, _ = dying.accept()
                client.recv(100)
                client.close()

            worker = threading.Thread(target=die)
            worker.start()
            result = kvctl("set", "k", "v", socket_path=path)
            worker.join()
        self.assertEqual(result.returncode, 5, result.stderr)
        self.assertIn(b"may or may not", result.stderr)

    def test_what_answers_is_not_kvd(self):
        path = os.path.join(self.new_folder(), "s")
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(path)
            other.listen(5)

            def answer():
                client, _ = other.accept()
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                client.recv(1000)
                client.close()

            worker = threading.Thread(target=answer)
            worker.start()
            result = kvctl("ping", socket_path=path)
            worker.join()
        self.assertEqual(result.returncode, 6, result.stderr)

    def test_output_that_cannot_be_written(self):
        daemon = self.started()
        daemon.call("SET", "k", "v" * 100_000)
        with open("/dev/full", "wb") as full:
            result = subprocess.run(
                [KVCTL, "get", "k"], stdin=subprocess.DEVNULL, stdout=full,
                stderr=subprocess.PIPE, timeout=60, check=False,
                env={**os.environ, "KVD_SOCKET": daemon.socket_path})
        self.assertEqual(result.returncode, 74, result.stderr)
        # A reader that has enough is no news.
        result = run(["/bin/bash", "-c",
                      f'"{KVCTL}" get k | head -c 1; exit ${{PIPESTATUS[0]}}'],
                     env={"KVD_SOCKET": daemon.socket_path})
        self.assertEqual(result.stdout, b"v")

    def test_interrupted(self):
        path = os.path.join(self.new_folder(), "s")
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(path)
            silent.listen(5)
            process = subprocess.Popen(
                [KVCTL, "get", "k", "--timeout", "100s"],
                env={**os.environ, "KVD_SOCKET": path},
                # A shell's background job ignores it, and so do its children.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
            client, _ = silent.accept()
            client.recv(100)
            process.send_signal(signal.SIGINT)
            # A shell shows 130 for this.
            self.assertEqual(process.wait(60), -signal.SIGINT)
            client.close()


if __name__ == "__main__":
    unittest.main()
