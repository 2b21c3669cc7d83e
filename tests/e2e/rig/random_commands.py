# SPDX-License-Identifier: MIT
"""An endless stream of commands whose replies do not depend on when, or by
which of the two servers, they are executed."""

FAR_S = 4_000_000_000          # A deadline in the year 2096.
FAR_MS = FAR_S * 1000 + 123

# Bodies with the number of their keys. What they return has one meaning only.
SCRIPTS = [
    (1, b"return redis.call('get',KEYS[1])"),
    (1, b"if redis.call('get',KEYS[1]) == ARGV[1] then "
        b"return redis.call('del',KEYS[1]) else return 0 end"),
    (1, b"redis.call('set',KEYS[1],ARGV[1]) "
        b"return redis.call('incr',KEYS[1])"),
    (1, b"local r = redis.pcall('incr',KEYS[1]) "
        b"if type(r) == 'table' and r.err then return redis.error_reply(r.err) "
        b"end return r"),
    (2, b"local a = redis.call('get',KEYS[1]) "
        b"redis.call('set',KEYS[2],a or ARGV[1]) "
        b"return {a, redis.call('strlen',KEYS[2]), KEYS[1], 3.9, true, false}"),
    (1, b"return redis.call('mget',KEYS[1],'none',KEYS[1])"),
    (0, b"return {1,2,{3,'four',{5}},nil,6}"),
    (0, b"return redis.status_reply('FINE')"),
    (0, b"return {err='MINE text'}"),
    (0, b"return redis.call('nope')"),
    (0, b"return redis.call('get')"),
    (0, b"return redis.call()"),
    (0, b"local x = nil; return x.y"),
    (0, b"error('boom')"),
    (0, b"error({err='ERR mine'})"),
    (0, b"global = 1"),
    (0, b"return undefined_name"),
    (0, b"return syntax error"),
    (0, b"return #ARGV"),
    (0, b"return {tostring(1.5), tonumber('0x10'), string.rep('ab',3)}"),
    (0, b"return redis.sha1hex(ARGV[1] or '')"),
    (0, b"return cjson.encode({1,2,{a=ARGV[1]}})"),
    (0, b"return cjson.decode('[1,2,{\"a\":[true,null,\"x\"]}]')[3].a[3]"),
    (0, b"return {bit.band(12,10), bit.bor(12,10), bit.bxor(12,10), "
        b"bit.lshift(1,31), bit.tohex(255)}"),
    (1, b"local n = 0 for i = 1, #ARGV do n = n + 1 "
        b"redis.call('append',KEYS[1],ARGV[i]) end return n"),
    (1, b"redis.setresp(3) return redis.call('get',KEYS[1])"),
    (1, b"return redis.call('set',KEYS[1],'1','nx')"),
    (1, b"redis.call('set',KEYS[1],'before') return redis.call('nope')"),
    (0, b"return {double=3.5}"),
    (0, b"return {map={a=1}}"),
]


