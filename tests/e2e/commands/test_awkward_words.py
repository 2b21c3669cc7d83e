# SPDX-License-Identifier: MIT
"""Words that no honest client sends: numbers that hardly are, options that
contradict each other, HTTP. Debian's redis-server says what is right.
"""

import contextlib
import signal
import time
import unittest

from harness import Closed, Connection, E2eTest, command, wait_until

NUMBERS = [
    # Whole ones, and what nearly is one.
    "", "0", "1", "-1", "7", "10", "00", "01", "-01", "-0", "+0", "+1", "+-1",
    "--1", "-", "+", " 1", "1 ", "\t1", "1\n", "1\r\n", "1\x00", "\x001",
    "1\x002", "1,000", "1_000", "1'000", "12a", "a", "one", "0x", "0x1",
    "0X10", "-0x1", "0b1", "0o7", "1l", "1u", "\u0661", "\uff11", "\xa01",
    # At the ends of 32, 63 and 64 bits.
    "2147483647", "2147483648", "-2147483648", "-2147483649", "4294967295",
    "4294967296", "9223372036854775806", "9223372036854775807",
    "9223372036854775808", "-9223372036854775807", "-9223372036854775808",
    "-9223372036854775809", "18446744073709551615", "18446744073709551616",
    "-18446744073709551615", "99999999999999999999999", "1" * 100,
    "1" * 5119, "1" * 5120, "1" * 6000, "0" * 5000 + "1", "-" + "9" * 400,
    # Fractions and exponents.
    "1.0", "1.", ".1", ".", "-.5", "1.5", "0.1", "1..2", "1.2.3", "1e", "1e+",
    "e1", "1e1", "1E1", "1e+1", "1e-1", "1e 1", "1e1.5", "1.5e3", "-1.5e-3",
    "3.0000000000000000000001", "0." + "0" * 400 + "1", "1" + "0" * 400,
    # Beyond what a double or a long double holds.
    "1e308", "1e309", "-1e309", "1e4932", "1e4933", "-1e4933", "1e5000",
    "-1e5000", "1e99999999999", "1e-308", "1e-324", "1e-4931", "1e-4950",
    "1e-4951", "1e-4952", "-1e-4952", "1e-5000", "-1e-5000",
    "1e-99999999999", "0e99999", "-0e-99999", "0x1p3", "0x1.8p1", "0x1p-20000",
    "0x1p20000", "0x.8", "0xg",
    # Those that are none.
    "inf", "INF", "-inf", "+inf", "infinity", "-Infinity", "infinit", "nan",
    "NaN", "-nan", "nan(1)", "nan(", "null", "true",
]

# Each with a number in the place of N; what is there before each.
BEFORE = [("SET", "i", "5"), ("SET", "f", "5.5"), ("SET", "s", "some text"),
          ("DEL", "none")]
WITH_NUMBERS = [
    ("INCRBYFLOAT", "f", "N"), ("INCRBYFLOAT", "none", "N"),
    ("SET", "n", "N"), ("INCRBYFLOAT", "n", "1"), ("GET", "n"),
    ("SET", "n", "N"), ("INCRBYFLOAT", "n", "-1e-5000"), ("GET", "n"),
    ("SET", "n", "N"), ("INCR", "n"), ("GET", "n"),
    ("SET", "n", "N"), ("DECRBY", "n", "1"), ("GET", "n"),
    ("INCRBY", "i", "N"), ("DECRBY", "i", "N"), ("GET", "i"),
    ("GETRANGE", "s", "N", "-1"), ("GETRANGE", "s", "0", "N"),
    ("SUBSTR", "s", "N", "N"),
    ("SETRANGE", "none", "N", "x"), ("STRLEN", "none"),
    ("SETRANGE", "s", "N", ""),
    ("EXPIRE", "s", "N", "NX"), ("PERSIST", "s"),
    ("PEXPIREAT", "s", "N"), ("EXPIREAT", "s", "N"), ("EXISTS", "s"),
    ("SET", "s", "v", "EX", "N"), ("SET", "s", "v", "PXAT", "N"),
    ("SET", "s", "v", "EX", "N", "EX", "100"), ("SET", "s", "v"),
    ("GETEX", "s", "PX", "N"), ("GETEX", "nokey", "PX", "N"),
    ("SETEX", "s", "N", "v"), ("PSETEX", "s", "N", "v"), ("SET", "s", "v"),
    ("SELECT", "N"), ("SELECT", "0"), ("SWAPDB", "N", "N"),
    ("SCAN", "0", "COUNT", "N", "MATCH", "nothing"),
    ("CLIENT", "KILL", "ID", "N"), ("SLOWLOG", "GET", "N"),
    ("MEMORY", "USAGE", "nokey", "SAMPLES", "N"),
    ("SET", "b", "foobar"), ("SETBIT", "b", "1", "N"), ("BITPOS", "b", "N"),
    ("BITCOUNT", "b", "N", "-1"), ("BITCOUNT", "b", "0", "N", "BIT"),
    ("BITPOS", "b", "1", "N"), ("BITPOS", "b", "0", "0", "N", "BIT"),
    ("BITFIELD", "b", "SET", "i16", "0", "N", "INCRBY", "u63", "#1", "N"),
    ("GET", "b"),
    ("LCS", "b", "b", "IDX", "MINMATCHLEN", "N"),
    ("MOVE", "nokey", "N"), ("COPY", "nokey", "other", "DB", "N"),
]

