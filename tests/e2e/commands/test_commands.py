# SPDX-License-Identifier: MIT
"""Every command, its replies and error texts, against a real daemon.

What kvd shares with Redis is not written down here a second time: the same
commands go to Debian's redis-server, and the replies must be the same bytes.
"""

import time
import unittest

from harness import BACKEND, Closed, Connection, E2eTest, ReplyError, as_map
from harness import command, differs_on_etcd, unless_it_differs, wait_until

FAR_S = 4_000_000_000          # A deadline in the year 2096.
FAR_MS = FAR_S * 1000 + 123
LARGE = bytes(range(256)) * 300

# Commands whose replies must be byte for byte those of Redis. State carries
# over from line to line.
SAME_AS_REDIS = [
    # Connection.
    ("PING",), ("ping", "hello"), ("PING", "a", "b"), ("ECHO", b"\x00\r\n"),
    ("ECHO",), ("SELECT", "1"), ("SELECT", "16"), ("SELECT", "-1"),
    ("SELECT", "x"), ("SELECT", "0"), ("SELECT",),
    ("AUTH", "secret"), ("AUTH", "default", "secret"),
    ("AUTH", "nobody", "secret"), ("AUTH",), ("AUTH", "a", "b", "c"),
    ("HELLO", "1"), ("HELLO", "4"), ("HELLO", "x"), ("HELLO", "2", "NOPE"),
    ("HELLO", "2", "AUTH", "nobody", "x"), ("HELLO", "2", "SETNAME", "a b"),
    ("CLIENT", "SETNAME", "worker"), ("CLIENT", "GETNAME"),
    ("CLIENT", "SETNAME", "a b"), ("CLIENT", "SETNAME", ""),
    ("CLIENT", "GETNAME"), ("CLIENT", "NOPE"), ("CLIENT",),
    ("CLIENT", "SETNAME"), ("CLIENT", "GETNAME", "x"),
    ("CLIENT", "MAINT_NOTIFICATIONS", "ON"), ("CLIENT", "LIST", "ID", "x"),
    ("CLIENT", "LIST", "NOPE"), ("CONFIG", "NOPE"), ("CONFIG", "GET"),
    ("CONFIG",), ("COMMAND", "NOPE"), ("COMMAND", "DOCS", "nope"),
    ("COMMAND", "GETKEYS", "get", "a"),
    ("COMMAND", "GETKEYS", "mset", "a", "1", "b", "2"),
    ("COMMAND", "GETKEYS", "ping", "a"), ("COMMAND", "GETKEYS", "nope", "a"),
    ("COMMAND", "GETKEYS", "get", "a", "b"), ("COMMAND", "COUNT", "x"),
    ("COMMAND", "GETKEYS", "memory", "usage", "a"),
    ("COMMAND", "GETKEYS", "memory", "usage"),
    ("COMMAND", "GETKEYS", "memory", "nope", "a"),
    ("COMMAND", "GETKEYS", "memory", "stats"),
    ("MEMORY",), ("MEMORY", "NOPE"), ("MEMORY", "PURGE"),
    ("MEMORY", "USAGE"), ("MEMORY", "USAGE", "none"),
    ("MEMORY", "USAGE", "none", "SAMPLES", "0"),
    ("MEMORY", "USAGE", "none", "SAMPLES"),
    ("MEMORY", "USAGE", "none", "SAMPLES", "-1"),
    ("MEMORY", "USAGE", "none", "SAMPLES", "x"),
    ("MEMORY", "USAGE", "none", "NOPE"), ("MEMORY", "STATS", "x"),
    ("MEMORY", "DOCTOR", "x"), ("MEMORY", "PURGE", "x"),
    ("CLUSTER", "INFO"), ("INFO", "nope"), ("TIME", "x"), ("DBSIZE", "x"),
    ("NOPE",), ("nope", "a", "b c"), ("nope", "x" * 300, "y"),
    ("n" * 300, "x"), ("",),
    # SET and its options.
    ("SET", "a", "1"), ("GET", "a"), ("SET", "a", "2", "NX"), ("GET", "a"),
    ("SET", "a", "3", "XX"), ("GET", "a"), ("SET", "none", "1", "XX"),
    ("GET", "none"), ("SET", "a", "4", "GET"), ("SET", "new", "4", "GET"),
    ("SET", "a", "5", "NX", "GET"), ("SET", "none", "5", "XX", "GET"),
    ("SET", "a", "1", "NX", "XX"), ("SET", "a", "1", "XX", "NX"),
    ("SET", "a", "1", "NOPE"), ("SET", "a"), ("SET",),
    ("SET", "a", "1", "EX"), ("SET", "a", "1", "EX", "x"),
    ("SET", "a", "1", "EX", "0"), ("SET", "a", "1", "PX", "-1"),
    ("SET", "a", "1", "EX", "9223372036854775807"),
    ("SET", "a", "1", "PX", "9223372036854775807"),
    ("SET", "a", "1", "EXAT", "9223372036854775807"),
    ("SET", "a", "1", "EX", "10", "PX", "10"),
    ("SET", "a", "1", "EX", "10", "KEEPTTL"),
    ("SET", "a", "1", "KEEPTTL", "EX", "10"),
    ("SET", "a", "1", "EXAT", FAR_S), ("EXPIRETIME", "a"),
    ("SET", "a", "1", "PXAT", FAR_MS), ("PEXPIRETIME", "a"),
    ("SET", "a", "2", "KEEPTTL"), ("PEXPIRETIME", "a"), ("GET", "a"),
    ("SET", "a", "3"), ("PEXPIRETIME", "a"), ("TTL", "a"), ("PTTL", "a"),
    ("SET", "a", "1", "PXAT", "1"), ("GET", "a"), ("EXISTS", "a"),
    ("SET", "a", "1", "exat", FAR_S, "nx", "get"), ("GET", "a"),
    ("SET", b"\x00\xff bin\r\n", LARGE), ("GET", b"\x00\xff bin\r\n"),
    ("STRLEN", b"\x00\xff bin\r\n"), ("SET", "", "empty key"), ("GET", ""),
    ("SET", "empty", ""), ("GET", "empty"), ("STRLEN", "empty"),
    # The rest of the family of SET and GET.
    ("SETNX", "a", "9"), ("SETNX", "snx", "9"), ("GET", "snx"),
    ("SETNX", "snx"), ("SETEX", "sex", "1000000", "v"), ("GET", "sex"),
    ("SETEX", "sex", "0", "v"), ("SETEX", "sex", "-1", "v"),
    ("SETEX", "sex", "x", "v"), ("SETEX", "sex", "1"),
    ("PSETEX", "sex", "0", "v"), ("PSETEX", "sex", "x", "v"),
    ("PSETEX", "sex", "100000000", "v2"), ("GET", "sex"),
    ("GETSET", "gs", "1"), ("GETSET", "gs", "2"), ("GETSET", "gs"),
    ("GETDEL", "gs"), ("GETDEL", "gs"), ("GETDEL",),
    ("GETEX", "none"), ("SET", "gx", "v"), ("GETEX", "gx"),
    ("GETEX", "gx", "EXAT", FAR_S), ("EXPIRETIME", "gx"),
    ("GETEX", "gx", "PERSIST"), ("EXPIRETIME", "gx"),
    ("GETEX", "gx", "PXAT", FAR_MS), ("PEXPIRETIME", "gx"),
    ("GETEX", "gx", "EX", "0"), ("GETEX", "gx", "EX", "x"),
    ("GETEX", "gx", "NOPE"), ("GETEX", "gx", "EX"),
    ("GETEX", "gx", "PERSIST", "EX", "1"), ("GETEX", "gx", "KEEPTTL"),
    ("GETEX", "gx", "PXAT", "1"), ("EXISTS", "gx"),
    ("MSET", "m1", "1", "m2", "2", "m1", "3"), ("MGET", "m1", "m2", "none"),
    ("MSET", "m1"), ("MSET", "m1", "1", "m2"), ("MSET",), ("MGET",),
    ("MSETNX", "m1", "1", "m9", "2"), ("GET", "m9"),
    ("MSETNX", "m8", "1", "m9", "2"), ("MGET", "m8", "m9"),
    ("MSETNX", "m8"), ("MSETNX", "m8", "1", "x"),
    ("APPEND", "ap", "foo"), ("APPEND", "ap", "bar"), ("GET", "ap"),
    ("APPEND", "ap", ""), ("APPEND", "ap"), ("STRLEN", "ap"),
    ("STRLEN", "none"), ("STRLEN",),
    # Numbers.
    ("INCR", "n"), ("INCR", "n"), ("DECR", "n"), ("INCRBY", "n", "40"),
    ("DECRBY", "n", "2"), ("GET", "n"), ("INCRBY", "n", "x"),
    ("INCRBY", "n", "1.5"), ("INCRBY", "n", "+1"), ("INCRBY", "n", " 1"),
    ("INCRBY", "n", "01"), ("INCRBY", "n", "9223372036854775808"),
    ("INCRBY", "n", "-0"), ("INCR", "empty"), ("INCR", "ap"),
    ("SET", "n", "9223372036854775807"), ("INCR", "n"), ("GET", "n"),
    ("INCRBY", "n", "1"), ("DECRBY", "n", "9223372036854775807"),
    ("GET", "n"), ("SET", "n", "-9223372036854775808"), ("DECR", "n"),
    ("DECRBY", "n", "-9223372036854775808"), ("DECRBY", "n", "1"),
    ("SET", "n", " 1"), ("INCR", "n"), ("SET", "n", "1 "), ("INCR", "n"),
    ("SET", "n", "01"), ("INCR", "n"), ("SET", "n", "1\x00"), ("INCR", "n"),
    ("SET", "n", "5", "PXAT", FAR_MS), ("INCR", "n"), ("PEXPIRETIME", "n"),
    ("APPEND", "n", "0"), ("PEXPIRETIME", "n"), ("INCR", "n"),
    ("INCR",), ("INCRBY", "n"), ("DECRBY", "n"), ("DECR", "n", "1"),
    # Keys.
    ("DEL", "m1", "m2", "m1", "none"), ("DEL",), ("UNLINK", "m8", "m9"),
    ("UNLINK",), ("EXISTS", "a", "a", "none", "n"), ("EXISTS",),
    ("TYPE", "a"), ("TYPE", "none"), ("TYPE",), ("DBSIZE",),
    ("EXPIREAT", "ap", FAR_S), ("EXPIRETIME", "ap"), ("PERSIST", "ap"),
    ("PERSIST", "ap"), ("PERSIST", "none"), ("PERSIST",), ("TTL", "ap"),
    ("TTL", "none"), ("PTTL", "none"), ("EXPIRETIME", "none"),
    ("PEXPIREAT", "ap", FAR_MS), ("PEXPIRETIME", "ap"),
    ("EXPIREAT", "ap", FAR_S, "NX"), ("EXPIREAT", "ap", FAR_S, "GT"),
    ("EXPIREAT", "ap", FAR_S + 1, "GT"), ("EXPIREAT", "ap", FAR_S, "LT"),
    ("EXPIREAT", "ap", FAR_S + 1, "LT"), ("EXPIREAT", "ap", FAR_S, "XX"),
    ("EXPIREAT", "ap", FAR_S, "NX", "XX"), ("EXPIREAT", "ap", FAR_S, "NOPE"),
    ("EXPIREAT", "ap", FAR_S, "GT", "LT"), ("EXPIREAT", "ap", FAR_S, "NX",
                                            "GT"),
    ("PERSIST", "ap"), ("EXPIREAT", "ap", FAR_S, "GT"),
    ("EXPIREAT", "ap", FAR_S, "XX"), ("EXPIREAT", "ap", FAR_S, "LT"),
    ("EXPIRETIME", "ap"), ("EXPIRE", "ap", "x"), ("EXPIRE", "ap"),
    ("EXPIRE", "none", "10"), ("EXPIRE", "ap", "9223372036854775807"),
    ("PEXPIRE", "ap", "9223372036854775807"),
    ("EXPIRE", "ap", "-9223372036854775808"),
    ("EXPIREAT", "ap", "9223372036854775807"),
    ("PEXPIREAT", "ap", "x"), ("EXPIRE", "ap", "1.5"),
    ("EXPIRE", "ap", "-1"), ("EXISTS", "ap"), ("SET", "ap", "v"),
    ("PEXPIREAT", "ap", "1"), ("EXISTS", "ap"), ("SET", "ap", "v"),
    ("EXPIREAT", "ap", "0"), ("GET", "ap"), ("SET", "ap", "v"),
    ("PEXPIRE", "ap", "0"), ("GET", "ap"),
    ("KEYS",), ("KEYS", "none*"), ("KEYS", "sn[wx]"), ("SCAN",),
    ("SCAN", "x"), ("SCAN", "0", "COUNT", "0"), ("SCAN", "0", "COUNT", "x"),
    ("SCAN", "0", "NOPE"), ("SCAN", "0", "MATCH"),
    ("FLUSHDB", "NOPE"), ("FLUSHDB", "ASYNC"), ("DBSIZE",), ("KEYS", "*"),
    ("SET", "x", "0"), ("SELECT", "1"), ("DBSIZE",), ("SET", "x", "1"),
    ("SELECT", "0"), ("GET", "x"), ("SELECT", "1"), ("GET", "x"),
    ("FLUSHDB",), ("GET", "x"), ("SELECT", "0"), ("GET", "x"),
    *unless_it_differs(
        "swapdb",
        ("SWAPDB", "0", "1"), ("GET", "x"), ("DBSIZE",), ("SELECT", "1"),
        ("GET", "x"), ("DBSIZE",), ("SET", "y", "1"), ("SWAPDB", "1", "2"),
        ("GET", "x"), ("SELECT", "2"), ("GET", "x"), ("GET", "y"),
        ("SWAPDB", "2", "2"), ("GET", "y"), ("SELECT", "0"),
        ("SWAPDB", "x", "y"), ("SWAPDB", "0", "y"), ("SWAPDB", "-1", "y"),
        ("SWAPDB", "0", "16"), ("SWAPDB", "16", "0"), ("SWAPDB", "-1", "0"),
        ("SWAPDB", "2147483648", "0"), ("SWAPDB", "0", "-2147483649"),
        ("SWAPDB", "2147483647", "0"), ("SWAPDB", "01", "0")),
    ("SWAPDB", "0"), ("SWAPDB",), ("SWAPDB", "0", "1", "2"),
    ("FLUSHALL", "SYNC"), ("GET", "x"), ("FLUSHALL", "NOPE"), ("DBSIZE",),
    ("SCAN", "0"), ("SCAN", "0", "TYPE", "string"),
    # Bits.
    ("SETBIT", "b", "7", "1"), ("SETBIT", "b", "7", "0"),
    ("SETBIT", "b", "100", "0"), ("STRLEN", "b"), ("SETBIT", "b", "0", "1"),
    ("SETBIT", "b", "0", "2"), ("SETBIT", "b", "0", "x"),
    ("SETBIT", "b", "-1", "1"), ("SETBIT", "b", "x", "1"),
    ("SETBIT", "b", "4294967296", "1"), ("SETBIT", "b", "x", "x"),
    ("SETBIT", "b", "0"), ("GETBIT", "b", "0"), ("GETBIT", "b", "1"),
    ("GETBIT", "b", "100000"), ("GETBIT", "none", "0"),
    ("GETBIT", "b", "4294967296"), ("GETBIT", "b", "-1"), ("GETBIT", "b"),
    ("SET", "b", "foobar"), ("BITCOUNT", "b"), ("BITCOUNT", "none"),
    ("BITCOUNT", "b", "0", "0"), ("BITCOUNT", "b", "1", "1"),
    ("BITCOUNT", "b", "-3", "-2"), ("BITCOUNT", "b", "-2", "-3"),
    ("BITCOUNT", "b", "-100", "-200"), ("BITCOUNT", "b", "-200", "-100"),
    ("BITCOUNT", "b", "4", "100"), ("BITCOUNT", "b", "100", "200"),
    ("BITCOUNT", "b", "5", "30", "BIT"), ("BITCOUNT", "b", "5", "5", "bit"),
    ("BITCOUNT", "b", "-9", "-1", "BIT"), ("BITCOUNT", "b", "0", "-1", "BYTE"),
    ("BITCOUNT", "b", "0", "1", "NOPE"), ("BITCOUNT", "b", "x", "1"),
    ("BITCOUNT", "b", "0", "x"), ("BITCOUNT", "b", "x", "x", "NOPE"),
    ("BITCOUNT", "b", "x", "1", "BIT", "NOPE"), ("BITCOUNT",),
    ("BITPOS", "b", "1"), ("BITPOS", "b", "0"), ("BITPOS", "none", "0"),
    ("BITPOS", "none", "1"), ("BITPOS", "none", "1", "0", "-1"),
    ("BITPOS", "b", "2"), ("BITPOS", "b", "x"), ("BITPOS", "b"),
    ("BITPOS", "b", "1", "2"), ("BITPOS", "b", "1", "2", "3"),
    ("BITPOS", "b", "1", "9", "9"), ("BITPOS", "b", "1", "3", "2"),
    ("BITPOS", "b", "0", "-200", "-100"), ("BITPOS", "b", "0", "-100", "-200"),
    ("BITPOS", "b", "1", "12", "-1", "BIT"), ("BITPOS", "b", "1", "1", "8",
                                              "BIT"),
    ("BITPOS", "b", "0", "1", "2", "BIT"), ("BITPOS", "b", "0", "0", "0",
                                            "NOPE"),
    ("BITPOS", "b", "1", "x"), ("BITPOS", "b", "1", "0", "x"),
    ("BITPOS", "b", "1", "x", "0", "BIT", "NOPE"),
    ("SET", "ones", b"\xff" * 30), ("BITPOS", "ones", "0"),
    ("BITPOS", "ones", "0", "3"), ("BITPOS", "ones", "0", "3", "-1"),
    ("BITPOS", "ones", "0", "30"), ("BITPOS", "ones", "0", "-1"),
    ("BITPOS", "ones", "0", "0", "-1", "BIT"),
    ("SET", "nothing", ""), ("BITPOS", "nothing", "0"),
    ("BITPOS", "nothing", "1"), ("BITPOS", "nothing", "0", "0", "-1"),
    ("BITCOUNT", "nothing"), ("BITCOUNT", "nothing", "0", "-1"),
    ("BITOP", "AND", "r", "b", "ones"), ("GET", "r"),
    ("BITOP", "or", "r", "b", "none"), ("GET", "r"),
    ("BITOP", "AND", "r", "b", "none"), ("GET", "r"),
    ("BITOP", "XOR", "r", "b", "ones", "b"), ("GET", "r"),
    ("BITOP", "NOT", "r", "b"), ("GET", "r"), ("BITOP", "NOT", "r", "b", "b"),
    ("BITOP", "NOPE", "r", "b"), ("BITOP", "AND", "r"), ("BITOP", "AND"),
    ("EXPIREAT", "r", FAR_S), ("BITOP", "OR", "r", "r"), ("TTL", "r"),
    ("BITOP", "AND", "r", "none", "none"), ("EXISTS", "r"),
    ("BITOP", "NOT", "r", "none"), ("BITOP", "NOT", "nothing", "nothing"),
    ("EXISTS", "nothing"),
    ("BITFIELD", "f", "SET", "u8", "0", "200", "GET", "u8", "0", "GET", "i8",
     "0", "INCRBY", "i5", "100", "1"), ("STRLEN", "f"),
    ("BITFIELD", "f", "get", "u4", "#1", "GET", "i64", "0", "GET", "u63", "1"),
    ("BITFIELD", "f", "INCRBY", "u2", "100", "1", "OVERFLOW", "SAT", "INCRBY",
     "u2", "102", "1", "OVERFLOW", "FAIL", "INCRBY", "u2", "104", "9"),
    ("BITFIELD", "f", "OVERFLOW", "SAT", "SET", "u8", "0", "-1", "GET", "u8",
     "0", "SET", "i8", "0", "-200", "GET", "i8", "0", "INCRBY", "i8", "0",
     "-9223372036854775808", "INCRBY", "i64", "8", "9223372036854775807",
     "INCRBY", "i64", "8", "9223372036854775807", "GET", "i64", "8"),
    ("BITFIELD", "f", "OVERFLOW", "WRAP", "INCRBY", "i64", "8", "1", "SET",
     "u63", "3", "-1", "GET", "u63", "3", "INCRBY", "u63", "3", "1"),
    ("BITFIELD", "f", "OVERFLOW", "FAIL", "SET", "u1", "500", "2"),
    ("STRLEN", "f"), ("GET", "f"), ("BITFIELD", "f"),
    ("BITFIELD", "f", "OVERFLOW", "SAT"), ("BITFIELD", "none", "GET", "u8",
                                           "0"),
    ("EXISTS", "none"), ("BITFIELD", "new", "INCRBY", "u8", "0", "0"),
    ("GET", "new"), ("BITFIELD", "f", "GET", "u64", "0"),
    ("BITFIELD", "f", "GET", "i65", "0"), ("BITFIELD", "f", "GET", "i0", "0"),
    ("BITFIELD", "f", "GET", "x8", "0"), ("BITFIELD", "f", "GET", "", "0"),
    ("BITFIELD", "f", "GET", "I8", "0"), ("BITFIELD", "f", "GET", "i08", "0"),
    ("BITFIELD", "f", "GET", "u8", "x"), ("BITFIELD", "f", "GET", "u8", "-1"),
    ("BITFIELD", "f", "GET", "u8", "#x"), ("BITFIELD", "f", "GET", "u8", "#-1"),
    ("BITFIELD", "f", "GET", "u8"), ("BITFIELD", "f", "SET", "u8", "0"),
    ("BITFIELD", "f", "SET", "u8", "0", "x"), ("BITFIELD", "f", "NOPE"),
    ("BITFIELD", "f", "OVERFLOW", "NOPE"), ("BITFIELD", "f", "OVERFLOW"),
    ("BITFIELD", "f", "INCRBY", "u8", "0", "9223372036854775808"),
    ("BITFIELD_RO", "f", "GET", "u8", "0", "GET", "u8", "#1"),
    ("BITFIELD_RO", "f", "SET", "u8", "0", "1"), ("BITFIELD_RO", "f"),
    ("BITFIELD_RO", "f", "OVERFLOW", "SAT", "GET", "u8", "0"),
    # Longest common subsequences.
    ("MSET", "l1", "ohmytext", "l2", "mynewtext"), ("LCS", "l1", "l2"),
    ("LCS", "l1", "l2", "LEN"), ("LCS", "l1", "l2", "IDX"),
    ("LCS", "l2", "l1", "idx", "minmatchlen", "4"),
    ("LCS", "l1", "l2", "IDX", "MINMATCHLEN", "4", "WITHMATCHLEN"),
    ("LCS", "l1", "l2", "IDX", "MINMATCHLEN", "-4"),
    ("LCS", "l1", "l2", "MINMATCHLEN", "4"), ("LCS", "l1", "l1", "IDX"),
    ("LCS", "l1", "none", "IDX"), ("LCS", "none", "l1"),
    ("LCS", "l1", "l2", "LEN", "IDX"), ("LCS", "l1", "l2", "NOPE"),
    ("LCS", "l1", "l2", "IDX", "MINMATCHLEN"), ("LCS", "l1"),
    ("LCS", "l1", "l2", "IDX", "MINMATCHLEN", "x"),
    # Keys and databases.
    ("SET", "c", "1", "PXAT", FAR_MS), ("COPY", "c", "d"), ("GET", "d"),
    ("PEXPIRETIME", "d"), ("COPY", "c", "d"), ("COPY", "l1", "d", "REPLACE"),
    ("GET", "d"), ("TTL", "d"), ("COPY", "none", "d"), ("COPY", "c", "c"),
    ("COPY", "c", "c", "DB", "4"), ("COPY", "c", "c", "db", "4", "replace"),
    ("COPY", "c", "d", "DB", "16"), ("COPY", "c", "d", "DB", "x"),
    ("COPY", "c", "d", "DB"), ("COPY", "c", "d", "NOPE"), ("COPY", "c"),
    ("COPY", "c", "c", "DB", "0", "REPLACE"), ("COPY", "none", "none"),
    ("MOVE", "c", "4"), ("MOVE", "d", "4"), ("EXISTS", "d"), ("MOVE", "d", "4"),
    ("MOVE", "c", "0"), ("MOVE", "c", "16"), ("MOVE", "c", "x"),
    ("MOVE", "c", "-1"), ("MOVE", "none", "0"), ("MOVE", "c"),
    ("SELECT", "4"), ("MGET", "c", "d"), ("PEXPIRETIME", "c"), ("DBSIZE",),
    ("DEL", "c"), ("RANDOMKEY",), ("DEL", "d"), ("RANDOMKEY",),
    ("RANDOMKEY", "x"), ("SELECT", "0"),
    ("OBJECT",), ("OBJECT", "NOPE"), ("OBJECT", "ENCODING"),
    ("OBJECT", "ENCODING", "none"), ("OBJECT", "REFCOUNT", "none"),
    ("OBJECT", "IDLETIME", "none"), ("OBJECT", "FREQ", "none"),
    ("OBJECT", "FREQ", "l1"), ("OBJECT", "REFCOUNT", "l1"),
    ("OBJECT", "ENCODING", "l1"), ("SET", "o", "-12"),
    ("OBJECT", "ENCODING", "o"), ("SET", "o", "x" * 45),
    ("OBJECT", "ENCODING", "o"),
    ("COMMAND", "GETKEYS", "bitop", "and", "a", "b"),
    ("COMMAND", "GETKEYS", "object", "freq", "a"),
    ("COMMAND", "GETKEYS", "copy", "a", "b", "db", "1"), ("FLUSHALL",),
    # Transactions.
    ("EXEC",), ("DISCARD",), ("UNWATCH",), ("EXEC", "x"), ("MULTI", "x"),
    ("WATCH",), ("UNWATCH", "x"), ("DISCARD", "x"),
    ("MULTI",), ("SET", "tx", "1"), ("GET", "tx"),
    ("INCR", "tx"), ("SET", "tw", "v"), ("INCR", "tw"), ("EXEC",),
    ("MGET", "tx", "tw"), ("MULTI",), ("EXEC",), ("MULTI",), ("DISCARD",),
    ("MULTI",), ("SET", "tx", "9"), ("NOPE", "a"), ("SET", "tx", "8"),
    ("EXEC",), ("GET", "tx"), ("MULTI",), ("GET",), ("EXEC",), ("PING",),
    ("MULTI",), ("CLIENT", "NOPE"), ("EXEC",), ("MULTI",), ("SET", "tx", "7"),
    ("EXEC", "x"), ("GET", "tx"), ("EXEC",), ("MULTI",), ("DISCARD", "x"),
    ("EXEC",), ("MULTI",), ("SHUTDOWN",), ("EXEC",),
    ("MULTI",), ("SAVE",), ("EXEC",), ("WATCH", "tx", "none"), ("MULTI",), ("PING",), ("EXEC",),
    ("WATCH", "tx"), ("SET", "tx", "5"), ("MULTI",), ("PING",), ("EXEC",),
    ("MULTI",), ("PING",), ("EXEC",),
    ("WATCH", "tx"), ("SET", "tx", "4"), ("UNWATCH",), ("MULTI",),
    ("GET", "tx"), ("EXEC",), ("WATCH", "tx"), ("SET", "tx", "3"),
    ("MULTI",), ("DISCARD",), ("MULTI",), ("INCR", "tx"), ("EXEC",),
    ("WATCH", "none"), ("SET", "none", "1"), ("DEL", "none"), ("MULTI",),
    ("PING",), ("EXEC",), ("WATCH", "tx"), ("EXPIRE", "tx", "1000"),
    ("MULTI",), ("PING",), ("EXEC",), ("WATCH", "none"), ("FLUSHDB",),
    ("MULTI",), ("PING",), ("EXEC",), ("SET", "tx", "1"), ("WATCH", "tx"),
    ("FLUSHALL",), ("MULTI",), ("PING",), ("EXEC",),
    ("WATCH", "tx"), ("SELECT", "1"), ("SET", "tx", "1"), ("SELECT", "0"),
    ("MULTI",), ("PING",), ("EXEC",),
    *unless_it_differs(
        "swapdb", ("WATCH", "tx"), ("SWAPDB", "0", "1"), ("MULTI",), ("PING",),
        ("EXEC",)),
    *unless_it_differs(
        "aggregates_beside_changes",
        ("MULTI",), ("SELECT", "3"), ("SET", "t3", "1"), ("DBSIZE",),
        ("KEYS", "*"), ("SELECT", "99"), ("EXEC",), ("GET", "t3"), ("MULTI",),
        ("UNWATCH",), ("CLIENT", "GETNAME"), ("FLUSHALL",), ("DBSIZE",),
        ("SELECT", "0"), ("EXEC",), ("DBSIZE",)),
    ("MULTI",), ("SELECT", "3"), ("SET", "t3", "1"), ("SELECT", "99"),
    ("EXEC",), ("GET", "t3"), ("MULTI",), ("UNWATCH",), ("CLIENT", "GETNAME"),
    ("FLUSHALL",), ("SELECT", "0"), ("EXEC",), ("DBSIZE",),
    ("COMMAND", "GETKEYS", "watch", "a", "b"),
    ("MULTI",), ("SET", "tx", "1"),
    ("RESET",), ("EXEC",), ("GET", "tx"),
    ("SHUTDOWN", "NOPE"), ("CLIENT", "REPLY", "NOPE"),
    # About clients and the server.
    ("CLIENT", "GETREDIR"), ("CLIENT", "TRACKINGINFO"),
    ("CLIENT", "TRACKING", "OFF"), ("CLIENT", "TRACKING", "NOPE"),
    ("CLIENT", "PAUSE", "x"), ("CLIENT", "PAUSE", "-1"),
    ("CLIENT", "PAUSE", "1", "NOPE"), ("CLIENT", "PAUSE"),
    ("CLIENT", "UNPAUSE"), ("CLIENT", "UNPAUSE", "x"),
    ("CLIENT", "UNBLOCK", "99999"), ("CLIENT", "UNBLOCK", "x"),
    ("CLIENT", "UNBLOCK", "1", "NOPE"), ("CLIENT", "UNBLOCK"),
    ("CLIENT", "KILL", "ID", "0"), ("CLIENT", "KILL", "ID", "x"),
    ("CLIENT", "KILL", "ID", "99999"), ("CLIENT", "KILL", "TYPE", "nope"),
    ("CLIENT", "KILL", "USER", "nope"), ("CLIENT", "KILL", "1.2.3.4:5"),
    ("CLIENT", "KILL", "SKIPME", "maybe"), ("CLIENT", "KILL", "NOPE", "1"),
    ("CLIENT", "KILL", "TYPE", "pubsub"), ("CLIENT", "KILL", "ID"),
    ("CLIENT", "LIST", "TYPE", "nope"), ("CLIENT", "LIST", "TYPE", "pubsub"),
    ("CLIENT", "LIST", "ID", "99999"), ("CLIENT", "NO-EVICT", "ON"),
    ("CLIENT", "NO-EVICT", "NOPE"), ("CLIENT", "NO-EVICT", "OFF"),
    ("ROLE",), ("ROLE", "x"), ("WAIT", "0", "0"), ("WAIT", "x", "0"),
    ("WAIT", "0", "x"), ("WAIT", "0", "-1"), ("WAIT", "0"), ("SAVE", "x"),
    ("LASTSAVE", "x"), ("BGSAVE", "NOPE"), ("MONITOR", "x"),
    ("ACL", "WHOAMI"), ("ACL", "USERS"), ("ACL", "CAT", "nope"),
    ("ACL", "NOPE"), ("ACL",), ("ACL", "WHOAMI", "x"),
    ("FUNCTION", "FLUSH"), ("FUNCTION", "FLUSH", "SYNC"),
    ("FUNCTION", "FLUSH", "NOPE"), ("FUNCTION", "NOPE"), ("FUNCTION",),
    ("CONFIG", "SET"), ("CONFIG", "SET", "a"), ("CONFIG", "SET", "nope", "1"),
    ("CONFIG", "SET", "slowlog-max-len", "10", "x"),
    ("CONFIG", "SET", "slowlog-max-len", "x"),
    ("CONFIG", "SET", "slowlog-max-len", "10", "nope", "1"),
    ("CONFIG", "SET", "slowlog-max-len", "10", "slowlog-max-len", "11"),
    ("CONFIG", "SET", "slowlog-max-len", "77", "maxmemory", "100mb"),
    ("CONFIG", "GET", "slowlog-max-len"), ("CONFIG", "GET", "maxmemory"),
    ("CONFIG", "SET", "maxmemory", "1xb"), ("CONFIG", "SET", "maxmemory", "0"),
    ("CONFIG", "SET", "slowlog-max-len", "128"),
    ("CONFIG", "SET", "maxmemory-policy", "noeviction"),
    ("CONFIG", "SET", "databases", "16"), ("CONFIG", "REWRITE"),
    ("CONFIG", "REWRITE", "x"), ("CONFIG", "RESETSTAT"),
    ("RESET",), ("CLIENT", "GETNAME"),
]

