// SPDX-License-Identifier: MIT
//
// Scripts against a real store on a simulated disk: each is whole or not at
// all, whatever it meets.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/planted_bug.h"
#include "daemon/script/sha1.h"
#include "tests/daemon/command_rig.h"

namespace kvd {
namespace {

using Words = std::vector<std::string>;

class EvalTest : public testing::Test, protected CommandRig {
 protected:
  using CommandRig::Run;  // Not the private one of testing::Test.

  explicit EvalTest(const StoreOptions& options = SmallStore())
      : CommandRig(options) {
    // No script is too slow, however slow the machine is.
    service_->cpu_ns = [] { return 0; };
  }

  std::string Eval(const std::string& script, const Words& keys = {},
                   const Words& args = {}) {
    Words words = {"EVAL", script, std::to_string(keys.size())};
    words.insert(words.end(), keys.begin(), keys.end());
    words.insert(words.end(), args.begin(), args.end());
    return Send(words);
  }
  static std::string Sha(std::string_view script) {
    return std::string(View(Sha1(script)));
  }
  // All keys with all that clients can see of them.
  std::string Contents() {
    std::string text = Send("DBSIZE");
    for (const char* key : {"a", "b", "c", "d"}) {
      text += Send({"KV.GET", key}) + Send({"PEXPIRETIME", key});
    }
    return text;
  }
};

TEST_F(EvalTest, ScriptsRunCommands) {
  EXPECT_EQ(Eval("return redis.call('SET', KEYS[1], ARGV[1])", {"a"}, {"1"}),
            "+OK\r\n");
  EXPECT_EQ(Eval("return redis.call('INCR', KEYS[1]) * 10", {"a"}), ":20\r\n");
  EXPECT_EQ(Send("GET a"), "$1\r\n2\r\n");
  EXPECT_EQ(Eval("return redis.call('GET', 'none')"), "$-1\r\n");
  EXPECT_EQ(Eval("return redis.call('MGET', 'a', 'none')"),
            "*2\r\n$1\r\n2\r\n$-1\r\n");
}

TEST_F(EvalTest, ALockIsReleasedByItsOwnerAlone) {
  const std::string release =
      "if redis.call('get', KEYS[1]) == ARGV[1] then "
      "return redis.call('del', KEYS[1]) else return 0 end";
  Send("SET a mine");
  EXPECT_EQ(Eval(release, {"a"}, {"yours"}), ":0\r\n");
  EXPECT_EQ(Eval(release, {"a"}, {"mine"}), ":1\r\n");
  EXPECT_EQ(Send("EXISTS a"), ":0\r\n");
}

TEST_F(EvalTest, WordsAreChecked) {
  EXPECT_EQ(Send({"EVAL", "return 1", "x"}),
            "-ERR value is not an integer or out of range\r\n");
  EXPECT_EQ(Send({"EVAL", "return 1", "1"}),
            "-ERR Number of keys can't be greater than number of args\r\n");
  EXPECT_EQ(Send({"EVAL", "return 1", "-1"}),
            "-ERR Number of keys can't be negative\r\n");
  EXPECT_EQ(Send({"EVALSHA", "short", "0"}),
            "-NOSCRIPT No matching script. Please use EVAL.\r\n");
  EXPECT_EQ(Send({"EVALSHA", std::string(40, 'a'), "0"}),
            "-NOSCRIPT No matching script. Please use EVAL.\r\n");
  EXPECT_TRUE(Send({"EVAL", "return (", "0"})
                  .starts_with("-ERR Error compiling script"));
  EXPECT_EQ(Send({"EVAL", "#!py\n", "0"}),
            "-ERR Unexpected engine in script shebang: #!py\r\n");
}

TEST_F(EvalTest, ScriptsAreKnownByTheirSha1) {
  const std::string script = "return 'kept'";
  EXPECT_EQ(Send({"SCRIPT", "EXISTS", Sha(script), "none"}),
            "*2\r\n:0\r\n:0\r\n");
  EXPECT_EQ(Send({"SCRIPT", "LOAD", script}), "$40\r\n" + Sha(script) + "\r\n");
  EXPECT_EQ(Send({"EVALSHA", Sha(script), "0"}), "$4\r\nkept\r\n");
  EXPECT_EQ(Send({"EVALSHA_RO", Sha(script), "0"}), "$4\r\nkept\r\n");
  EXPECT_EQ(Send({"SCRIPT", "SHOW", Sha(script)}), "$13\r\n" + script + "\r\n");
  EXPECT_EQ(Send({"SCRIPT", "SHOW", "none"}),
            "-NOSCRIPT No matching script. Please use EVAL.\r\n");
  EXPECT_EQ(Send({"SCRIPT", "EXISTS", Sha(script)}), "*1\r\n:1\r\n");
  EXPECT_EQ(Send("SCRIPT FLUSH ASYNC"), "+OK\r\n");
  EXPECT_EQ(Send({"SCRIPT", "EXISTS", Sha(script)}), "*1\r\n:0\r\n");
  EXPECT_EQ(Send("SCRIPT FLUSH now"),
            "-ERR SCRIPT FLUSH only support SYNC|ASYNC option\r\n");
  EXPECT_EQ(Send("SCRIPT KILL"),
            "-NOTBUSY No scripts in execution right now.\r\n");
  Eval(script);
  std::string upper = Sha(script);
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  EXPECT_EQ(Send({"EVALSHA", upper, "0"}), "$4\r\nkept\r\n");
  EXPECT_EQ(Send({"SCRIPT", "EXISTS", upper, upper + "0"}),
            "*2\r\n:1\r\n:0\r\n");
  EXPECT_TRUE(Send({"SCRIPT", "SHOW", upper}).starts_with("$"));
  EXPECT_EQ(service_->script_figures.cached, 1u);
  EXPECT_GT(service_->script_figures.cache_bytes, 0u);
  EXPECT_TRUE(Send({"SCRIPT", "LOAD", "return ("})
                  .starts_with("-ERR Error compiling script"));
}

TEST_F(EvalTest, WhatScriptsMayNotRun) {
  const auto fails = [this](const std::string& command) {
    return Eval("return redis.pcall(" + command + ")");
  };
  EXPECT_EQ(fails("'NOSUCH'"),
            "-ERR Unknown Redis command called from script\r\n");
  EXPECT_EQ(fails("'CLIENT', 'NOSUCH'"),
            "-ERR Unknown Redis command called from script\r\n");
  EXPECT_EQ(fails("'GET'"),
            "-ERR Wrong number of args calling Redis command from script\r\n");
  for (const char* command :
       {"'EVAL', 'return 1', 0", "'SCRIPT', 'FLUSH'", "'HELLO', 3", "'RESET'",
        "'CLIENT', 'ID'", "'CONFIG', 'GET', '*'", "'SHUTDOWN'", "'QUIT'",
        "'AUTH', 'x'"}) {
    EXPECT_EQ(fails(command),
              "-ERR This Redis command is not allowed from script\r\n")
        << command;
  }
}

TEST_F(EvalTest, NothingWaitsInAScript) {
  const std::string reply = Eval(
      "redis.call('SET', 'a', 1) "
      "return redis.pcall('KV.COMPACT', 'WAIT')");
  EXPECT_TRUE(reply.starts_with("-ERR KV.COMPACT WAIT waits")) << reply;
  EXPECT_FALSE(session_.is_blocked());
  EXPECT_EQ(store_->compaction().runs_ended, 0u);
  EXPECT_FALSE(store_->compaction().running);
  EXPECT_EQ(Send("GET a"), "$1\r\n1\r\n");
}

TEST_F(EvalTest, ReadOnlyScriptsChangeNothing) {
  const std::string writes = "return redis.call('SET', 'a', '1')";
  EXPECT_TRUE(
      Send({"EVAL_RO", writes, "0"})
          .starts_with(
              "-ERR Write commands are not allowed from read-only scripts. "
              "script: "));
  EXPECT_TRUE(Send({"EVAL", "#!lua flags=no-writes\n" + writes, "0"})
                  .starts_with("-ERR Write commands are not allowed"));
  EXPECT_EQ(Send({"EVAL_RO", "#!lua\nreturn 1", "0"}),
            "-ERR Can not execute a script with write flag using *_ro "
            "command.\r\n");
  EXPECT_EQ(Send({"EVAL_RO", "#!lua flags=no-writes\nreturn 1", "0"}),
            ":1\r\n");
  EXPECT_EQ(Send("DBSIZE"), ":0\r\n");
}

TEST_F(EvalTest, WhatAScriptSelectsIsItsOwn) {
  EXPECT_EQ(Eval("redis.call('SELECT', 3) return redis.call('SET', 'a', 1)"),
            "+OK\r\n");
  EXPECT_EQ(session_.database, 0);
  EXPECT_EQ(Send("EXISTS a"), ":0\r\n");
  Send("SELECT 3");
  EXPECT_EQ(Send("EXISTS a"), ":1\r\n");
}

// As with Redis: an error ends a script, and undoes nothing.
TEST_F(EvalTest, AnErrorOfItsOwnEndsAScriptAndWhatItDidStays) {
  EXPECT_TRUE(Eval("redis.call('SET', 'a', '1') error('x')")
                  .starts_with("-ERR user_script:1: x"));
  EXPECT_EQ(Send("GET a"), "$1\r\n1\r\n");
  EXPECT_TRUE(Eval("redis.call('SET', 'b', 'x') return redis.call('INCR', "
                   "'b')")
                  .starts_with("-ERR value is not an integer"));
  EXPECT_EQ(Send("GET b"), "$1\r\nx\r\n");
}

TEST_F(EvalTest, CodesOfErrorsAreBounded) {
  for (int i = 0; i < 300; ++i) {
    Send({"EVAL", "return {err = ARGV[1] .. ' text'}", "0",
          fmt::format("CODE{}", i)});
  }
  EXPECT_LE(service_->errors.size(), 129u);
  EXPECT_EQ(service_->errors["CODE7"], 1u);
  EXPECT_EQ(service_->errors["ERRORSTATS_OVERFLOW"], 300u - 128u);
  service_->errors.clear();
  for (int i = 0; i < 2; ++i) {
    Send({"EVAL", "return {err = ARGV[1]}", "0", "a:b\n#c\xff"});
    Send({"EVAL", "return {err = ARGV[1]}", "0", std::string(4000, 'x')});
  }
  EXPECT_EQ(service_->errors["a_b"], 2u);
  EXPECT_EQ(service_->errors[std::string(64, 'x')], 2u);
}

TEST_F(EvalTest, RevisionsAreFinal) {
  const std::string reply = Eval(
      "return {redis.call('KV.SET', 'a', '1'), "
      "redis.call('KV.SET', 'b', '1'), redis.call('KV.DEL', 'a')}");
  ASSERT_TRUE(reply.starts_with("*3\r\n:")) << reply;
  const int64_t first = std::stoll(reply.substr(5));
  EXPECT_EQ(reply, fmt::format("*3\r\n:{}\r\n:{}\r\n:{}\r\n", first, first + 1,
                               first + 2));
  EXPECT_EQ(Send("KV.GET b"),
            fmt::format("*3\r\n$1\r\n1\r\n:{}\r\n:-1\r\n", first + 1));
}

// Commands of all kinds, after some of which the script is stopped.
constexpr const char* kSteps[] = {
    "redis.call('SET', 'a', 'new', 'PX', 5000)",
    "redis.call('DEL', 'b')",
    "redis.call('INCRBY', 'c', 5)",
    "redis.call('PERSIST', 'd')",
    "redis.call('RENAME', 'a', 'b')",
    "redis.call('SETRANGE', 'd', 3, 'xyz')",
    "redis.call('EXPIRE', 'c', 100)",
    "redis.call('MSET', 'a', '1', 'new', '2')",
    "redis.call('SELECT', 2) redis.call('SET', 'a', 'two')",
    "redis.call('SELECT', 0) redis.call('SWAPDB', 0, 2)",
    "redis.call('FLUSHDB')",
    "redis.call('FLUSHALL')",
};

std::string FirstSteps(size_t count) {
  std::string script;
  for (size_t i = 0; i < count; ++i) script += std::string(kSteps[i]) + "\n";
  return script;
}

class StoppedScripts : public EvalTest {
 protected:
  StoppedScripts() {
    config_.script.memory_bytes = 1 << 20;
    Send("SET a 1");
    Send("SET b 2");
    Send("SET c 3");
    Send("SET d 4 PXAT 99999999999999");
    before_ = Contents();
  }