# Words that contradict each other or mean nothing.
OPTIONS = [
    ("SET", "k", "v", "EX", "10", "EX", "100"), ("TTL", "k"),
    ("SET", "k", "v", "EX", "0", "EX", "100"), ("TTL", "k"),
    ("SET", "k", "v", "EX", "x", "EX", "100"), ("TTL", "k"),
    ("SET", "k", "v", "EX", "100", "EX", "x"),
    ("SET", "k", "v", "EX", "100", "EX", "0"),
    ("SET", "k", "v", "EX", "100", "EX"),
    ("SET", "k", "v", "EX", "10", "PX", "10"),
    ("SET", "k", "v", "PX", "10", "EX", "10"),
    ("SET", "k", "v", "EX", "10", "EXAT", "10"),
    ("SET", "k", "v", "EX", "x", "NOPE"), ("SET", "k", "v", "NOPE", "EX", "x"),
    ("SET", "k", "v", "EX", "10", "KEEPTTL"),
    ("SET", "k", "v", "KEEPTTL", "EX", "10"),
    ("SET", "k", "v", "KEEPTTL", "KEEPTTL"), ("SET", "k", "v", "PERSIST"),
    ("SET", "k", "v", "NX", "XX"), ("SET", "k", "v", "XX", "NX"),
    ("SET", "k", "v", "NX", "NX"), ("SET", "k", "v", "XX", "XX"),
    ("SET", "k", "v", "GET", "GET"), ("SET", "k", "v", "NX", "EX", "0"),
    ("GETEX", "k", "EX", "10", "EX", "100"), ("TTL", "k"),
    ("GETEX", "k", "EX", "0", "EX", "100"), ("TTL", "k"),
    ("GETEX", "k", "EX", "100", "EX", "0"), ("GETEX", "k", "EX", "100", "EX"),
    ("GETEX", "k", "EX", "10", "PX", "10"),
    ("GETEX", "k", "EX", "10", "PERSIST"),
    ("GETEX", "k", "PERSIST", "EX", "10"),
    ("GETEX", "k", "PERSIST", "PERSIST"), ("TTL", "k"),
    ("GETEX", "nokey", "EX", "0"), ("GETEX", "nokey", "EX", "x"),
    ("GETEX", "nokey", "NOPE"),
    ("EXPIRE", "k", "100", "NX", "NX"), ("EXPIRE", "k", "900", "XX", "GT"),
    ("EXPIRE", "k", "100", "GT", "LT"), ("EXPIRE", "k", "100", "NX", "XX"),
    ("EXPIRE", "k", "100", "NX", "LT"), ("EXPIRE", "k", "x", "NOPE"),
    ("SCAN", "0", "COUNT", "5", "COUNT", "0"), ("SCAN", "0", "COUNT"),
    ("SCAN", "0", "MATCH", "a", "MATCH", "nothing"),
    ("SCAN", "0", "TYPE", "string", "NOPE"),
    ("FLUSHALL", "ASYNC", "SYNC"), ("FLUSHDB", "SYNC", "SYNC"),
    ("FLUSHALL", "NOPE"),
    ("SHUTDOWN", "SAVE", "NOSAVE"), ("SHUTDOWN", "NOSAVE", "SAVE"),
    ("SHUTDOWN", "NOSAVE", "NOW", "SAVE"), ("SHUTDOWN", "ABORT", "NOW"),
    ("SHUTDOWN", "NOW", "ABORT"), ("SHUTDOWN", "ABORT", "SAVE"),
    ("SHUTDOWN", "ABORT", "FORCE"), ("SHUTDOWN", "ABORT", "NOPE"),
    ("SHUTDOWN", "NOPE"), ("SHUTDOWN", "ABORT"), ("SHUTDOWN", "ABORT", "ABORT"),
    ("SHUTDOWN", ""),
    ("CLIENT", "KILL", "TYPE", "nomral"), ("CLIENT", "KILL", "TYPE", ""),
    ("CLIENT", "KILL", "TYPE", "pubsub"), ("CLIENT", "KILL", "TYPE", "slave"),
    ("CLIENT", "KILL", "TYPE", "replica"), ("CLIENT", "KILL", "TYPE", "master"),
    ("CLIENT", "KILL", "ID", "x"), ("CLIENT", "KILL", "ID", "0"),
    ("CLIENT", "KILL", "ID", "-1"), ("CLIENT", "KILL", "ID", "999999"),
    ("CLIENT", "KILL", "USER", "nobody"), ("CLIENT", "KILL", "USER", ""),
    ("CLIENT", "KILL", "SKIPME", "maybe"), ("CLIENT", "KILL", "SKIPME"),
    ("CLIENT", "KILL", "NOPE", "x"), ("CLIENT", "KILL", "ADDR", "1.2.3.4:5"),
    ("CLIENT", "KILL", "LADDR", "1.2.3.4:5"), ("CLIENT", "KILL", "nope"),
    ("CLIENT", "KILL", "TYPE", "normal", "SKIPME"),
    ("CLIENT", "KILL", "ID", "999999", "TYPE", "nope"),
    ("CLIENT", "LIST", "TYPE", "nope"), ("CLIENT", "LIST", "TYPE"),
    ("CLIENT", "LIST", "ID"), ("CLIENT", "LIST", "ID", "1", "x"),
    ("CLIENT", "LIST", "TYPE", "pubsub"),
    ("CLIENT", "REPLY", "maybe"), ("CLIENT", "NO-EVICT", "maybe"),
    ("CLIENT", "SETNAME", "a b"), ("CLIENT", "SETNAME", "a\nb"),
    ("HELLO", "2", "NOPE"), ("HELLO", "2", "AUTH", "default"),
    ("HELLO", "2", "SETNAME"), ("HELLO", "2", "SETNAME", "a b"),
    ("HELLO", "2", "AUTH", "nobody", "x", "SETNAME", "a"), ("HELLO", "2x"),
    ("AUTH", "a", "b", "c"), ("AUTH", "nobody", "x"),
    ("MEMORY", "USAGE", "nokey", "SAMPLES"),
    ("MEMORY", "USAGE", "nokey", "SAMPLES", "1", "NOPE"),
    ("MEMORY", "USAGE", "nokey", "NOPE", "1"),
    ("COMMAND", "LIST", "FILTERBY"), ("COMMAND", "LIST", "FILTERBY", "NOPE"),
    ("COMMAND", "LIST", "FILTERBY", "NOPE", "x"), ("COMMAND", "LIST", "NOPE"),
    ("COMMAND", "LIST", "FILTERBY", "PATTERN", "nothing*"),
    ("COMMAND", "LIST", "FILTERBY", "MODULE", "nope"),
    ("SLOWLOG", "GET", "1", "2"), ("SLOWLOG", "GET", "nope"),
    ("LATENCY", "GRAPH", "nope"), ("LATENCY", "GRAPH"),
    ("CONFIG", "GET", "nothing*"),
]

