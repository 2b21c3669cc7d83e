// SPDX-License-Identifier: MIT
//
// Between Lua's values and both versions of the protocol.
#include "daemon/script/values.h"

#include "tests/daemon/script/script_rig.h"

namespace kvd {
namespace {

class ValuesTest : public ScriptRig {
 protected:
  // What a command's reply becomes, in Lua's words.
  std::string Shown(std::string_view reply, std::string_view expression) {
    host_.replies["X"] = reply;
    return Show("(function() local r = redis.call('X') return " +
                std::string(expression) + " end)()");
  }
};

struct Pair {
  const char* code;
  const char* resp2;
  const char* resp3;
};

constexpr Pair kReturned[] = {
    {"return 1", ":1\r\n", ":1\r\n"},
    {"return 3.99", ":3\r\n", ":3\r\n"},
    {"return -3.99", ":-3\r\n", ":-3\r\n"},
    {"return 1e300", ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"},
    {"return 0/0", ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"},
    {"return 'a\\r\\nb'", "$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n"},
    {"return true", ":1\r\n", ":1\r\n"},
    {"return false", "$-1\r\n", "_\r\n"},
    {"return nil", "$-1\r\n", "_\r\n"},
    {"return", "$-1\r\n", "_\r\n"},
    {"return redis.call", "$-1\r\n", "_\r\n"},
    {"return {}", "*0\r\n", "*0\r\n"},
    {"return {1, 'a', {2}}", "*3\r\n:1\r\n$1\r\na\r\n*1\r\n:2\r\n",
     "*3\r\n:1\r\n$1\r\na\r\n*1\r\n:2\r\n"},
    {"return {1, nil, 3}", "*1\r\n:1\r\n", "*1\r\n:1\r\n"},
    {"return {a = 1}", "*0\r\n", "*0\r\n"},
    {"return {ok = 'fine\\r\\n'}", "+fine  \r\n", "+fine  \r\n"},
    {"return {err = 'MY text'}", "-MY text\r\n", "-MY text\r\n"},
    {"return {err = 1}", "*0\r\n", "*0\r\n"},
    {"return {double = 1.5}", "$3\r\n1.5\r\n", ",1.5\r\n"},
    {"return {double = 'x'}", "*0\r\n", "*0\r\n"},
    {"return {big_number = '12\\r3'}", "$4\r\n12\r3\r\n", "(12 3\r\n"},
    {"return {verbatim_string = {format = 'txt', string = 'a\\nb'}}",
     "$3\r\na\nb\r\n", "=7\r\ntxt:a\nb\r\n"},
    {"return {verbatim_string = {format = 'markdown', string = 'a'}}",
     "$1\r\na\r\n", "=5\r\nmar:a\r\n"},
    {"return {verbatim_string = {string = 'a'}}", "*0\r\n", "*0\r\n"},
    {"return {map = {a = 1}}", "*2\r\n$1\r\na\r\n:1\r\n",
     "%1\r\n$1\r\na\r\n:1\r\n"},
    {"return {set = {a = true}}", "*1\r\n$1\r\na\r\n", "~1\r\n$1\r\na\r\n"},
    {"return {map = {}}", "*0\r\n", "%0\r\n"},
    {"redis.setresp(3) return true", ":1\r\n", "#t\r\n"},
    {"redis.setresp(3) return false", ":0\r\n", "#f\r\n"},
    {"redis.setresp(3) return nil", "$-1\r\n", "_\r\n"},
    {"return setmetatable({}, {__index = {1, 2}})", "*0\r\n", "*0\r\n"},
    {"return redis", "*0\r\n", "*0\r\n"},
};

TEST_F(ValuesTest, WhatAScriptReturns) {
  for (const Pair& pair : kReturned) {
    protocol_ = 2;
    EXPECT_EQ(Eval(pair.code), pair.resp2) << pair.code;
    protocol_ = 3;
    EXPECT_EQ(Eval(pair.code), pair.resp3) << pair.code;
  }
}

TEST_F(ValuesTest, WhatACommandReplies) {
  EXPECT_EQ(Shown("+OK\r\n", "r.ok"), "OK");
  EXPECT_EQ(Shown(":-12\r\n", "type(r) .. r"), "number-12");
  EXPECT_EQ(Shown("$4\r\na\r\nb\r\n", "r"), "a\r\nb");
  EXPECT_EQ(Shown("$0\r\n\r\n", "#r"), "0");
  EXPECT_EQ(Shown("$-1\r\n", "r"), "false");
  EXPECT_EQ(Shown("*-1\r\n", "r"), "false");
  EXPECT_EQ(Shown("_\r\n", "r"), "nil");
  EXPECT_EQ(Shown("*3\r\n:1\r\n$-1\r\n*1\r\n:2\r\n",
                  "#r .. tostring(r[2]) .. r[3][1]"),
            "3false2");
  EXPECT_EQ(Shown("%1\r\n$1\r\na\r\n:1\r\n", "r.map.a"), "1");
  EXPECT_EQ(Shown("~2\r\n$1\r\na\r\n:7\r\n",
                  "tostring(r.set.a) .. tostring(r.set[7])"),
            "truetrue");
  EXPECT_EQ(Shown("#t\r\n", "r"), "true");
  EXPECT_EQ(Shown("#f\r\n", "r"), "false");
  EXPECT_EQ(Shown(",1.5\r\n", "r.double"), "1.5");
  EXPECT_EQ(Shown(",inf\r\n", "r.double"), "inf");
  EXPECT_EQ(Shown("(123456789012345678901\r\n", "r.big_number"),
            "123456789012345678901");
  EXPECT_EQ(Shown("=7\r\ntxt:a\nb\r\n",
                  "r.verbatim_string.format .. r.verbatim_string.string"),
            "txta\nb");
  EXPECT_EQ(Shown("|1\r\n+a\r\n+b\r\n:5\r\n", "r"), "5");
}

TEST_F(ValuesTest, TablesThatContainThemselvesEnd) {
  const std::string reply = Eval("local t = {} t[1] = t return t");
  EXPECT_TRUE(reply.starts_with("*1\r\n*1\r\n"));
  EXPECT_TRUE(reply.ends_with("-ERR reached lua stack limit\r\n"));
  EXPECT_EQ(Eval("local t = {} for i = 1, 60 do t = {t, t} end return t"),
            "too large");
  output_bytes_ = SIZE_MAX;
  EXPECT_EQ(Eval("local t = {} for i = 1, 60 do t = {t, t} end return t"),
            "stopped: time");
}

}  // namespace
}  // namespace kvd