  std::string before_;
};

// By its memory, its time, and its size.
TEST_F(StoppedScripts, HaveDoneNothing) {
  for (size_t steps = 0; steps <= std::size(kSteps); ++steps) {
    for (const char* stop :
         {"local t = {} while true do t[#t + 1] = {} end",
          "return string.rep('x', 1e9)",
          "pcall(string.rep, 'x', 1e9) redis.call('SET', 'late', 1)"}) {
      const std::string reply = Eval(FirstSteps(steps) + stop);
      EXPECT_TRUE(reply.starts_with(
          "-ERR the script needs more memory than script.memory_limit"))
          << reply;
      EXPECT_EQ(Contents(), before_) << steps;
    }
  }
}

TEST_F(StoppedScripts, HaveDoneNothingWhenTheirTimeIsOver) {
  int64_t now_ns = 0;
  service_->cpu_ns = [&now_ns] { return now_ns += 50'000; };
  for (size_t steps = 0; steps <= std::size(kSteps); ++steps) {
    const std::string reply = Eval(FirstSteps(steps) + "while true do end");
    EXPECT_TRUE(reply.starts_with(
        "-ERR the script ran longer than script.time_limit, which is 50ms; "
        "nothing was changed"))
        << reply;
    EXPECT_EQ(Contents(), before_) << steps;
  }
  EXPECT_EQ(session_.scripts.SpentBy(0), 0);
  EXPECT_EQ(Eval("return 1"), ":1\r\n");
}

TEST_F(StoppedScripts, HaveDoneNothingWhenTheReplyIsTooLarge) {
  config_.limits.output_bytes = 64 << 10;
  for (size_t steps = 0; steps <= std::size(kSteps); ++steps) {
    const std::string reply =
        Eval(FirstSteps(steps) + "return string.rep('x', 100000)");
    EXPECT_TRUE(reply.starts_with("-ERR the reply takes ")) << reply;
    EXPECT_EQ(Contents(), before_) << steps;
  }
}

// A script that has to wait for room begins anew, and is whole then.
TEST_F(StoppedScripts, RunWholeOnceThereIsRoom) {
  std::string reply;
  const std::string value(10'000, 'v');
  for (int i = 0;
       Run({"SET", "filling", value}, &reply).waits_for == WaitsFor::kNothing;
       ++i) {
    ASSERT_LT(i, 1000);
  }
  const std::string script =
      "for i = 1, 20 do redis.call('SET', 'k' .. i, ARGV[1]) end "
      "redis.call('INCR', 'a') return redis.call('GET', 'a')";
  const Words words = {"EVAL", script, "0", value};
  reply.clear();
  ASSERT_EQ(Run(words, &reply).waits_for, WaitsFor::kRoom);
  EXPECT_EQ(reply, "");
  MakeDurable();
  WaitsFor waits_for = WaitsFor::kRoom;
  for (int i = 0; i < 100 && waits_for != WaitsFor::kNothing; ++i) {
    MakeDurable();
    waits_for = Run(words, &reply).waits_for;
  }
  EXPECT_EQ(reply, "$1\r\n2\r\n");
  MakeDurable();
  EXPECT_EQ(Send("GET a"), "$1\r\n2\r\n");
  EXPECT_EQ(Send({"STRLEN", "k20"}), ":10000\r\n");
}

TEST_F(StoppedScripts, RefuseTheTransactionThatTheyAreIn) {
  for (const char* script :
       {"redis.call('SET', 'a', 'new') return string.rep('x', 1e9)",
        "redis.call('SET', 'a', 'new') local t = {} while true do t = {t} "
        "end"}) {
    Send("MULTI");
    Send("INCR b");
    Send({"EVAL", script, "0"});
    Send("INCR c");
    const std::string reply = Send("EXEC");
    EXPECT_TRUE(reply.starts_with(
        "-EXECABORT Transaction discarded because of: the script needs more "
        "memory than script.memory_limit"))
        << reply;
    EXPECT_EQ(Contents(), before_);
  }
}

TEST_F(EvalTest, AScriptIsAPartOfItsTransaction) {
  Send("MULTI");
  Send("SET a 1");
  EXPECT_EQ(Eval("return redis.call('INCR', 'a')"), "+QUEUED\r\n");
  Eval("redis.call('SET', 'b', '1') error('x', 0)");
  Send("INCR a");
  const std::string reply = Send("EXEC");
  EXPECT_TRUE(reply.starts_with("*4\r\n+OK\r\n:2\r\n-ERR x script: ")) << reply;
  EXPECT_TRUE(reply.ends_with("\r\n:3\r\n")) << reply;
  EXPECT_EQ(Send("GET b"), "$1\r\n1\r\n");
}

TEST_F(EvalTest, CommandsTakeAllWordsThatUnpackGives) {
  EXPECT_EQ(Eval("local t = {} for i = 1, 7990 do t[i] = 'k' .. i end "
                 "redis.call('SET', 'k7990', 'x') "
                 "return {redis.call('EXISTS', unpack(t)), "
                 "#redis.call('MGET', unpack(t))}"),
            "*2\r\n:1\r\n:7990\r\n");
}

TEST_F(EvalTest, WhatWaitsElsewhereDoesNotInAScript) {
  EXPECT_EQ(Eval("redis.call('SET', 'a', '1') "
                 "return redis.call('WAITAOF', 1, 0, 0)"),
            "*2\r\n:0\r\n:0\r\n");
  EXPECT_EQ(Eval("return redis.call('WAITAOF', 1, 0, 0)"),
            "*2\r\n:1\r\n:0\r\n");
}

TEST_F(EvalTest, MonitorsSeeItBeforeWhatItRuns) {
  std::string seen;
  std::vector<Seq> seqs;
  service_->monitor = [&](std::string_view line, Seq seq) {
    seen += line.substr(line.find('['));
    seqs.push_back(seq);
  };
  Eval("redis.call('SELECT', 1) redis.call('SET', 'a', '1')");
  EXPECT_EQ(seen,
            "[0 unix:/run/s] \"EVAL\" \"redis.call('SELECT', 1) "
            "redis.call('SET', 'a', '1')\" \"0\"\r\n"
            "[1 lua] \"SELECT\" \"1\"\r\n"
            "[1 lua] \"SET\" \"a\" \"1\"\r\n");
  // Its line shows what it changes.
  EXPECT_EQ(seqs[0], store_->last_seq());
  seen.clear();
  Send("MULTI");
  Eval("return redis.call('PING')");
  Send("EXEC");
  EXPECT_EQ(seen,
            "[0 unix:/run/s] \"MULTI\"\r\n[0 unix:/run/s] \"EVAL\" "
            "\"return redis.call('PING')\" \"0\"\r\n[0 lua] \"PING\"\r\n"
            "[0 unix:/run/s] \"EXEC\"\r\n");
}

TEST_F(EvalTest, MonitorsSeeOnceWhatDoesNotRun) {
  std::string seen;
  service_->monitor = [&](std::string_view line, Seq) {
    seen += line.substr(line.find('['));
  };
  Eval("return (");
  EXPECT_EQ(seen, "[0 unix:/run/s] \"EVAL\" \"return (\" \"0\"\r\n");
  seen.clear();
  Eval("redis.call('SET', 'a', '1') return ('x'):rep(1e9)");
  EXPECT_EQ(seen,
            "[0 unix:/run/s] \"EVAL\" \"redis.call('SET', 'a', '1') return "
            "('x'):rep(1e9)\" \"0\"\r\n");
}

// The first words of what SLOWLOG has, the newest first.
std::string FirstWords(const SlowLog& log) {
  std::string names;
  for (const SlowLog::Entry& entry : log.entries()) {
    names += entry.text.substr(0, entry.word_ends[0]) + ' ';
  }
  return names;
}

TEST_F(EvalTest, SlowCommandsOfAScriptAreRememberedBesideIt) {
  config_.slowlog.threshold_us = 0;
  SlowLog& log = service_->slow_log;
  Eval("redis.call('SET', 'a', ARGV[1] .. '2') return redis.call('GET', 'a')",
       {}, {"1"});
  EXPECT_EQ(FirstWords(log), "EVAL GET SET ");
  EXPECT_EQ(log.entries()[2].text, "SETa12");
  // What has not happened took no time.
  log.Clear();
  Eval("redis.call('SET', 'a', '1') return ('x'):rep(1e9)");
  EXPECT_EQ(FirstWords(log), "EVAL ");
  log.Clear();
  Send("MULTI");
  Eval("return redis.call('PING')");
  Send("EXEC");
  EXPECT_EQ(FirstWords(log), "EVAL PING MULTI ");
  // One script keeps no more of them than there is room for.
  log.Clear();
  log.set_length(3);
  Eval(
      "for _, name in ipairs({'TIME', 'PING', 'DBSIZE', 'RANDOMKEY'}) do "
      "redis.call(name) end");
  EXPECT_EQ(FirstWords(log), "EVAL DBSIZE PING ");
}

TEST_F(EvalTest, ACommandThatWorksForLongLooksAtTheClock) {
  int looks = 0;
  int64_t now_ns = 0;
  service_->cpu_ns = [&] {
    ++looks;
    return now_ns;
  };
  const std::string script = "return #redis.call('KEYS', 'a*')";
  EXPECT_EQ(Eval(script), ":0\r\n");
  const int few = looks;
  for (int i = 0; i < 5000; ++i) {
    std::string reply;
    Run({"SET", fmt::format("{:100}", i), ""}, &reply);
    if (i % 100 == 0) MakeDurable();
  }
  looks = 0;
  EXPECT_EQ(Eval(script), ":0\r\n");
  EXPECT_GT(looks, few + 3);
  service_->cpu_ns = [&] { return now_ns += 20'000'000; };
  EXPECT_TRUE(Eval(script).starts_with("-ERR the script ran longer"));
  Send("MULTI");
  Send("KEYS a*");
  EXPECT_EQ(Send("EXEC"), "*1\r\n*0\r\n");
}

TEST_F(EvalTest, AScriptThatIsTooLargeIsRefused) {
  const std::string largest = "return 1" + std::string((1 << 20) - 8, ' ');
  EXPECT_EQ(Eval(largest), ":1\r\n");
  const std::string error =
      "-ERR the script has 1048577 bytes, and the largest has 1MiB; pass data "
      "as arguments\r\n";
  EXPECT_EQ(Eval(largest + ' '), error);
  EXPECT_EQ(Send({"EVAL_RO", largest + ' ', "0"}), error);
  EXPECT_EQ(Send({"SCRIPT", "LOAD", largest + ' '}), error);
}

#ifdef KVD_PLANTED_BUGS
TEST_F(StoppedScripts, AStoppedScriptThatAppliesIsNoticed) {
  ScopedPlantedBug bug(PlantedBug::kStoppedApplies);
  Eval(FirstSteps(3) + "return string.rep('x', 1e9)");
  EXPECT_NE(Contents(), before_);
}
#endif

TEST_F(EvalTest, ScriptsDrawNumbersOfTheirOwn) {
  const Words words = {"EVAL", "return tostring(math.random())", "0"};
  EXPECT_NE(Send(words), Send(words));
}

// Values are on disk alone.
class ColdScripts : public EvalTest {
 protected:
  ColdScripts() : EvalTest(Options()) {
    for (int i = 0; i < kKeys; ++i) {
      Send({"SET", fmt::format("k{}", i), std::to_string(i)});
    }
    disk_.SetReadsWait(true);
  }

  static constexpr int kKeys = 100;

  static StoreOptions Options() {
    StoreOptions options = SmallStore();
    options.value_cache_bytes = 0;
    options.cold_bytes_max = 1 << 20;
    return options;
  }
  Words Keys(int count) const {
    Words keys;
    for (int i = 0; i < count; ++i) keys.push_back(fmt::format("k{}", i));
    return keys;
  }
  // How often it has to be tried.
  int Tries(const Words& words, std::string* reply) {
    for (int tries = 1; tries < 1000; ++tries) {
      const WaitsFor waits_for = Run(words, reply).waits_for;
      if (waits_for == WaitsFor::kNothing) return tries;
      EXPECT_EQ(waits_for, WaitsFor::kValues);
      Read();
    }
    return 0;
  }
};

const char kSum[] =
    "local n = 0 for i = 0, ARGV[1] - 1 do "
    "redis.call('SET', 'seen', i) redis.call('INCR', 'count') "
    "n = n + redis.call('GET', 'k' .. i) end return n";

TEST_F(ColdScripts, BeginAnewForEachValueAndHappenOnce) {
  std::string reply;
  EXPECT_EQ(Tries({"EVAL", kSum, "0", "10"}, &reply), 11);
  EXPECT_EQ(reply, ":45\r\n");
  MakeDurable();
  EXPECT_EQ(Send("GET count"), "$2\r\n10\r\n");
}

TEST_F(ColdScripts, DeclaredKeysAreReadTogether) {
  Words words = {"EVAL", kSum, "10"};
  for (const std::string& key : Keys(10)) words.push_back(key);
  words.push_back("10");
  std::string reply;
  EXPECT_EQ(Tries(words, &reply), 2);
  EXPECT_EQ(reply, ":45\r\n");
}

// A script need not ask for all that it declares.
TEST_F(ColdScripts, DeclaredKeysTakeNothingFromWhatAScriptMayRead) {
  const std::string value(30'000, 'v');
  Words words = {"EVAL",
                 "local n = 0 for i = 1, #KEYS, 10 do "
                 "n = n + #redis.call('GET', KEYS[i]) end return n",
                 "60"};
  for (int i = 0; i < 60; ++i) {
    words.push_back(fmt::format("large{}", i));
    Send({"SET", words.back(), value});
  }
  std::string reply;
  EXPECT_GT(Tries(words, &reply), 1);
  EXPECT_EQ(reply, ":180000\r\n");
}

TEST_F(ColdScripts, DrawTheSameNumbersInEachRun) {
  std::string reply;
  EXPECT_LE(Tries({"EVAL",
                   "local n = 0 for i = 1, 30 do n = n + "
                   "redis.call('GET', 'k' .. math.random(0, 99)) end return n",
                   "0"},
                  &reply),
            31);
  EXPECT_TRUE(reply.starts_with(":")) << reply;
}

TEST_F(ColdScripts, TooManyBeginningsAreRefused) {
  std::string reply;
  EXPECT_EQ(Tries({"EVAL", kSum, "0", "100"}, &reply), 65);
  EXPECT_TRUE(reply.starts_with(
      "-ERR the script asked for values that are not in memory 64 times"))
      << reply;
  MakeDurable();
  EXPECT_EQ(Send("EXISTS count seen"), ":0\r\n");
  EXPECT_EQ(session_.scripts.re_runs(), 0);
  reply.clear();
  EXPECT_GT(Tries({"EVAL", kSum, "0", "60"}, &reply), 1);
  EXPECT_EQ(reply, ":1770\r\n");
}

TEST_F(ColdScripts, TheTimeOfAllRunsCounts) {
  int64_t now_ns = 0;
  service_->cpu_ns = [&now_ns] { return now_ns += 1'000'000; };
  std::string reply;
  const int tries = Tries({"EVAL", kSum, "0", "60"}, &reply);
  EXPECT_LT(tries, 60);
  EXPECT_TRUE(reply.starts_with("-ERR the script ran longer")) << reply;
  MakeDurable();
  EXPECT_EQ(Send("EXISTS count seen"), ":0\r\n");
}

// All attempts count, whichever script they end in.
TEST_F(ColdScripts, OfATransactionBeginAnewAsOftenAsOne) {
  Send("MULTI");
  Send({"EVAL", "return 1", "0"});
  Send({"EVAL", kSum, "0", "100"});
  std::string reply;
  EXPECT_EQ(Tries({"EXEC"}, &reply), 65);
  EXPECT_TRUE(reply.starts_with(
      "-EXECABORT Transaction discarded because of: the script asked for "
      "values that are not in memory 64 times"))
      << reply;
  MakeDurable();
  EXPECT_EQ(Send("EXISTS count seen"), ":0\r\n");
}

TEST_F(ColdScripts, OfATransactionMayBeMany) {
  Send("MULTI");
  for (const std::string& key : Keys(kKeys)) {
    Send({"EVAL_RO", "return redis.call('GET', KEYS[1])", "1", key});
  }
  std::string reply;
  EXPECT_EQ(Tries({"EXEC"}, &reply), 2);
  EXPECT_TRUE(reply.starts_with("*100\r\n$1\r\n0\r\n")) << reply;
}

TEST_F(ColdScripts, OfATransactionDrawTheSameNumbersInEachRun) {
  const Words random = {"EVAL",
                        "local n = 0 for i = 1, 20 do n = n + "
                        "redis.call('GET', 'k' .. math.random(0, 99)) end "
                        "return n .. ' ' .. math.random()",
                        "0"};
  Send("MULTI");
  Send(random);
  Send(random);
  std::string reply;
  EXPECT_LE(Tries({"EXEC"}, &reply), 41);
  // And each its own.
  ASSERT_TRUE(reply.starts_with("*2\r\n$")) << reply;
  const std::string both = reply.substr(4);
  EXPECT_NE(both.substr(0, both.size() / 2), both.substr(both.size() / 2));
  reply.clear();
  MakeDurable();
  EXPECT_EQ(Send("PING"), "+PONG\r\n");
}

TEST_F(ColdScripts, OfATransactionHaveTheirTimeForAllRuns) {
  int64_t now_ns = 0;
  service_->cpu_ns = [&now_ns] { return now_ns += 1'000'000; };
  Send("MULTI");
  Send({"EVAL", "return 1", "0"});
  Send({"EVAL", kSum, "0", "60"});
  std::string reply;
  const int tries = Tries({"EXEC"}, &reply);
  EXPECT_LT(tries, 60);
  EXPECT_TRUE(
      reply.starts_with("-EXECABORT Transaction discarded because of: "
                        "the script ran longer"))
      << reply;
}

// Memory is at its limit.
class FullScripts : public EvalTest {
 protected:
  FullScripts() : EvalTest(Options()) {
    for (int i = 0; i < kFilling; ++i) {
      std::string reply;
      Run({"SET", fmt::format("{:1000}", i), ""}, &reply);
      if (reply.starts_with("-OOM ")) return;
      if (reply.empty()) MakeDurable();
    }
    ADD_FAILURE() << "memory is not full";
  }

  static constexpr int kFilling = 10'000;
  static std::string First() { return fmt::format("{:1000}", 0); }

  static StoreOptions Options() {
    StoreOptions options = SmallStore();
    options.memory_limit_bytes = 1 << 20;
    return options;
  }
};

TEST_F(FullScripts, ARefusedCommandRefusesTheScript) {
  const std::string reply = Eval(
      "redis.call('DEL', ARGV[1]) "
      "local ok = pcall(redis.call, 'SET', 'b', string.rep('x', 10000)) "
      "redis.call('SET', 'a', '3') return 'went on'",
      {}, {First()});
  EXPECT_TRUE(reply.starts_with("-OOM command not allowed")) << reply;
  EXPECT_EQ(Send({"EXISTS", First(), "a", "b"}), ":1\r\n");
  EXPECT_EQ(Eval("return redis.call('DEL', ARGV[1])", {}, {First()}), ":1\r\n");
}

TEST_F(FullScripts, AFirstLineSaysWhatMayBegin) {
  const std::string reply = Eval("#!lua\nreturn 1");
  EXPECT_TRUE(reply.starts_with(
      "-OOM allow-oom flag is not set on the script, can not run it when used "
      "memory > 'maxmemory'. "))
      << reply;
  EXPECT_EQ(Eval("#!lua flags=allow-oom\nreturn 1"), ":1\r\n");
  EXPECT_EQ(Eval("#!lua flags=no-writes\nreturn 1"), ":1\r\n");
  EXPECT_EQ(Send({"EVAL_RO", "#!lua flags=no-writes\nreturn 1", "0"}),
            ":1\r\n");
  EXPECT_EQ(Eval("return 1"), ":1\r\n");
  // It may begin; the limit stays one.
  EXPECT_TRUE(Eval("#!lua flags=allow-oom\n"
                   "redis.call('SET', ('x'):rep(9999), '1')")
                  .starts_with("-OOM command not allowed"));
  Send("FLUSHALL");
  EXPECT_EQ(Eval("#!lua\nreturn 1"), ":1\r\n");
}

}  // namespace
}  // namespace kvd