# What arrives outside of commands: bytes, and what must come back before the
# connection closes.
BROKEN_INPUT = [
    b"*x\r\n", b"*-5\r\n*1\r\n$4\r\nPING\r\n*y\r\n", b"*1\r\nPING\r\n",
    b"*1\r\n$x\r\n", b"*1\r\n$-1\r\n", b"*1\r\n$99999999999\r\n",
    b"*2147483648\r\n", b"*1\r\n:4\r\n", b"GET \"unbalanced\r\n",
    b"GET 'unbalanced\r\n", b'GET "a"b\r\n', b"x" * 70000,
]

INLINE = (b"PING\r\n" b"  SET   inline  value  \r\n" b"GET inline\n"
          b'SET "quoted key" "a\\x00\\n\\"b"\r\n' b'GET "quoted key"\r\n'
          b"SET 'single' 'it\\'s'\r\n" b"GET single\r\n" b"\r\n" b"   \r\n"
          b"*0\r\n" b"*-1\r\n" b"ECHO done\r\n")


class Pair:
    """The same connection to kvd and to redis-server."""

    def __init__(self, kvd, redis):
        self.kvd = kvd
        self.redis = redis

    def send(self, data):
        self.kvd.send(data)
        self.redis.send(data)


class AgainstRedis(E2eTest):
    """The same commands, the same bytes."""

    def setUp(self):
        self.kvd_daemon = self.started()
        self.redis_path = self.redis_server()

    def pair(self, protocol=2):
        redis = Connection(self.redis_path)
        self.addCleanup(redis.close)
        pair = Pair(self.kvd_daemon.connect(), redis)
        if protocol == 3:
            pair.send(command("HELLO", "3"))
            pair.kvd.reply()
            pair.redis.reply()
        return pair

    def compare(self, pair, commands):
        """Pipelines the commands; the replies must be equal, one by one."""
        pair.send(b"".join(command(*words) for words in commands))
        differences = []
        for words in commands:
            ours, theirs = pair.kvd.raw_reply(), pair.redis.raw_reply()
            if ours != theirs:
                shown = " ".join(repr(word)[:60] for word in words)
                differences.append(f"{shown}:\n    kvd   {ours[:300]!r}\n"
                                   f"    redis {theirs[:300]!r}")
        if differences:
            self.fail("\n" + "\n".join(differences[:20]))

    def test_table_in_resp2(self):
        self.compare(self.pair(), SAME_AS_REDIS)

    def test_table_in_resp3(self):
        # RESET at the end of the table goes back to RESP2 on both sides.
        self.compare(self.pair(protocol=3), SAME_AS_REDIS)

    def test_inline_commands(self):
        pair = self.pair()
        pair.send(INLINE)
        for _ in range(INLINE.count(b"SET") + INLINE.count(b"GET") + 2):
            self.assertEqual(pair.kvd.raw_reply(), pair.redis.raw_reply())

    def test_broken_input_is_answered_and_ends_the_connection(self):
        for data in BROKEN_INPUT:
            with self.subTest(data=data[:40]):
                pair = self.pair()
                for side in (pair.kvd, pair.redis):
                    try:
                        side.send(data)
                    except Closed:
                        pass
                self.assertEqual(pair.kvd.rest(), pair.redis.rest())

    def test_quit_answers_and_closes(self):
        pair = self.pair()
        pair.send(command("QUIT") + command("PING"))
        self.assertEqual(pair.kvd.rest(), pair.redis.rest())

    def test_client_reply_modes(self):
        pair = self.pair()
        pair.send(b"".join(command(*words) for words in [
            ("CLIENT", "REPLY", "OFF"), ("SET", "a", "1"), ("GET", "a"),
            ("NOPE",), ("CLIENT", "REPLY", "ON"), ("GET", "a"),
            ("CLIENT", "REPLY", "SKIP"), ("GET", "a"), ("ECHO", "end"),
            ("CLIENT", "REPLY", "SKIP"), ("CLIENT", "REPLY", "SKIP"),
            ("GET", "a"), ("ECHO", "end"),
            ("CLIENT", "REPLY", "ON"), ("QUIT",)]))
        self.assertEqual(pair.kvd.rest(), pair.redis.rest())

    def test_patterns(self):
        names = ["", "a", "b", "ab", "abc", "a*c", "[a]", "a?c", "a\\c",
                 "hello", "hallo", "hillo", "h[llo", "a\x00b", "é"]
        patterns = ["*", "?", "a*", "*c", "a?c", "h[ae]llo", "h[^e]llo",
                    "h[a-e]llo", "h[e-a]llo", "\\[a\\]", "a\\*c", "a\\\\c",
                    "[", "[a", "[^", "h[l-", "*[bc]", "**c", "a\x00b", "",
                    "\\", "[a-]*", "[]a]", "*" * 30 + "b"]
        pair = self.pair()
        self.compare(pair, [("SET", name, "v") for name in names])
        for pattern in patterns:
            with self.subTest(pattern=pattern):
                self.assertEqual(sorted(pair.kvd.call("KEYS", pattern)),
                                 sorted(pair.redis.call("KEYS", pattern)))


