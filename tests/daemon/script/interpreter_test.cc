// SPDX-License-Identifier: MIT
#include "daemon/script/interpreter.h"

#include "tests/daemon/script/script_rig.h"

namespace kvd {
namespace {

class InterpreterTest : public ScriptRig {};

TEST_F(InterpreterTest, AScriptSeesItsWordsAndItsReplyIsAnswered) {
  EXPECT_EQ(Eval("return {KEYS[1], ARGV[2], #KEYS, #ARGV}", {"k"}, {"a", "b"}),
            "*4\r\n$1\r\nk\r\n$1\r\nb\r\n:1\r\n:2\r\n");
  EXPECT_EQ(Eval("return #KEYS + #ARGV"), ":0\r\n");
}

TEST_F(InterpreterTest, CommandsRunAndTheirErrorsAreRaised) {
  host_.replies["GET k"] = "$1\r\nv\r\n";
  host_.replies["INCR k"] = "-ERR value is not an integer or out of range\r\n";
  EXPECT_EQ(Eval("return redis.call('GET', KEYS[1])", {"k"}), "$1\r\nv\r\n");
  EXPECT_EQ(Eval("return server.call('GET', KEYS[1])", {"k"}), "$1\r\nv\r\n");
  const std::string failing = "return redis.call('INCR', 'k')";
  EXPECT_EQ(Eval(failing),
            "-ERR value is not an integer or out of range script: " +
                std::string(View(Sha1(failing))) + ", on @user_script:1.\r\n");
  EXPECT_EQ(Eval("return redis.pcall('INCR', 'k')"),
            "-ERR value is not an integer or out of range\r\n");
  EXPECT_EQ(Eval("local ok, e = pcall(redis.call, 'INCR', 'k') return e"),
            "$43\r\nERR value is not an integer or out of range\r\n");
}

TEST_F(InterpreterTest, NumbersBecomeWords) {
  Eval("redis.call('SET', 'k', 10, 3.25, -0, 1e15, 1e300)");
  EXPECT_EQ(host_.calls.back(), "SET k 10 3.25 0 1000000000000000 1e+300");
  EXPECT_TRUE(Eval("return redis.call('SET', {})")
                  .starts_with("-ERR Lua redis lib command arguments must be "
                               "strings or integers script: "));
  EXPECT_TRUE(Eval("return redis.call()")
                  .starts_with("-ERR Please specify at least one argument for "
                               "this redis lib call script: "));
}

TEST_F(InterpreterTest, ErrorsSayWhere) {
  const std::string script = "local a = 1\nerror('boom')";
  EXPECT_EQ(Eval(script), "-ERR user_script:2: boom script: " +
                              std::string(View(Sha1(script))) +
                              ", on @user_script:2.\r\n");
  EXPECT_TRUE(Eval("error({err='My message'})").starts_with("-My message "));
  EXPECT_TRUE(Eval("error({})").starts_with("-ERR unknown error script: "));
  EXPECT_TRUE(Eval("error(redis)").starts_with("-ERR table script: "));
  EXPECT_TRUE(
      Eval("return nil + 1").starts_with("-ERR user_script:1: attempt"));
  EXPECT_TRUE(
      Eval("return (")
          .starts_with(
              "-ERR Error compiling script (new function): user_script:1: "));
  EXPECT_EQ(Eval("return redis.error_reply('MY error')"), "-MY error\r\n");
  EXPECT_EQ(Eval("return redis.error_reply('-MY error')"), "-MY error\r\n");
  EXPECT_EQ(Eval("return redis.error_reply('error')"), "-ERR error\r\n");
  EXPECT_EQ(Eval("return redis.status_reply('FINE')"), "+FINE\r\n");
  EXPECT_EQ(Eval("return redis.status_reply()"),
            "-ERR wrong number or type of arguments\r\n");
}

TEST_F(InterpreterTest, ProtectedCallsCatchErrors) {
  EXPECT_EQ(Show("select(2, pcall(error, 'x'))"), "x");
  EXPECT_EQ(Show("select(2, pcall(function() return 1, 2 end))"), "1");
  EXPECT_EQ(Show("select(2, xpcall(function() error('x', 0) end, "
                 "function(e) return e .. 'y' end))"),
            "xy");
  EXPECT_EQ(Show("select('#', xpcall(function() return 1, 2 end, error))"),
            "3");
}

TEST_F(InterpreterTest, CoroutinesWork) {
  EXPECT_EQ(Eval("local c = coroutine.create(function(a) "
                 "  local b = coroutine.yield(a + 1) return b * 2 end) "
                 "local _, x = coroutine.resume(c, 1) "
                 "local _, y = coroutine.resume(c, 21) "
                 "local ok, why = coroutine.resume(c) "
                 "return {x, y, ok and 1 or 0, why, coroutine.status(c)}"),
            "*5\r\n:2\r\n:42\r\n:0\r\n$28\r\ncannot resume dead coroutine\r\n"
            "$4\r\ndead\r\n");
  EXPECT_EQ(Eval("local f = coroutine.wrap(function() for i = 1, 3 do "
                 "coroutine.yield(i) end end) return {f(), f(), f()}"),
            "*3\r\n:1\r\n:2\r\n:3\r\n");
  EXPECT_EQ(Show("pcall(coroutine.wrap(function() error('x') end))"), "false");
  EXPECT_EQ(Eval("local c c = coroutine.create(function() "
                 "return select(2, coroutine.resume(c)) end) "
                 "return select(2, coroutine.resume(c))"),
            "$37\r\ncannot resume non-suspended coroutine\r\n");
}

TEST_F(InterpreterTest, TheProtocolIsTheScriptsOwn) {
  Eval("redis.call('PING')");
  EXPECT_EQ(host_.last_protocol, 2);
  Eval("redis.setresp(3) redis.call('PING')");
  EXPECT_EQ(host_.last_protocol, 3);
  Eval("redis.call('PING')");
  EXPECT_EQ(host_.last_protocol, 2);
  EXPECT_TRUE(Eval("redis.setresp(4)")
                  .starts_with("-ERR RESP version must be 2 or 3."));
}

TEST_F(InterpreterTest, OtherFunctionsOfRedis) {
  EXPECT_EQ(Show("redis.sha1hex('')"),
            "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(Show("redis.acl_check_cmd('GET', 'k')"), "true");
  EXPECT_TRUE(Eval("return redis.acl_check_cmd('NONE')")
                  .starts_with("-ERR Invalid command passed to"));
  EXPECT_EQ(Show("redis.REDIS_VERSION"), "7.2.4");
  EXPECT_EQ(Show("redis.replicate_commands()"), "true");
  EXPECT_EQ(Eval("redis.set_repl(redis.REPL_ALL)"), "$-1\r\n");
  Eval("redis.log(redis.LOG_WARNING, 'a', 1, {}, 'b')");
  EXPECT_EQ(host_.logged, std::vector<std::string>{"3 a 1 b"});
  Eval("redis.log(2, 'a\\nerror \\27[31mdisk fault\\r')");
  EXPECT_EQ(host_.logged.back(), "2 a error  [31mdisk fault ");
  EXPECT_TRUE(Eval("redis.log(4, 'x')").starts_with("-ERR Invalid debug"));
  EXPECT_EQ(Show("redis.breakpoint"), "nil");
  EXPECT_EQ(Show("redis.debug"), "nil");
}

// The sequence of drand48() from a seed of 0.
TEST_F(InterpreterTest, RandomNumbersAreTheSameEachTime) {
  const std::string first = Show("math.random()");
  EXPECT_EQ(first, "0.17082803611217");
  EXPECT_EQ(Show("math.random()"), first);
  EXPECT_EQ(Show("math.random(10)"), "2");
  EXPECT_NE(Eval("math.randomseed(5) return tostring(math.random())"),
            Eval("return tostring(math.random())"));
}

TEST_F(InterpreterTest, StopsWhereTheHostSaysSo) {
  host_.stop_at = 3;
  EXPECT_EQ(Eval("for i = 1, 10 do redis.call('PING', i) end"),
            "stopped: host");
  EXPECT_EQ(host_.calls.size(), 3u);
}

// Whatever a script does to go on, it is at its end.
TEST_F(InterpreterTest, AStopCannotBeCaught) {
  for (const char* script : {
           "pcall(redis.call, 'PING') redis.call('SET', 'a', 'b')",
           "pcall(function() redis.call('PING') end) redis.call('SET')",
           "pcall(redis.pcall, 'PING') redis.call('SET')",
           "xpcall(function() redis.call('PING') end, "
           "function() redis.call('SET') end) redis.call('SET')",
           "local c = coroutine.create(function() redis.call('PING') end) "
           "coroutine.resume(c) redis.call('SET')",
           "pcall(coroutine.wrap(function() redis.call('PING') end)) "
           "redis.call('SET')",
           "string.gsub('a', 'a', function() redis.call('PING') end) "
           "redis.call('SET')",
           "pcall(table.sort, {2, 1}, function() redis.call('PING') end) "
           "redis.call('SET')",
           "pcall(load, function() redis.call('PING') end) redis.call('SET')",
           "local t = setmetatable({}, {__index = function() "
           "redis.call('PING') end}) pcall(function() return t.x end) "
           "redis.call('SET')",
           "pcall(tostring, setmetatable({}, {__tostring = function() "
           "redis.call('PING') end})) redis.call('SET')",
           "pcall(pcall, pcall, redis.call, 'PING') redis.call('SET')",
       }) {
    host_.calls.clear();
    host_.stop_at = 1;
    EXPECT_EQ(Eval(script), "stopped: host") << script;
    EXPECT_EQ(host_.calls, std::vector<std::string>{"PING"}) << script;
  }
  host_.stop_at = 0;
  EXPECT_EQ(Eval("return 1"), ":1\r\n");
}

TEST_F(InterpreterTest, AReplyThatIsTooLargeIsSaidToBe) {
  output_bytes_ = 1000;
  EXPECT_EQ(Eval("return string.rep('x', 2000)"), "too large");
  EXPECT_EQ(Eval("local t = {} for i = 1, 1000 do t[i] = i end return t"),
            "too large");
}

TEST_F(InterpreterTest, CompilingAloneRunsNothing) {
  const std::string code = "redis.call('PING')";
  const Sha1Text sha = Sha1(code);
  std::string out;
  ReplyWriter reply(&out, 2);
  ScriptCall call{.sha = View(sha),
                  .code = code,
                  .time_ns = time_ns_,
                  .memory_bytes = memory_bytes_};
  EXPECT_EQ(interpreter_.Compile(call, host_, reply).stop, ScriptStop::kNone);
  EXPECT_EQ(out, "");
  EXPECT_TRUE(host_.calls.empty());
  call.sha = "other";
  call.code = "return (";
  EXPECT_EQ(interpreter_.Compile(call, host_, reply).stop, ScriptStop::kNone);
  EXPECT_TRUE(out.starts_with("-ERR Error compiling script (new function): "));
}

}  // namespace
}  // namespace kvd
