// SPDX-License-Identifier: MIT
//
// The ways out of the sandbox that Redis's and Lua's advisories tell of, one by
// one. None may crash (the sanitizers look on), change what others see, or run
// for ever.
#include <algorithm>

#include "tests/daemon/script/script_rig.h"

namespace kvd {
namespace {

class AdvisoriesTest : public ScriptRig {
 protected:
  // The script ends, in whatever way, and the next one finds all as it was.
  std::string Survive(std::string_view code) {
    const std::string end = Eval(code);
    host_.stop_at = 0;
    EXPECT_EQ(Eval("return {string.rep('a', 2), redis.call('PING').ok, "
                   "cjson.encode({1}), bit.band(7, 3)}"),
              "*4\r\n$2\r\naa\r\n$2\r\nOK\r\n$3\r\n[1]\r\n:3\r\n")
        << code;
    return end;
  }
};

// Bytecode that the interpreter believes.
TEST_F(AdvisoriesTest, Cve2015_4335Bytecode) {
  Survive("return loadstring(string.dump(function() end))");
  Survive(
      "local f = loadstring('\\27Lua\\81\\0\\1\\4\\8\\4\\8\\0' .. "
      "('\\0'):rep(100)) return f and f()");
  Survive("return load(function() return '\\27Lua' .. ('\\255'):rep(50) end)");
  Survive(
      "local n = 0 return load(function() n = n + 1 "
      "return ({'', '\\27Lua', ('\\0'):rep(50)})[n] end)");
  EXPECT_EQ(Show("string.dump"), "nil");
  EXPECT_EQ(Show("loadstring('\\27')"), "nil");
}

// Overflows in cjson and the like when values nest deep.
TEST_F(AdvisoriesTest, Cve2018_11218And11219) {
  Survive("return cjson.decode(('['):rep(200000))");
  Survive(
      "local t = {} for i = 1, 200000 do t = {t} end "
      "return cjson.encode(t)");
  Survive("local t = {} t[1] = t return cjson.encode(t)");
  Survive("cjson.encode_max_depth(2147483647)");
  Survive("cjson.decode_max_depth(-1)");
  Survive(
      "cjson.encode_sparse_array(true, 2147483647, 2147483647) "
      "return cjson.encode({[2147483647] = 1, [2147483646] = 2})");
  Survive("return cjson.encode({[2^53] = 1})");
  // What the advisory's library is, kvd does not have.
  EXPECT_TRUE(Eval("return struct").starts_with("-ERR user_script:1: Script"));
  EXPECT_TRUE(
      Eval("return cmsgpack").starts_with("-ERR user_script:1: Script"));
}

// Values for a stack that has no room.
TEST_F(AdvisoriesTest, Cve2021_32626StackOverflow) {
  Survive("local t = {} for i = 1, 100000 do t = {t} end return t");
  Survive(
      "return {map = (function() local t = {} for i = 1, 10000 do "
      "t = {map = {a = t}} end return t end)()}");
  Survive("return select('#', unpack({}, 1, 7900), unpack({}, 1, 7900))");
  Survive("return redis.call('X', unpack({}, 1, 7000))");
  std::string nested;
  for (int i = 0; i < 10'000; ++i) nested += "*1\r\n";
  host_.replies["NESTED"] = nested + ":1\r\n";
  Survive("return redis.call('NESTED')");
}

// Code for the next script of another user.
TEST_F(AdvisoriesTest, Cve2022_24735LibraryPoisoning) {
  for (const char* script : {
           "string.rep = function() return 'poison' end",
           "rawset(string, 'rep', function() return 'poison' end)",
           "getmetatable('').__index = function() return 'poison' end",
           "getmetatable('').__index.rep = function() return 'poison' end",
           "redis.call = function() return {ok = 'poison'} end",
           "_G.redis = nil",
           "for k, v in pairs(_G) do rawset(_G, k, nil) end",
           "for k in pairs(string) do rawset(string, k, nil) end",
           "table.foreach(string, function(k) string[k] = nil end)",
           "table.insert(string, 1) table.setn(string, 5)",
           "table.sort(getmetatable(string) or {})",
           "setmetatable(string, {__index = {}})",
           "setmetatable(redis, nil)",
           "KEYS.x = 1 ARGV.x = 1",
           "coroutine.wrap(function() string.rep = 1 end)()",
           "loadstring('string.rep = 1')()",
           "pcall(rawset, getmetatable(redis), '__index', {})",
           "next, pairs = nil, nil",
       }) {
    Survive(script);
  }
}

// A crash by a script that is malformed, or text for a command that is none.
TEST_F(AdvisoriesTest, Cve2022_24736NullDereference) {
  Survive("redis.pcall()");
  Survive("redis.pcall({})");
  Survive("redis.pcall(nil)");
  Survive("return redis.error_reply()");
  Survive("return redis.error_reply('')");
  Survive("return redis.error_reply('-')");
  Survive("return redis.error_reply(' ')");
  Survive("return redis.status_reply(nil)");
  Survive("error()");
  Survive("error(nil)");
  Survive("error(setmetatable({}, {__index = error, __tostring = error}))");
  Survive("error({err = {}})");
  Survive("error({err = setmetatable({}, {__tostring = error})})");
  Survive("return setmetatable({}, {__index = function() error('x') end})");
  Survive("return {err = ''}");
  Survive("redis.log()");
  Survive("redis.sha1hex()");
  Survive("redis.sha1hex({})");
}

// Overflows of numbers: of bit.tohex(), of unpack(), of string functions.
TEST_F(AdvisoriesTest, Cve2024_31449Cve2025_46817Numbers) {
  for (const char* number :
       {"-2147483648", "2147483647", "-2147483649", "4294967295", "2^53",
        "-2^53", "1e300", "-1e300", "0/0", "1/0", "-1/0"}) {
    const std::string n(number);
    for (const std::string& call :
         {"bit.tohex(1, " + n + ")",
          "bit.tohex(" + n + ", " + n + ")",
          "bit.lshift(1, " + n + ")",
          "bit.rol(1, " + n + ")",
          "bit.arshift(" + n + ", " + n + ")",
          "unpack({}, " + n + ")",
          "unpack({}, 1, " + n + ")",
          "unpack({}, " + n + ", 1)",
          "unpack({1, 2}, " + n + ", " + n + ")",
          "unpack({}, -2147483648, " + n + ")",
          "unpack({}, 0, " + n + ")",
          "('x'):rep(" + n + ")",
          "('x'):sub(" + n + ", " + n + ")",
          "('x'):byte(" + n + ", " + n + ")",
          "('x'):byte(1, " + n + ")",
          "('x'):find('x', " + n + ")",
          "('x'):gsub('x', 'y', " + n + ")",
          "string.char(" + n + ")",
          "('%d'):format(" + n + ")",
          "('%c'):format(" + n + ")",
          "('%x'):format(" + n + ")",
          "('%99.99f'):format(" + n + ")",
          "math.random(" + n + ")",
          "math.random(" + n + ", " + n + ")",
          "math.random(-2147483648, " + n + ")",
          "math.randomseed(" + n + ")",
          "table.concat({}, '', " + n + ", " + n + ")",
          "table.insert({}, " + n + ", 1)",
          "table.remove({}, " + n + ")",
          "select(" + n + ", 1)",
          "tonumber('z', " + n + ")",
          "redis.setresp(" + n + ")",
          "redis.log(" + n + ", 'x')",
          "redis.set_repl(" + n + ")",
          "cjson.encode(" + n + ")",
          "cjson.encode_number_precision(" + n + ")",
          "cjson.encode_sparse_array(true, " + n + ", " + n + ")",
          "redis.call('X', " + n + ")",
          "rawget({}, " + n + ")",
          "coroutine.yield(" + n + ")",
          "string.rep('', " + n + ")",
          "error('x', " + n + ")",
          "collectgarbage('step', " + n + ")"}) {
      Survive("return " + call);
    }
  }
}

// Memory that is freed while it is used: the garbage collector's turn comes in
// the middle of everything.
TEST_F(AdvisoriesTest, Cve2024_46981Cve2025_49844UseAfterFree) {
  Survive(
      "local t = setmetatable({}, {__mode = 'kv'}) for i = 1, 10000 do "
      "t[i] = {} t[{}] = i end collectgarbage() return #t");
  Survive("for i = 1, 2000 do loadstring('return ' .. i, ('n'):rep(i)) end");
  Survive(
      "local names = {} for i = 1, 200 do "
      "names[i] = loadstring(('x'):rep(i) .. ' = ', ('c'):rep(1000)) "
      "collectgarbage('step') end");
  Survive(
      "for i = 1, 500 do coroutine.wrap(function(...) "
      "coroutine.yield(...) end)(unpack({}, 1, i)) end");
  // The name of a chunk that is read after its end.
  Survive(
      "local n = 0 local f = load(function() n = n + 1 "
      "if n == 1 then return nil end "
      "for i = 1, 3000 do local garbage = ('x'):rep(1000) .. i end "
      "return n == 2 and 'error(1)' or nil end) return {pcall(f or error)}");
  EXPECT_EQ(Show("(function() local n = 0 "
                 "load(function() n = n + 1 end) return n end)()"),
            "1");
  Survive("newproxy(true)");
  Survive(
      "setmetatable({}, {__gc = function() redis.call('X') end}) "
      "collectgarbage()");
  Survive("local f = ('x'):gmatch('x') f() collectgarbage() f() f()");
  Survive(
      "return ('x'):rep(100):gsub('x', function() "
      "collectgarbage() return ('y'):rep(1000) end)");
}

// Another user's rights by a changed metatable of basic values.
TEST_F(AdvisoriesTest, Cve2025_46818MetatablesOfBasicValues) {
  for (const char* value : {"''", "1", "true", "nil", "redis.call",
                            "coroutine.create(function() end)", "cjson.null"}) {
    const std::string v(value);
    Survive("getmetatable(" + v + ").__index = function() return 'poison' end");
    Survive("setmetatable(" + v + ", {__index = {}})");
    Survive("rawset(getmetatable(" + v + ") or {}, '__index', {})");
  }
  EXPECT_EQ(Show("type(getmetatable(1))"), "nil");
  EXPECT_EQ(Show("type(getmetatable(cjson.null))"), "nil");
}

// Reads beyond a text: names of chunks and long brackets that have no end.
TEST_F(AdvisoriesTest, Cve2025_46819OutOfBounds) {
  Survive("return loadstring('[' .. ('='):rep(100000))");
  Survive("return loadstring('[' .. ('='):rep(100000) .. '[')");
  Survive("return loadstring('--[' .. ('='):rep(100000) .. '[')");
  Survive("return loadstring('[==[' .. ('x'):rep(5000))");
  Survive("return loadstring('x', '[' .. ('='):rep(10000))");
  Survive("return loadstring('x', '')");
  Survive("return loadstring('x', '=' .. ('y'):rep(10000))");
  Survive("return loadstring('x', '@' .. ('y'):rep(10000))");
  Survive("return loadstring('x\\n', 'a\\nb')");
  Survive("return loadstring('return \"\\\\999\"')");
  Survive("return loadstring('return \"' .. ('\\\\'):rep(999))");
  Survive("return loadstring('goto = 1e' .. ('9'):rep(5000))");
  Survive("return ('x'):find(('['):rep(1000))");
  Survive("return ('x'):find(('%'):rep(1001))");
  Survive("return ('x'):find('[%')");
  Survive("return ('x'):find('[^')");
  Survive("return ('x'):find('[a-')");
  Survive("return ('x'):find('%b')");
  Survive("return ('x'):find('%bx')");
  Survive("return ('x'):find('%f')");
  Survive("return ('x'):find('(()')");
  Survive("return ('x'):find(('()'):rep(100))");
  Survive("return ('x'):gsub('x', '%9')");
  Survive("return ('x'):gsub('x', '%')");
  Survive("return ('%'):format()");
  Survive("return ('%0100000d'):format(1)");
  Survive("return ('%#####################s'):format('x')");
  Survive("return ('%s'):format()");
  Survive("return cjson.decode('\"\\\\u')");
  Survive("return cjson.decode('\"\\\\ud800\\\\u')");
  Survive("return cjson.decode('\"\\\\')");
  Survive("return cjson.decode('{\"')");
  Survive("return cjson.decode('[tru')");
  Survive("return cjson.decode('\\0\\0')");
}

// A recursion of commands by what runs in between.
TEST_F(AdvisoriesTest, HooksAndHandlersDoNotRunCommandsTwice) {
  host_.stop_at = 1;
  Survive("xpcall(function() redis.call('A') end, redis.call)");
  EXPECT_EQ(std::count(host_.calls.begin(), host_.calls.end(), "A"), 1);
}

}  // namespace
}  // namespace kvd
