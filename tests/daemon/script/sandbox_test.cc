// SPDX-License-Identifier: MIT
//
// Nothing of a script reaches the next one, or anything outside.
#include "daemon/script/sandbox.h"

#include "tests/daemon/script/script_rig.h"

namespace kvd {
namespace {

class SandboxTest : public ScriptRig {
 protected:
  static bool SaysReadOnly(const std::string& reply) {
    return reply.find("Attempt to modify a readonly table") != reply.npos;
  }
};

TEST_F(SandboxTest, GlobalsAreFixed) {
  for (const char* script : {
           "x = 1",
           "KEYS = {}",
           "redis = nil",
           "redis.call = function() return 1 end",
           "string.rep = nil",
           "math.random = nil",
           "table.insert(redis, 1)",
           "table.sort(redis)",
           "table.remove(cjson)",
           "rawset(_G, 'x', 1)",
           "rawset(redis, 'call', 1)",
           "rawset(string, 'rep', 1)",
           "setmetatable(_G, {})",
           "setmetatable(redis, {})",
           "getmetatable(_G).__index = {}",
           "getmetatable(redis).__index = {}",
           "getmetatable('').__index = {}",
           "getmetatable('').__index.rep = 1",
           "rawset(getmetatable(''), '__index', {})",
           "rawset(getmetatable(_G), '__index', {})",
           "_G = {}",
           "_G.x = 1",
           "function f() end",
           "coroutine.create = nil",
           "cjson.encode = function() return 1 end",
           "bit.tobit = nil",
           "os.clock = nil",
       }) {
    EXPECT_TRUE(SaysReadOnly(Eval(script))) << script << ": " << Eval(script);
  }
}

TEST_F(SandboxTest, WhatIsNotThereIsAnError) {
  for (const char* name :
       {"x", "io", "debug", "require", "module", "package", "dofile",
        "loadfile", "print", "getfenv", "setfenv", "newproxy", "loadlib"}) {
    const std::string script = "return " + std::string(name);
    EXPECT_EQ(Eval(script),
              "-ERR user_script:1: Script attempted to access nonexistent "
              "global variable '" +
                  std::string(name) + "' script: " +
                  std::string(View(Sha1(script))) + ", on @user_script:1.\r\n");
  }
  EXPECT_EQ(Show("string.dump"), "nil");
  EXPECT_EQ(Show("os.getenv"), "nil");
  EXPECT_EQ(Show("os.execute"), "nil");
}

TEST_F(SandboxTest, LibrariesCanBeListed) {
  EXPECT_EQ(Eval("local n = 0 for k, v in pairs(redis) do "
                 "if k == 'call' then n = n + 1 end end return n"),
            ":1\r\n");
  EXPECT_EQ(Show("type(rawget(string, 'rep'))"), "function");
  EXPECT_EQ(Show("next({})"), "nil");
  EXPECT_EQ(Show("('x'):rep(3)"), "xxx");
  EXPECT_EQ(Show("_G._G == _G"), "true");
  EXPECT_EQ(Show("_G.redis == server"), "true");
}

TEST_F(SandboxTest, AScriptsTablesAreItsOwn) {
  EXPECT_EQ(Eval("KEYS[1] = 'x' KEYS.y = 2 return #KEYS"), ":1\r\n");
  EXPECT_EQ(Eval("return {#KEYS, tostring(KEYS.y)}"),
            "*2\r\n:0\r\n$3\r\nnil\r\n");
  EXPECT_EQ(Eval("local t = setmetatable({}, {__metatable = 'mine'}) "
                 "return {getmetatable(t), select(2, pcall(setmetatable, t, "
                 "{}))}"),
            "*2\r\n$4\r\nmine\r\n$35\r\ncannot change a protected "
            "metatable\r\n");
  // The same script again begins anew.
  const char* counts =
      "local n = 0 local function f() n = n + 1 return n end "
      "f() return f()";
  EXPECT_EQ(Eval(counts), ":2\r\n");
  EXPECT_EQ(Eval(counts), ":2\r\n");
}

TEST_F(SandboxTest, SettingsLastForOneScript) {
  Eval("cjson.encode_max_depth(1) redis.setresp(3) math.randomseed(7)");
  EXPECT_EQ(Show("cjson.encode({{{}}})"), "[[{}]]");
  EXPECT_EQ(Show("math.random()"), "0.17082803611217");
}

TEST_F(SandboxTest, TextCanBeLoadedAndBytecodeNot) {
  EXPECT_EQ(Show("loadstring('return 1 + 1')()"), "2");
  EXPECT_EQ(Show("load((function() local n = 0 return function() n = n + 1 "
                 "if n == 1 then return 'return ' end "
                 "if n == 2 then return '7' end end end)())()"),
            "7");
  EXPECT_EQ(Show("select(2, loadstring('\\27Lua'))"),
            "bytecode is not accepted");
  EXPECT_EQ(Show("loadstring('\\27Lua')"), "nil");
  EXPECT_EQ(Show("select(2, load(function() return '\\27Lua' end))"),
            "bytecode is not accepted");
  EXPECT_TRUE(Eval("\033Lua").find("bytecode is not accepted") !=
              std::string::npos);
  EXPECT_TRUE(SaysReadOnly(Eval("loadstring('x = 1')()")));
}

// What ran before, and how it ended, makes no difference.
TEST_F(SandboxTest, SurroundingsAreTheSameAfterAnyEnd) {
  const char* look =
      "local names = {} for k in pairs(string) do names[#names + 1] = k end "
      "table.sort(names) return table.concat(names, ' ')";
  const std::string before = Eval(look);
  memory_bytes_ = 1 << 20;
  Eval("local t = {} while true do t[#t + 1] = {} end");
  Eval("while true do end");
  Eval("error('x')");
  host_.stop_at = host_.calls.size() + 1;
  Eval("redis.call('PING')");
  EXPECT_EQ(Eval(look), before);
}

}  // namespace
}  // namespace kvd
