// SPDX-License-Identifier: MIT
//
// No script takes more time or memory than it may, whichever function it gives
// the work to. The clock moves when it is looked at: a script that is stopped
// has been looked at often enough.
#include "tests/daemon/script/script_rig.h"

namespace kvd {
namespace {

class LimitsTest : public ScriptRig {};

TEST_F(LimitsTest, LoopsEnd) {
  for (const char* script : {
           "while true do end",
           "repeat until false",
           "for i = 1, 1e300 do end",
           "local function f() return f() end return f()",
           "while true do pcall(error) end",
           "while true do pcall(string.rep) end",
           "while true do coroutine.wrap(function() end)() end",
           "coroutine.wrap(function() while true do end end)()",
           "xpcall(function() while true do end end, "
           "function() while true do end end)",
           "xpcall(error, function() while true do end end)",
           "setmetatable({}, {__index = function() while true do end end}).x "
           "= nil local t = setmetatable({}, {__index = function() while true "
           "do end end}) return t.x",
           "local t = {} for i = 1, 100 do t[i] = i end table.sort(t, "
           "function() while true do end end)",
           "string.gsub('x', 'x', function() while true do end end)",
           "for _ in function() return 1 end do end",
           "load(function() while true do end end)",
           "load(function() return ' ' end)",
           "local function level(n) local child = n > 0 and level(n - 1) "
           "return coroutine.wrap(function() while true do "
           "if child then for i = 1, 60 do child() end "
           "else for i = 1, 250 do end end coroutine.yield() end end) end "
           "level(3)()",
           "while true do redis.call('PING') end",
           "while true do tostring(1) end",
       }) {
    EXPECT_EQ(Eval(script), "stopped: time") << script;
    host_.calls.clear();
  }
}

// Each is one call.
TEST_F(LimitsTest, FunctionsOfMuchWorkEnd) {
  host_.ns_per_look = 2'000'000;
  for (const char* script : {
           "return string.find(string.rep('a', 2000), "
           "string.rep('a-', 20) .. 'b')",
           "return string.match(string.rep('a', 2000), "
           "'.-.-.-.-.-.-.-b')",
           "return string.gsub(string.rep('a', 5000), 'a*a*a*b', '')",
           "for x in string.gmatch(string.rep('a', 5000), 'a*a*a*b') do end",
           "return string.find(string.rep('(', 200000), '%b()')",
           "return string.find(string.rep('a', 100000), '(a*)%1b')",
           "local t = {} for i = 1, 200 do t[i] = i end "
           "while true do table.concat(t) end",
           "while true do ('x'):rep(1000000) end",
           "table.insert({}, -2147483648, 1)",
           "local t = {} for i = 1, 50000 do t[i] = i end "
           "while true do table.insert(t, 1, 1) table.remove(t, 1) end",
           "local s = ('x'):rep(1000000) while true do s:upper() end",
           "local s = ('x'):rep(1000000) while true do s:reverse() end",
           "local s = ('x'):rep(1000000) while true do ('%q'):format(s) end",
           "local s = ('x'):rep(1000000) while true do redis.sha1hex(s) end",
           "local s = ('['):rep(900) .. (']'):rep(900) "
           "while true do cjson.decode(s) end",
           "local s = '\"' .. ('x'):rep(1000000) .. '\"' "
           "while true do cjson.decode(s) end",
           "local t = {} for i = 1, 900 do t = {t} end "
           "while true do cjson.encode(t) end",
           "local s = ('x'):rep(1000000) while true do cjson.encode(s) end",
           "local s = ('1'):rep(1000000) while true do tonumber(s) end",
           "return ('a'):rep(100000):find('[' .. ('b'):rep(100000) .. ']')",
           "return ('a'):find('[' .. ('b'):rep(2000000) .. ']')",
           "return ('a'):rep(100000):find('%f[' .. ('b'):rep(9999) .. ']')",
           "return cjson.encode(('x'):rep(1000000))",
           "return cjson.decode((' '):rep(1000000) .. '1')",
           "return cjson.decode('\"' .. ('x'):rep(1000000) .. '\"')",
           "return cjson.decode('\"' .. ('\\\\n'):rep(500000) .. '\"')",
           "local s = 'return ' .. ('{'):rep(100) .. ('}'):rep(100) "
           "while true do loadstring(s) end",
           "while true do loadstring('--' .. ('x'):rep(1000000)) end",
           "local t = {} for i = 1, 5000 do t[i] = 5000 - i end "
           "while true do table.sort(t) end",
           "local t = {} for i = 1, 5000 do t[i] = 5000 - i end "
           "while true do table.sort(t, rawequal) end",
       }) {
    EXPECT_EQ(Eval(script), "stopped: time") << script;
  }
}

// A table of many places may hold nothing, and be looked through often.
TEST_F(LimitsTest, EmptyPlacesOfTablesCount) {
  constexpr int kTables = 2000;
  memory_bytes_ = 64 << 20;
  time_ns_ = INT64_MAX;
  host_.ns_per_look = 1;
  const auto looks = [&](const std::string& end) {
    Eval(
        "local t = {} for i = 1, 70000 do t[i + 0.5] = i end "
        "for i = 1, 70000 do t[i + 0.5] = nil end local many = {} "
        "for i = 1, " +
        std::to_string(kTables) + " do many[i] = {map = t} end " + end);
    return end_.spent_ns;
  };
  const int64_t before = looks("return 1");
  EXPECT_GE(looks("return many"), before + kTables);
  EXPECT_GE(looks("return cjson.encode(many)"), before + kTables);
}

// There may be a million of them.
TEST_F(LimitsTest, WordsCount) {
  host_.ns_per_look = 1'000'000;
  const std::vector<std::string_view> words(30'000, "x");
  EXPECT_EQ(Eval("return 1", {}, words), "stopped: time");
}

// One instruction compares them.
TEST_F(LimitsTest, LargeTextsAreLookedAtMoreOften) {
  memory_bytes_ = 64 << 20;
  host_.ns_per_look = 1'000'000;
  EXPECT_EQ(Eval("local a = ('x'):rep(8000000) .. 'a' "
                 "local b = ('x'):rep(8000000) .. 'b' "
                 "local n = 0 while true do if a < b then n = n + 1 end end"),
            "stopped: time");
}

TEST_F(LimitsTest, MemoryIsBounded) {
  for (const char* script : {
           "local t = {} while true do t[#t + 1] = {} end",
           "local s = 'x' while true do s = s .. s end",
           "return string.rep('x', 1e9)",
           "return string.rep('x', 1e300)",
           "return string.rep('xx', 2^62)",
           "local t = {} for i = 1, 1e9 do t[i] = i end",
           "local t = {} while true do t[#t + 1] = string.rep('x', 65536) "
           "pcall(string.rep, 'x', 1e9) end",
           "local t = {} while true do pcall(function() t[#t + 1] = "
           "('x'):rep(100000) .. #t end) end",
           "local s = ('x'):rep(1000000) return ('%s'):rep(100):format(s, s, "
           "s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s)",
           "local s = ('\\1'):rep(2000000) return cjson.encode({s, s, s})",
           "return ('x'):rep(1000):gsub('x', ('y'):rep(100000))",
           "local t = {} for i = 1, 100 do t[i] = ('x'):rep(100000) end "
           "return table.concat(t)",
           "local t = {} while true do "
           "t[#t + 1] = coroutine.create(function() end) end",
       }) {
    time_ns_ = 5'000'000'000;
    EXPECT_EQ(Eval(script), "stopped: memory") << script;
  }
  EXPECT_EQ(Eval("return 1"), ":1\r\n");
}

// Its stack grows while it does not run. Limits of many sizes, so that each
// allocation is the one that is too much in some.
TEST_F(LimitsTest, NoMemoryForACoroutineEndsTheScriptAlone) {
  constexpr char kScript[] =
      "local all = {} while true do "
      "local co = coroutine.create(function(...) coroutine.yield() end) "
      "all[#all + 1] = co coroutine.resume(co, unpack({}, 1, 6000)) end";
  constexpr size_t kStep = 16 << 10;
  time_ns_ = 5'000'000'000;
  for (size_t i = 0; i < 32; ++i) {
    memory_bytes_ = (size_t{1} << 20) + i * kStep;
    EXPECT_EQ(Eval(kScript), "stopped: memory") << memory_bytes_;
  }
  memory_bytes_ = 64 << 20;
  for (int64_t i = 1; i < 32; ++i) {
    time_ns_ = i * host_.ns_per_look;
    EXPECT_EQ(Eval(kScript), "stopped: time") << time_ns_;
  }
}

// As long as it needs them one after another.
TEST_F(LimitsTest, GarbageIsCollectedBeforeItIsTooMuch) {
  host_.ns_per_look = 1000;
  EXPECT_EQ(Eval("local s for i = 1, 100 do s = ('x'):rep(1000000) .. i end "
                 "return #s"),
            ":1000003\r\n");
  EXPECT_EQ(Eval("local t for i = 1, 100 do t = {} for k = 1, 1000 do t[k] = "
                 "{k} end end return #t"),
            ":1000\r\n");
}

// The memory that a script leaves is not the next one's.
TEST_F(LimitsTest, EveryScriptHasAllOfItsMemory) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Eval("return #string.rep('x', 3000000)"), ":3000000\r\n");
  }
  EXPECT_LT(interpreter_.memory_bytes(), size_t{2} << 20);
}