# Where kvd means to differ, and why.
LIMIT = "values are smaller here, and the error names the setting"
RANGE = "kvd says the same of each number that is no database"
CURSOR = "a cursor is a place in a table of another shape"
ARITY = "of SLOWLOG, Redis counts the words by itself"


def expected_difference(words, ours, theirs):
    """The reason for a difference, or None."""
    name = words[0]
    if (name == "SETRANGE" and
            b"string exceeds maximum allowed size" in ours and
            b"string exceeds maximum allowed size" in theirs):
        return LIMIT
    if name == "SELECT" and b"out of range" in ours + theirs:
        return RANGE if ours[:1] == theirs[:1] == b"-" else None
    if name == "SCAN" and ours[:2] == theirs[:2] == b"*2":
        return CURSOR
    if words == ("SLOWLOG", "GET", "1", "2"):
        return ARITY if ours[:1] == theirs[:1] == b"-" else None
    return None


class AgainstRedis(E2eTest):
    """The same words to both, and the same bytes from both."""

    def setUp(self):
        self.kvd = self.started()
        self.redis_path = self.redis_server()

    def pair(self):
        redis = Connection(self.redis_path)
        self.addCleanup(redis.close)
        return self.kvd.connect(), redis

    def differences(self, pair, commands):
        for side in pair:
            side.send(b"".join(command(*words) for words in commands))
        found = []
        for words in commands:
            ours, theirs = (side.raw_reply() for side in pair)
            if ours == theirs or expected_difference(words, ours, theirs):
                continue
            found.append(f"{' '.join(repr(word)[:40] for word in words)}:\n"
                         f"    kvd   {ours[:200]!r}\n"
                         f"    redis {theirs[:200]!r}")
        return found

    def check(self, found):
        if found:
            self.fail(f"{len(found)}\n" + "\n".join(found[:40]))

    def test_numbers(self):
        pair = self.pair()
        found = []
        for number in NUMBERS:
            found += self.differences(pair, BEFORE + [
                tuple(number if word == "N" else word for word in words)
                for words in WITH_NUMBERS])
        self.check(found)

    def test_options(self):
        self.check(self.differences(self.pair(), OPTIONS))

    def test_http_is_not_executed(self):
        body = (b"Content-Length: 40\r\n\r\nSET hacked 1\r\n" +
                command("SET", "hacked", "1"))
        # kvd sends the replies to what came before; Redis drops them.
        heads = {
            b"POST / HTTP/1.1\r\nHost: localhost\r\n": b"",
            b"post\r\n": b"", b"HOST: a\r\n": b"",
            command("POST", "/"): b"", command("host:"): b"",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n":
                b"-ERR wrong number of arguments for 'get' command\r\n",
            b"PUT / HTTP/1.1\r\nHost: localhost\r\n":
                b"-ERR unknown command 'PUT', with args beginning with: '/' "
                b"'HTTP/1.1' \r\n",
            b"SET seen 1\r\nPOST /\r\n": b"+OK\r\n"}
        for head, answer in heads.items():
            with self.subTest(head=head):
                kvd, redis = self.pair()
                for side in (kvd, redis):
                    with contextlib.suppress(Closed):
                        side.send(head + body)
                self.assertEqual(kvd.rest(), answer)
                self.assertIn(redis.rest(), (b"", answer))
        for side in self.pair():
            self.assertEqual(side.call("EXISTS", "hacked"), 0)
        self.assertIn("speaks HTTP: closed", self.kvd.log())
        self.assertEqual(self.kvd.info()["kvd_http_connections_closed"],
                         str(len(heads)))