class OwnCommands(E2eTest):
    """What Redis does not have, or answers differently."""

    def setUp(self):
        self.kvd = self.started()
        self.client = self.kvd.connect()

    def call(self, *words):
        return self.client.call(*words)

    def assert_error(self, expected, *words):
        reply = self.call(*words)
        self.assertIsInstance(reply, ReplyError, words)
        self.assertEqual(reply, expected, words)

    def test_hello(self):
        two = as_map(self.call("HELLO", "2"))
        self.assertEqual([two["server"], two["proto"], two["mode"],
                          two["role"], two["modules"]],
                         [b"redis", 2, b"standalone", b"master", []])
        self.assertIsInstance(two["id"], int)
        self.assertRegex(two["version"].decode(), r"^7\.(2\.[4-9]|[4-9])|^[89]")
        self.assertEqual(list(two), ["server", "version", "proto", "id",
                                     "mode", "role", "modules"])
        three = self.call("HELLO", "3", "AUTH", "default", "any", "SETNAME",
                          "me")
        self.assertIsInstance(three, dict)
        self.assertEqual(three[b"proto"], 3)
        self.assertEqual(self.call("CLIENT", "GETNAME"), b"me")
        self.assertEqual(self.client.raw("GET", "none"), b"_\r\n")
        self.assertEqual(self.call("RESET"), "RESET")
        self.assertEqual(self.client.raw("GET", "none"), b"$-1\r\n")

    def test_client(self):
        first = self.call("CLIENT", "ID")
        self.assertGreater(self.kvd.connect().call("CLIENT", "ID"), first)
        self.assertEqual(self.call("CLIENT", "SETINFO", "LIB-NAME", "py"), "OK")
        self.assertEqual(self.call("CLIENT", "SETINFO", "lib-ver", "1.2"), "OK")
        self.assertIsInstance(self.call("CLIENT", "SETINFO", "NOPE", "1"),
                              ReplyError)
        self.assertIsInstance(self.call("CLIENT", "SETINFO", "LIB-NAME", "a b"),
                              ReplyError)
        self.assertEqual(self.call("CLIENT", "SETNAME", "alice"), "OK")
        line = self.call("CLIENT", "INFO").decode()
        for field in (f"id={first} ", "name=alice ", "db=0 ", "lib-name=py ",
                      "lib-ver=1.2 ", "resp=2 ", "cmd=client|info "):
            self.assertIn(field, line)
        lines = self.call("CLIENT", "LIST").decode().splitlines()
        self.assertEqual(len(lines), 2)
        self.assertIn("name=alice", "\n".join(lines))
        self.assertEqual(
            len(self.call("CLIENT", "LIST", "ID", first).splitlines()), 1)

    def test_command(self):
        count = self.call("COMMAND", "COUNT")
        names = [name.decode() for name in self.call("COMMAND", "LIST")]
        infos = self.call("COMMAND")
        docs = as_map(self.call("COMMAND", "DOCS"))
        self.assertEqual(len(names), count)
        self.assertEqual([info[0].decode() for info in infos], names)
        self.assertEqual(sorted(docs), sorted(names))
        for name in ("ping echo quit reset hello auth select client command "
                     "info config dbsize type exists get set setnx setex "
                     "psetex getset getdel getex mget mset append strlen incr "
                     "decr incrby decrby del unlink expire pexpire expireat "
                     "pexpireat ttl pttl persist keys scan flushdb flushall "
                     "swapdb time shutdown kv.get kv.set kv.del "
                     "kv.status").split():
            self.assertIn(name, names)
        get = self.call("COMMAND", "INFO", "get")[0]
        self.assertEqual(get[:2] + get[3:6], [b"get", 2, 1, 1, 1])
        self.assertIn("readonly", get[2])
        document = as_map(as_map(self.call("COMMAND", "DOCS", "set"))["set"])
        self.assertLessEqual({"summary", "since", "group", "arguments"},
                             set(document))

    def test_the_table_tells_the_arity(self):
        # Whatever COMMAND says must be what calling it shows.
        for info in self.call("COMMAND"):
            name, arity, subcommands = info[0].decode(), info[1], info[9]
            words = abs(arity) - 1
            if subcommands or words == 0:
                continue
            with self.subTest(name=name):
                self.assert_error(
                    f"ERR wrong number of arguments for '{name}' command",
                    name, *["x"] * (words - 1))

    def test_info(self):
        info = self.kvd.info()
        for field in ("redis_version", "kvd_version", "process_id",
                      "connected_clients", "blocked_clients", "used_memory",
                      "total_commands_processed", "loading", "role",
                      "total_connections_received", "used_cpu_user"):
            self.assertIn(field, info)
        self.assertEqual(info["role"], "master")
        self.assertEqual(info["loading"], "0")
        self.assertEqual(int(info["process_id"]), self.kvd.process.pid)
        self.call("SET", "a", "1")
        self.call("SET", "b", "1", "EX", "1000")
        keys, ttl_ms = self.kvd.info()["db0"].rsplit("=", 1)
        self.assertEqual(keys, "keys=2,expires=1,avg_ttl")
        self.assertIn(int(ttl_ms), range(1, 1_000_001))
        only = self.call("INFO", "server").decode()
        self.assertIn("# Server", only)
        self.assertNotIn("# Clients", only)

    def test_config_get(self):
        for name in ("save", "appendonly"):
            reply = self.call("CONFIG", "GET", name)
            self.assertEqual(len(reply), 2)
            self.assertEqual(reply[0], name.encode())
        everything = as_map(self.call("CONFIG", "GET", "*"))
        self.assertEqual(everything["durability.sync"], b"always")
        # Where there is no log it has its default.
        self.assertEqual(everything["log.segment_size"],
                         b"4MiB" if BACKEND == "local" else b"64MiB")
        self.assertEqual(self.call("CONFIG", "GET", "nope"), [])

    def test_time(self):
        seconds, microseconds = self.call("TIME")
        self.assertLess(abs(int(seconds) - time.time()), 3600)
        self.assertLess(int(microseconds), 1_000_000)

    def test_relative_deadlines(self):
        for set_words, unit in ((("SET", "k", "v", "EX", "1000"), 1000),
                                (("SET", "k", "v", "PX", "1000000"), 1000),
                                (("SETEX", "k", "1000", "v"), 1000),
                                (("PSETEX", "k", "1000000", "v"), 1000)):
            with self.subTest(words=set_words):
                self.assertEqual(self.call(*set_words), "OK")
                self.assertIn(self.call("TTL", "k"), range(1, 1001))
                self.assertIn(self.call("PTTL", "k"), range(1, 1_000_001))
        self.call("SET", "k", "v")
        self.assertEqual(self.call("EXPIRE", "k", "1000"), 1)
        self.assertIn(self.call("TTL", "k"), range(1, 1001))
        self.assertEqual(self.call("PEXPIRE", "k", "5000000"), 1)
        self.assertIn(self.call("TTL", "k"), range(1001, 5001))
        self.assertEqual(self.call("GETEX", "k", "EX", "100"), b"v")
        self.assertIn(self.call("TTL", "k"), range(1, 101))

    def test_keys_expire(self):
        self.call("MSET", "stays", "1", "goes", "2", "seen", "3")
        self.call("PEXPIRE", "goes", "20")
        self.call("PEXPIRE", "seen", "20")
        wait_until(lambda: self.call("GET", "seen") is None, "seen expires")
        # Nobody looks at the other one: it goes all the same.
        wait_until(lambda: self.call("DBSIZE") == 1, "goes expires")
        self.assertEqual(self.call("KEYS", "*"), [b"stays"])

    def test_scan_finds_what_stays(self):
        steady = {b"steady:%d" % i for i in range(2000)}
        self.client.pipeline([("SET", key, "v") for key in sorted(steady)])
        found, cursor, step = [], "0", 0
        while True:
            cursor, keys = self.call("SCAN", cursor, "COUNT", "37")
            found += keys
            # The table grows and shrinks under the cursor.
            self.client.pipeline(
                [("SET", b"moving:%d:%d" % (step % 40, i), "v")
                 for i in range(100)] +
                [("DEL", b"moving:%d:%d" % ((step + 20) % 40, i))
                 for i in range(100)])
            step += 1
            if cursor == b"0":
                break
            self.assertLess(step, 100_000)
        self.assertLessEqual(steady, set(found))
        for key in found:
            self.assertTrue(key in steady or key.startswith(b"moving:"))

    def test_scan_options(self):
        self.client.pipeline([("SET", f"{letter}{i}", "v")
                              for letter in "ab" for i in range(300)])
        for words, expected in ((("MATCH", "a*"), 300), ((), 600),
                                (("COUNT", "5", "MATCH", "b1?"), 10),
                                (("TYPE", "string"), 600),
                                (("TYPE", "list"), 0)):
            with self.subTest(words=words):
                found, cursor = set(), b"0"
                while True:
                    cursor, keys = self.call("SCAN", cursor, *words)
                    found |= set(keys)
                    if cursor == b"0":
                        break
                self.assertEqual(len(found), expected)

    def test_set_ifeq(self):
        self.assertIsNone(self.call("SET", "k", "new", "IFEQ", "old"))
        self.assertEqual(self.call("EXISTS", "k"), 0)
        self.call("SET", "k", "old")
        self.assertIsNone(self.call("SET", "k", "new", "IFEQ", "other"))
        self.assertEqual(self.call("SET", "k", "new", "IFEQ", "old"), "OK")
        self.assertEqual(self.call("SET", "k", "x", "IFEQ", "new", "GET"),
                         b"new")
        self.assertEqual(self.call("GET", "k"), b"x")
        for words in (("NX", "IFEQ", "x"), ("IFEQ", "x", "XX"), ("IFEQ",)):
            self.assert_error("ERR syntax error", "SET", "k", "y", *words)

    def test_kv_commands(self):
        self.assertIsNone(self.call("KV.GET", "k"))
        first = self.call("KV.SET", "k", "one")
        second = self.call("KV.SET", "k", b"\x00two")
        self.assertGreater(second, first)
        self.assertEqual(self.call("KV.GET", "k"), [b"\x00two", second, -1])
        self.assertIsNone(self.call("KV.SET", "k", "x", "IFREV", first))
        self.assertIsNone(self.call("KV.SET", "k", "x", "IFREV", "0"))
        self.assertIsNone(self.call("KV.SET", "k", "x", "NX"))
        self.assertIsNone(self.call("KV.SET", "none", "x", "XX"))
        self.assertIsNone(self.call("KV.SET", "none", "x", "IFREV", "7"))
        third = self.call("KV.SET", "k", "three", "IFREV", second)
        self.assertGreater(third, second)
        # A changed deadline is a change.
        self.assertEqual(self.call("PEXPIRE", "k", "1000000"), 1)
        value, fourth, left_ms = self.call("KV.GET", "k")
        self.assertEqual(value, b"three")
        self.assertGreater(fourth, third)
        self.assertIn(left_ms, range(1, 1_000_001))
        self.assertIsNone(self.call("KV.DEL", "k", "IFREV", third))
        fifth = self.call("KV.DEL", "k", "IFREV", fourth)
        self.assertGreater(fifth, fourth)
        self.assertIsNone(self.call("KV.DEL", "k"))
        self.assertIsNone(self.call("KV.GET", "k"))
        sixth = self.call("KV.SET", "k", "six", "IFREV", "0", "EX", "100")
        self.assertGreater(sixth, fifth)
        self.assertGreater(self.call("KV.SET", "k", "7", "KEEPTTL"), sixth)
        self.assertIn(self.call("TTL", "k"), range(1, 101))
        self.assert_error("ERR value is not an integer or out of range",
                          "KV.SET", "k", "x", "IFREV", "x")
        self.assert_error("ERR syntax error", "KV.SET", "k", "x", "GET")
        self.assert_error("ERR syntax error", "KV.DEL", "k", "NOPE", "1")
        self.assert_error(
            "ERR wrong number of arguments for 'kv.get' command", "KV.GET")

    def test_kv_status(self):
        self.client.pipeline([("SET", f"k{i}", "v") for i in range(10)])
        status = as_map(self.call("KV.STATUS"))
        self.assertEqual(status["keys"], 10)
        self.assertEqual(status["pid"], self.kvd.process.pid)
        self.assertEqual(status["socket"], self.kvd.socket_path.encode())
        self.assertEqual(status["data_dir"], self.kvd.data_dir.encode())
        self.assertEqual(status["state"], b"ok")
        self.assertEqual(status["sync"], b"always")
        self.assertEqual(status["last_seq"], status["durable_seq"])
        self.call("HELLO", "3")
        self.assertIsInstance(self.call("KV.STATUS"), dict)

    def test_limits_of_keys(self):
        longest = "k" * 65_535
        self.assertEqual(self.call("SET", longest, "v"), "OK")
        self.assertEqual(self.call("GET", longest), b"v")
        self.assert_error("ERR key is too long (maximum 65535 bytes)",
                          "SET", longest + "k", "v")
        self.kvd.restart()
        self.assertEqual(self.kvd.call("GET", longest), b"v")

    @differs_on_etcd("large_values")
    def test_a_value_larger_than_a_segment(self):
        # It gets one of its own.
        large = bytes(9 << 20)
        self.assertEqual(self.call("SET", "large", large), "OK")
        self.assertEqual(self.call("APPEND", "large", b"x" * 1000),
                         len(large) + 1000)
        self.assertEqual(self.call("GET", "large"), large + b"x" * 1000)
        self.kvd.restart()
        self.assertEqual(self.kvd.call("GET", "large"), large + b"x" * 1000)

    def test_a_value_beyond_its_limit_is_refused(self):
        kvd = self.started(settings={"limits.value_size": "1KiB"})
        client = kvd.connect()
        self.assertEqual(client.call("SET", "k", "v" * 1024), "OK")
        for words in (("SET", "k", "v" * 1025), ("APPEND", "k", "v"),
                      ("MSET", "a", "1", "k", "v" * 1025),
                      ("KV.SET", "k", "v" * 1025)):
            reply = client.call(*words)
            self.assertIsInstance(reply, ReplyError)
            self.assertIn("limits.value_size", reply)
        self.assertEqual(client.call("EXISTS", "a"), 0)
        self.assertEqual(client.call("GET", "k"), b"v" * 1024)

    def test_shutdown_stops_cleanly(self):
        self.call("SET", "k", "v")
        self.client.send(command("SHUTDOWN"))
        self.assertEqual(self.kvd.process.wait(), 0)
        self.assertEqual(self.client.rest(), b"")
        self.kvd.start()
        for words in unless_it_differs("no_log", "after a clean stop"):
            self.assertIn(words, self.kvd.log())
        self.assertEqual(self.kvd.call("GET", "k"), b"v")


OwnCommands.threaded = True

if __name__ == "__main__":
    unittest.main()