class RandomCommands:
    """Commands of one client that meet each other's, and others', keys."""

    KEYS = [b"k%d" % i for i in range(12)] + [b"", b"\x00\xff", b"key with\r\n"]
    WORDS = ["0", "-1", "1", "10", "9223372036854775807",
             "-9223372036854775808", "3.5", "x", "", "  7", "007"]

    def __init__(self, random_source, without=()):
        """`without` are names of harness.DIFFERENCES."""
        self.random = random_source
        self._without = without
        self._in_multi = False
        self._families = [
            (10, self._string), (5, self._key), (5, self._bits),
            (3, self._transaction), (2, self._script), (1, self._server)]
        self._weights = [weight for weight, _ in self._families]

    def next(self):
        if self.random.randrange(400) == 0:
            return [self.one_of("FLUSHDB", "FLUSHALL")]
        family = self.random.choices(self._families, self._weights)[0][1]
        words = family()
        if self._differs(words[0]):
            words = ["PING"]
        return [self.any_case(words[0]), *words[1:]]

    def _differs(self, name):
        if name == "SWAPDB":
            return "swapdb" in self._without
        return (self._in_multi and name in ("DBSIZE", "SCAN") and
                "aggregates_beside_changes" in self._without)

    # --- Words --------------------------------------------------------------

    def one_of(self, *choices):
        return self.random.choice(choices)

    def once_in(self, count):
        return self.random.randrange(count) == 0

    def key(self):
        return self.random.choice(self.KEYS)

    def keys(self, *counts):
        return [self.key() for _ in range(self.random.choice(counts))]

    def value(self):
        kind = self.random.randrange(10)
        if kind < 4:
            return str(self.random.randrange(-1000, 1000))
        if kind < 6:
            return self.random.choice(self.WORDS)
        if kind == 6:
            return self.random.randbytes(self.random.randrange(3000))
        return self.random.randbytes(self.random.randrange(20))

    def integer(self, low=-100, high=100):
        if self.once_in(8):
            return self.random.choice(self.WORDS)
        return str(self.random.randrange(low, high))

    def small(self, low, high):
        """As integer(), without those that would make a value large."""
        if self.once_in(12):
            return self.one_of("-1", "x", "", "3.5", "-9223372036854775808")
        return str(self.random.randrange(low, high))

    def deadline(self):
        """A word and a time that does not depend on when it is executed."""
        word = self.one_of("EXAT", "PXAT")
        base = FAR_S if word == "EXAT" else FAR_MS
        return [word, base + self.random.randrange(1000)]

    def some_of(self, *words_and_chances):
        options = [words for words, chance in words_and_chances
                   if self.once_in(chance)]
        self.random.shuffle(options)
        return [self.any_case(word) for words in options for word in words]

    def any_case(self, word):
        return (word.lower() if isinstance(word, str)
                and self.random.randrange(2) else word)

    # --- Families -----------------------------------------------------------

    def set_options(self):
        # Alone, since of two errors kvd may name the other one.
        if self.once_in(20):
            return self.one_of(["EXAT", "0"], ["PXAT", "-5"], ["EX", "x"],
                               ["NOPE"], ["PX"])
        return self.some_of((["NX"], 6), (["XX"], 6), (["GET"], 4),
                            (["KEEPTTL"], 5), (self.deadline(), 4))

    def _string(self):
        key = self.key
        return self.one_of(
            lambda: ["SET", key(), self.value(), *self.set_options()],
            lambda: ["SET", key(), self.value()],
            lambda: ["GET", key()],
            lambda: ["GETSET", key(), self.value()],
            lambda: ["GETDEL", key()],
            # A bad deadline is an error here even if there is no such key.
            lambda: ["GETEX", key(), *self.one_of(
                [], ["PERSIST"], ["EXAT", FAR_S + self.random.randrange(9)],
                ["PXAT", "1"])],
            lambda: ["SETNX", key(), self.value()],
            lambda: ["MGET", *self.keys(1, 3, 9)],
            lambda: ["MSET"] + [word for _ in range(self.one_of(1, 2, 5))
                                for word in (key(), self.value())],
            lambda: ["MSETNX"] + [word for _ in range(2)
                                  for word in (key(), self.value())],
            lambda: ["APPEND", key(), self.value()],
            lambda: ["STRLEN", key()],
            lambda: [self.one_of("INCR", "DECR"), key()],
            lambda: [self.one_of("INCRBY", "DECRBY"), key(), self.integer()],
            lambda: [self.one_of("GETRANGE", "SUBSTR"), key(),
                     self.integer(), self.integer()],
            lambda: ["SETRANGE", key(), self.small(0, 300), self.value()],
            lambda: ["LCS", key(), key(), *self.some_of(
                (["LEN"], 3), (["IDX"], 3), (["MINMATCHLEN", "2"], 3),
                (["WITHMATCHLEN"], 3))],
            lambda: [self.one_of("GET", "SET", "INCRBY", "MSET", "PERSIST")],
        )()

    def _key(self):
        key = self.key
        return self.one_of(
            lambda: [self.one_of("DEL", "UNLINK", "EXISTS", "TOUCH"),
                     *self.keys(1, 2, 4)],
            lambda: [self.one_of("EXPIREAT", "PEXPIREAT"), key(),
                     FAR_MS + self.random.randrange(5),
                     *self.one_of([], [self.one_of("NX", "XX", "GT", "LT")])],
            lambda: ["PEXPIREAT", key(), "1"],
            lambda: [self.one_of("EXPIRE", "PEXPIRE"), key(),
                     self.one_of("-1", "0", "x", "9223372036854775807")],
            lambda: [self.one_of("EXPIRETIME", "PEXPIRETIME"), key()],
            lambda: ["PERSIST", key()],
            lambda: ["TYPE", key()],
            lambda: ["DBSIZE"],
            lambda: ["RENAME", key(), key()],
            lambda: ["RENAMENX", key(), key()],
            lambda: ["COPY", key(), key(), *self.some_of(
                (["DB", self.one_of("0", "1", "2", "16", "x")], 3),
                (["REPLACE"], 2))],
            lambda: ["MOVE", key(), self.one_of("0", "1", "2", "16", "x")],
            lambda: ["OBJECT", "REFCOUNT", "none"],
            lambda: ["SCAN", "0", "TYPE", "hash", "COUNT", "1000"],
        )()

    def _field(self):
        return self.one_of("u8", "i8", "u1", "i64", "u63", "i5", "u16", "u64",
                           "x", "i0")

    def _field_operation(self):
        at = self.one_of(self.small(0, 100), "#%d" % self.random.randrange(9))
        return self.one_of(
            ["GET", self._field(), at], ["SET", self._field(), at,
                                         self.integer()],
            ["INCRBY", self._field(), at, self.integer()],
            ["OVERFLOW", self.one_of("WRAP", "SAT", "FAIL", "NOPE")])

    def _index(self):
        return str(self.random.randrange(-100, 100))

    def _range(self):
        """Right ones: of a missing key, Redis 7.0 does not look at it."""
        if self.once_in(2):
            return []
        ends = [self._index(), self._index()]
        return ends + self.one_of([], ["BYTE"], ["BIT"])

    def _bits(self):
        key = self.key
        return self.one_of(
            lambda: ["SETBIT", key(), self.small(0, 3000),
                     self.one_of("0", "1", "2")],
            lambda: ["GETBIT", key(), self.small(0, 3000)],
            lambda: ["BITCOUNT", key(), *self._range()],
            lambda: ["BITPOS", key(), self.one_of("0", "1", "2"),
                     *self._range()],
            lambda: ["BITPOS", key(), self.one_of("0", "1"), self._index()],
            lambda: ["BITOP", self.one_of("AND", "OR", "XOR", "NOT", "NOPE"),
                     key(), *self.keys(1, 1, 2, 3)],
            lambda: ["BITFIELD", key()] + [
                word for _ in range(self.one_of(1, 2, 4))
                for word in self._field_operation()],
            lambda: ["BITFIELD_RO", key()] + [
                word for _ in range(self.one_of(1, 2))
                for word in ("GET", self._field(), self.small(0, 100))],
        )()

    def _transaction(self):
        words = self.one_of(
            lambda: ["MULTI"], lambda: ["MULTI"], lambda: ["MULTI"],
            lambda: ["EXEC"], lambda: ["EXEC"], lambda: ["EXEC"],
            lambda: ["DISCARD"], lambda: ["UNWATCH"],
            lambda: ["WATCH", *self.keys(1, 2)],
            lambda: ["WATCH", *self.keys(1, 2)], lambda: ["EXEC", "x"],
        )()
        # Redis 7.0 does not abort for these within MULTI, Valkey 8 does.
        if self._in_multi and words[0] in ("MULTI", "WATCH"):
            return ["PING"]
        if words[0] in ("MULTI", "EXEC", "DISCARD"):
            self._in_multi = words[0] == "MULTI"
        return words

    def _script(self):
        count, body = self.random.choice(SCRIPTS)
        name = self.one_of("EVAL", "EVAL", "EVAL", "EVAL_RO")
        keys = [self.key() for _ in range(count)]
        arguments = [self.value() for _ in range(self.one_of(1, 2))]
        return self.one_of(
            lambda: [name, body, str(count), *keys, *arguments],
            lambda: [name, body, str(count), *keys, *arguments],
            lambda: ["EVAL", body, self.one_of("-1", "9", "x")],
            lambda: ["EVALSHA", "0" * 40, "0"],
            lambda: ["SCRIPT", "EXISTS", "0" * 40, "x"],
            lambda: ["SCRIPT", "LOAD", body],
            lambda: ["SCRIPT", "KILL"],
        )()

    def _server(self):
        return self.one_of(
            lambda: ["SELECT", self.one_of("0", "1", "2")],
            lambda: ["ECHO", self.value()],
            lambda: ["SWAPDB", self.one_of("0", "1", "2"),
                     self.one_of("0", "1", "2")],
            lambda: ["CLIENT", "SETNAME", self.one_of("a", "b", "c d")],
            lambda: ["CLIENT", "GETNAME"],
            lambda: ["PING"], lambda: ["WAIT", "0", "0"], lambda: ["NOPE", "x"],
        )()