class Patience(E2eTest):
    """Whose command is all there is served, however late kvd looks."""

    def test_the_rest_came_while_kvd_stood_still(self):
        kvd = self.started(settings={"limits.half_command_timeout": "400ms"})
        client = kvd.connect()
        whole = command("ECHO", "all there")
        client.send(command("PING") + whole[:-5])
        self.assertEqual(client.reply(), "PONG")
        kvd.signal(signal.SIGSTOP)
        wait_until(lambda: "\nState:\tT" in kvd.proc("status"), "it stops")
        client.send(whole[-5:])
        # More than the limit, which must not count while kvd stands still.
        time.sleep(1.5)
        kvd.signal(signal.SIGCONT)
        self.assertEqual(client.reply(), b"all there")
        # Who says nothing more is given up in the end.
        client.send(whole[:-5])
        self.assertIn(b"timeout", client.rest())


class Patterns(E2eTest):
    """A pattern costs what its length and the keys' are worth, not more."""

    def test_long_patterns_are_refused(self):
        client = self.started().connect()
        too_long = "*" + "a" * 32_000 + "b"
        for words in (("KEYS", too_long), ("SCAN", "0", "MATCH", too_long),
                      ("CONFIG", "GET", too_long),
                      ("COMMAND", "LIST", "FILTERBY", "PATTERN", too_long)):
            self.assertEqual(client.call(*words), "ERR pattern is too long "
                             "(maximum 4096 bytes)")
        client.call("SET", "a" * 60_000 + "b", "v")
        self.assertEqual(len(client.call("KEYS", "*" + "a" * 4000 + "b")), 1)


if __name__ == "__main__":
    unittest.main()