TEST_F(LimitsTest, BuffersAreGivenBackAfterAnyEnd) {
  host_.replies["LARGE"] =
      "$3000000\r\n" + std::string(3'000'000, 'x') + "\r\n";
  memory_bytes_ = 64 << 20;
  time_ns_ = 5'000'000'000;
  for (const char* script : {
           "return #redis.call('LARGE')",
           "return cjson.encode({('x'):rep(3000000), error})",
           "return #cjson.decode('\"' .. ('\\\\n'):rep(2000000) .. '\"')",
       }) {
    const std::string end = Eval(script);
    EXPECT_FALSE(end.starts_with("stopped")) << script << end;
    EXPECT_LT(interpreter_.memory_bytes(), size_t{2} << 20) << script;
  }
}

TEST_F(LimitsTest, CompiledScriptsAreBounded) {
  const std::string filling(20'000, ' ');
  for (int i = 0; i < 500; ++i) {
    std::string code = "local t = {";
    for (int k = 0; k < 500; ++k) code += "'" + std::to_string(i + k) + "',";
    EXPECT_EQ(Eval(code + "} return #t" + filling), ":500\r\n");
    ASSERT_LT(interpreter_.memory_bytes(), size_t{16} << 20);
  }
}

TEST_F(LimitsTest, NestingIsBounded) {
  for (const char* script : {
           "local function f() return coroutine.wrap(f)() end return f()",
           "local function f() return pcall(f) end return f()",
           "local function f() return ('x'):gsub('x', f) end return f()",
           "local function f() coroutine.wrap(function() return "
           "('x'):gsub('x', f) end)() end f()",
           "local s = ('('):rep(100000) return loadstring(s)",
           "local s = ('['):rep(100000) return cjson.decode(s)",
           "local s = ('a?'):rep(100000) return ('a'):find(s)",
           "local s = ('(a'):rep(100000) return ('a'):find(s)",
           "local t = {} for i = 1, 100000 do t = {t} end "
           "return cjson.encode(t)",
           "local t = setmetatable({}, {}) for i = 1, 100000 do "
           "t = setmetatable({}, {__index = t}) end return t.x",
           "local function f() return f() + 1 end return f()",
       }) {
    const std::string end = Eval(script);
    EXPECT_TRUE(end.starts_with('-') || end.starts_with('$') ||
                end.starts_with(':') || end.starts_with("stopped"))
        << script << end;
    EXPECT_EQ(Eval("return 1"), ":1\r\n");
  }
}

TEST_F(LimitsTest, TimeIsWhatTheThreadUses) {
  host_.ns_per_look = 1000;
  Eval("return 1");
  EXPECT_GT(end_.spent_ns, 0);
  EXPECT_LT(end_.spent_ns, 100'000);
}

}  // namespace
}  // namespace kvd
