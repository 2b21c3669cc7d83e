# SPDX-License-Identifier: MIT
"""Scripts as clients' libraries use them, and a build without them."""

import threading
import unittest

import redis
from redis.exceptions import LockNotOwnedError, NoScriptError, ResponseError

from harness import Connection, E2eTest, command, scaled, wait_until

# Counts a request in a window of time that begins with the first one.
RATE_LIMIT = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if count > tonumber(ARGV[1]) then
  return {0, redis.call('PTTL', KEYS[1])}
end
return {1, tonumber(ARGV[1]) - count}
"""


class Scripts(E2eTest):
    threaded = True

    def setUp(self):
        self.kvd = self.started()

    def test_a_lock_of_redis_py(self):
        client = self.kvd.client()
        lock = client.lock("lock", timeout=100)
        other = client.lock("lock", timeout=100)
        self.assertTrue(lock.acquire(blocking=False))
        self.assertFalse(other.acquire(blocking=False))
        self.assertTrue(lock.owned())
        self.assertTrue(lock.extend(100))
        self.assertTrue(lock.reacquire())
        lock.release()
        self.assertTrue(other.acquire(blocking=False))
        client.set("lock", "taken over")
        with self.assertRaises(LockNotOwnedError):
            other.release()

    def test_a_lock_admits_one_at_a_time(self):
        rounds = scaled(50, 10)
        inside = []

        def work():
            client = self.kvd.client()
            for _ in range(rounds):
                with client.lock("lock", timeout=100, sleep=0.001):
                    inside.append(1)
                    self.assertEqual(len(inside), 1)
                    client.incr("count")
                    inside.pop()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.kvd.client().get("count"), b"%d" % (4 * rounds))

    def test_a_rate_limiter(self):
        limit = self.kvd.client().register_script(RATE_LIMIT)
        for left in (2, 1, 0):
            self.assertEqual(limit(keys=["user"], args=[3, 100_000]), [1, left])
        refused, wait_ms = limit(keys=["user"], args=[3, 100_000])
        self.assertEqual(refused, 0)
        self.assertIn(wait_ms, range(1, 100_001))

    def test_scripts_by_their_names(self):
        client = self.kvd.client()
        sha = client.script_load("return ARGV[1]")
        self.assertEqual(client.script_exists(sha, "none"), [True, False])
        self.assertEqual(client.evalsha(sha, 0, "x"), b"x")
        self.assertTrue(client.script_flush())
        with self.assertRaises(NoScriptError):
            client.evalsha(sha, 0, "x")
        # redis-py loads it again by itself.
        script = client.register_script("return ARGV[1]")
        client.script_flush()
        self.assertEqual(script(args=["y"]), b"y")

    def test_a_pipeline_of_scripts(self):
        pipe = self.kvd.client().pipeline(transaction=False)
        for i in range(100):
            pipe.eval("redis.call('SET', KEYS[1], ARGV[1]) "
                      "return redis.call('GET', KEYS[1])", 1, f"k{i}", i)
        self.assertEqual(pipe.execute(), [b"%d" % i for i in range(100)])

    def test_a_script_without_end_is_stopped(self):
        client = self.kvd.client()
        for script in ("while true do end",
                       "redis.call('SET', 'a', 1) while true do end",
                       "while true do pcall(redis.call, 'SET', 'a', 1) end",
                       "return string.find(string.rep('a', 5000), "
                       "string.rep('a-', 20) .. 'b')"):
            with self.assertRaisesRegex(ResponseError, "script.time_limit"):
                client.eval(script, 0)
        with self.assertRaisesRegex(ResponseError, "script.memory_limit"):
            client.eval("redis.call('SET', 'a', 1) "
                        "return string.rep('x', 1e9)", 0)
        self.assertEqual(client.exists("a"), 0)
        info = client.info("memory")
        self.assertGreater(info["number_of_cached_scripts"], 0)
        self.assertLess(info["used_memory_lua"], 16 << 20)

    # The client knows what was acknowledged; each script sets both keys.
    def test_a_killed_daemon_has_whole_scripts(self):
        daemon = self.kvd
        stop = threading.Event()

        def write():
            client = self.kvd.client()
            i = 0
            while not stop.is_set():
                i += 1
                try:
                    client.eval("redis.call('SET', 'a', ARGV[1]) "
                                "redis.call('SET', 'b', ARGV[1])", 0, i)
                except redis.ConnectionError:
                    return

        for _ in range(scaled(5, 2)):
            stop.clear()
            threads = [threading.Thread(target=write) for _ in range(3)]
            for thread in threads:
                thread.start()
            client = self.kvd.client()
            wait_until(lambda: client.get("a") not in (None, b"0"),
                       "a script has run")
            daemon.kill()
            stop.set()
            for thread in threads:
                thread.join()
            daemon.start()
            client = self.kvd.client()
            self.assertEqual(client.get("a"), client.get("b"))
            client.mset({"a": 0, "b": 0})


# Scripts with keys and arguments whose replies must be byte for byte those of
# Redis. What they set carries over.
SAME_AS_REDIS = [
    ("return 1", 0), ("return 3.99", 0), ("return -0.5", 0),
    ("return 'a\\r\\nb'", 0), ("return true", 0), ("return false", 0),
    ("return nil", 0), ("return", 0), ("return {1, 'a', {2, {}}}", 0),
    ("return {1, nil, 3}", 0), ("return {a = 1}", 0), ("return {ok = 'x'}", 0),
    ("return {err = 'MY x'}", 0), ("return {err = 1}", 0),
    ("return {double = 1.5}", 0), ("return {double = 3}", 0),
    ("return {big_number = '123'}", 0), ("return {map = {a = 1}}", 0),
    ("return {set = {a = true}}", 0),
    ("return {verbatim_string = {format = 'txt', string = 'x'}}", 0),
    ("redis.setresp(3) return true", 0), ("redis.setresp(3) return false", 0),
    ("redis.setresp(3) return redis.call('GET', 'none')", 0),
    ("return redis.call('GET', 'none')", 0),
    ("return {KEYS[1], KEYS[2], ARGV[1], #KEYS, #ARGV}", 2, "a", "b", "c"),
    ("return redis.call('SET', KEYS[1], ARGV[1])", 1, "a", "1"),
    ("return redis.call('INCR', KEYS[1])", 1, "a"),
    ("return redis.pcall('INCRBY', KEYS[1], 'x')", 1, "a"),
    ("return redis.call('INCRBY', KEYS[1], 'x')", 1, "a"),
    ("local e = redis.pcall('INCRBY', 'a', 'x') return e.err", 0),
    ("local ok, e = pcall(redis.call, 'INCRBY', 'a', 'x') return e", 0),
    ("redis.call('SET', 'a', '5') error('after')", 0),
    ("return redis.call('MGET', 'a', 'none')", 0),
    ("return redis.call('NOSUCH')", 0), ("return redis.call('GET')", 0),
    ("return redis.pcall('NOSUCH', 1)", 0), ("return redis.call()", 0),
    ("return redis.call({})", 0), ("return redis.call('MULTI')", 0),
    ("return redis.call('EVAL', 'return 1', 0)", 0),
    ("return redis.call('CLIENT', 'ID')", 0),
    ("return redis.call('SET', 'a', 10, 'PX', 100000)", 0),
    ("return redis.call('SET', 'a', 3) and redis.call('GET', 'a')", 0),
    ("error('boom')", 0), ("error('boom', 0)", 0), ("error({err = 'X y'})", 0),
    ("\n\nerror('boom')", 0), ("return nil + 1", 0),
    ("local function f() error('in f') end\nf()", 0),
    ("return x", 0), ("x = 1", 0), ("return io", 0), ("return require", 0),
    ("string.rep = nil", 0), ("redis.call = nil", 0), ("_G.x = 1", 0),
    ("setmetatable(_G, {})", 0), ("return (", 0), ("return 1 2", 0),
    ("return type(redis.sha1hex)", 0), ("return redis.sha1hex('abc')", 0),
    ("return redis.sha1hex()", 0), ("return redis.error_reply('MY x')", 0),
    ("return redis.error_reply('-MY x')", 0),
    ("return redis.status_reply('x')", 0), ("return redis.status_reply(1)", 0),
    ("redis.log(1)", 0), ("redis.log('x', 'y')", 0), ("redis.log(9, 'y')", 0),
    ("redis.setresp(4)", 0), ("redis.setresp()", 0),
    ("math.randomseed(7) return tostring(math.random())", 0),
    ("return cjson.encode({1, 2.5, 'x/y', {a = cjson.null}, {}})", 0),
    ("return cjson.encode({[1] = 1, [3] = 3})", 0),
    ("return cjson.encode(0/0)", 0), ("return cjson.encode({[1e9] = 1})", 0),
    ("return cjson.encode(1/3)", 0), ("return cjson.encode(1e100)", 0),
    ("local t = cjson.decode(ARGV[1]) return {t.a[1], t.a[2], "
     "tostring(t.b), t.c}", 0,
     '{"a": [1, "\\u00e9"], "b": null, "c": "\\ud83d\\ude00"}'),
    ("return cjson.decode('[1,]')", 0), ("return cjson.decode('')", 0),
    ("return cjson.decode('{1:2}')", 0), ("return cjson.decode('[1 2]')", 0),
    ("return cjson.decode('{\"a\" 1}')", 0),
    ("return {bit.tobit(0xffffffff), bit.bor(1, 2), bit.bxor(5, 3), "
     "bit.lshift(1, 31), bit.rshift(-1, 28), bit.arshift(-16, 2), "
     "bit.rol(0x12345678, 12), bit.bswap(1), bit.tohex(255, -4)}", 0),
    ("return {string.gsub('hello world', 'o(%w)', '%1')}", 0),
    ("return {string.find('hello', 'l+')}", 0),
    ("return string.format('%5.2f|%d|%s|%q', 1.239, 7, 'x', 'y')", 0),
    ("local t = {3, 1, 2} table.sort(t) return t", 0),
    ("return {unpack({1, 2, 3})}", 0), ("return unpack({}, 1, 1e8)", 0),
    ("return loadstring('return 7')()", 0),
    ("return {pcall(function() return 1, 2 end)}", 0),
    ("return {xpcall(error, function(e) return e end)}", 0),
    ("return select('#', 1, nil, nil)", 0),
    ("return coroutine.wrap(function() coroutine.yield(5) end)()", 0),
    ("#!lua\nreturn 1", 0), ("#!lua flags=no-writes\nreturn 1", 0),
    ("#!lua flags=nope\nreturn 1", 0), ("#!lua", 0), ("#!py\nreturn 1", 0),
    ("#!\nreturn 1", 0), ("#! lua\nreturn 1", 0), ("#!lua x=y\nreturn 1", 0),
    ("#!lua flags=no-writes\nreturn redis.call('SET', 'a', 1)", 0),
    ("redis.call('SELECT', 1) return redis.call('SET', 'a', 'one')", 0),
    ("return redis.call('GET', 'a')", 0),
    ("return 1", "x"), ("return 1", "1"), ("return 1", "-1"),
]


class LikeRedis(E2eTest):
    """The same scripts, the same bytes."""

    def compare(self, protocol):
        ours = self.started().connect()
        theirs = Connection(self.redis_server())
        self.addCleanup(theirs.close)
        commands = [("HELLO", str(protocol))]
        for script in SAME_AS_REDIS:
            commands.append(("EVAL", *map(str, script)))
            if "SET" not in script[0] or "SETRESP" in script[0].upper():
                commands.append(("EVAL_RO", *map(str, script)))
        commands += [("SCRIPT", "LOAD", "return 1"), ("SCRIPT", "LOAD", "("),
                     ("SCRIPT", "EXISTS", "x"), ("SCRIPT", "KILL"),
                     ("SCRIPT", "FLUSH", "x"), ("SCRIPT", "FLUSH"),
                     ("EVALSHA", "x" * 40, "0"), ("EVALSHA", "x", "0"),
                     ("SCRIPT",), ("SCRIPT", "NOPE"), ("EVAL", "return 1"),
                     ("COMMAND", "GETKEYS", "EVAL", "x", "2", "a", "b", "c")]
        differences = []
        for words in commands:
            replies = []
            for side in (ours, theirs):
                side.send(command(*words))
                replies.append(side.raw_reply())
            if replies[0] != replies[1] and words[0] != "HELLO":
                differences.append(f"{words}:\n    kvd   {replies[0]!r}\n"
                                   f"    redis {replies[1]!r}")
        self.assertEqual(differences, [], "\n" + "\n".join(differences))

    def test_in_resp2(self):
        self.compare(2)

    def test_in_resp3(self):
        self.compare(3)


class WithoutScripts(E2eTest):
    bare_only = True

    def test_their_commands_are_unknown(self):
        client = self.started().connect()
        for words in (("EVAL", "return 1", "0"), ("SCRIPT", "LOAD", "x"),
                      ("EVALSHA", "x", "0")):
            self.assertRegex(str(client.call(*words)), "ERR unknown command")
        self.assertEqual(client.call("SET", "a", "1"), "OK")


if __name__ == "__main__":
    unittest.main()
