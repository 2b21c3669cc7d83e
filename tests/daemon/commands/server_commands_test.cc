// SPDX-License-Identifier: MIT
//
// Commands about the daemon as a whole.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/daemon/command_rig.h"

namespace kvd {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class ServerCommandsTest : public testing::Test, protected CommandRig {
 protected:
  using CommandRig::Run;  // Not the private one of testing::Test.

  explicit ServerCommandsTest(const StoreOptions& options = SmallStore())
      : CommandRig(options) {}
};

TEST_F(ServerCommandsTest, SavingSaysThatAllIsOnDisk) {
  EXPECT_EQ(Send("BGSAVE"), "+Background saving started\r\n");
  EXPECT_EQ(Send("BGSAVE SCHEDULE"), "+Background saving started\r\n");
  EXPECT_EQ(Send("BGSAVE NOPE"), "-ERR syntax error\r\n");
  EXPECT_EQ(Send("SAVE"), "+OK\r\n");
  EXPECT_EQ(Send("LASTSAVE"),
            ":" + std::to_string(clock_.WallMs() / 1000) + "\r\n");
  EXPECT_EQ(Send("ROLE"), "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n");
}

TEST_F(ServerCommandsTest, NobodyWaitsForReplicas) {
  EXPECT_EQ(Send("WAIT 0 0"), ":0\r\n");
  EXPECT_EQ(Send("WAIT 3 0"), ":0\r\n");
  EXPECT_EQ(Send("WAIT x 0"),
            "-ERR value is not an integer or out of range\r\n");
  EXPECT_EQ(Send("WAIT 1 -1"), "-ERR timeout is negative\r\n");
  EXPECT_EQ(Send("WAITAOF 1 5 0"), "*2\r\n:1\r\n:0\r\n");
  EXPECT_EQ(Send("WAITAOF 0 0 0"), "*2\r\n:1\r\n:0\r\n");
  EXPECT_EQ(Send("WAITAOF 2 0 0"),
            "-ERR value is out of range, value must between 0 and 1\r\n");
}

class Unsynced : public ServerCommandsTest,
                 public testing::WithParamInterface<SyncMode> {
 protected:
  Unsynced() : ServerCommandsTest(Options()) {
    disk_.SetWriteMode(SimFileSystem::WriteMode::kManual);
    service_->look_again_in = [this](int64_t ms) { look_again_ms_ = ms; };
    std::string reply;
    Run({"SET", "a", "1"}, &reply);
    EXPECT_EQ(Run({"WAITAOF", "1", "0", "500"}, &reply).waits_for,
              WaitsFor::kNews);
  }
  ~Unsynced() override {
    disk_.SetWriteMode(SimFileSystem::WriteMode::kAtPoll);
  }

  static StoreOptions Options() {
    StoreOptions options = SmallStore();
    options.sync = GetParam();
    return options;
  }
  std::string Again() {
    std::string reply;
    Run({"WAITAOF", "1", "0", "500"}, &reply);
    return reply;
  }

  int64_t look_again_ms_ = -1;
};

TEST_P(Unsynced, WaitAofAnswersWhenTheDiskHasIt) {
  EXPECT_EQ(look_again_ms_, 500);
  EXPECT_EQ(Again(), "");
  // What others do meanwhile does not count.
  std::string reply;
  Session other;
  std::swap(other, session_);
  Run({"SET", "b", "1"}, &reply);
  std::swap(other, session_);
  disk_.SetWriteMode(SimFileSystem::WriteMode::kAtPoll);
  for (int i = 0; i < 100 && session_.is_blocked(); ++i) {
    store_->Pump();
    store_->Poll();
    const std::string answer = Again();
    if (!answer.empty()) {
      EXPECT_EQ(answer, "*2\r\n:1\r\n:0\r\n");
    }
  }
  EXPECT_FALSE(session_.is_blocked());
}

TEST_P(Unsynced, WaitAofGivesUpInTime) {
  clock_.AdvanceMs(499);
  EXPECT_EQ(Again(), "");
  EXPECT_EQ(look_again_ms_, 1);
  clock_.AdvanceMs(1);
  EXPECT_EQ(Again(), "*2\r\n:0\r\n:0\r\n");
  EXPECT_FALSE(session_.is_blocked());
}

TEST_P(Unsynced, WaitAofCanBeUnblocked) {
  session_.unblocked = Session::Unblocked::kAsTimeout;
  EXPECT_EQ(Again(), "*2\r\n:0\r\n:0\r\n");
  EXPECT_EQ(Again(), "");
  session_.unblocked = Session::Unblocked::kWithError;
  EXPECT_EQ(Again(), "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
}

INSTANTIATE_TEST_SUITE_P(Modes, Unsynced,
                         testing::Values(SyncMode::kAlways, SyncMode::kInterval,
                                         SyncMode::kNever));

TEST_F(ServerCommandsTest, MonitorsSeeCommandsAndNoSecrets) {
  std::string seen;
  uint64_t monitor = 0;
  service_->set_monitor = [&](uint64_t id, bool) { monitor = id; };
  EXPECT_EQ(Send("MONITOR"), "+OK\r\n");
  EXPECT_EQ(monitor, 1u);
  std::vector<Seq> seqs;
  service_->monitor = [&](std::string_view line, Seq seq) {
    // Behind the time.
    seen += line.substr(line.find('['));
    seqs.push_back(seq);
  };
  Send({"SET", "a", std::string("x\"\\\r\n\t\a\b\0\xff", 10)});
  Send("SELECT 3");
  Send("AUTH default secret");
  Send("HELLO 2 AUTH default secret SETNAME me");
  Send("NOPE");
  Send("GET");
  Send("CONFIG GET save");
  Send("CLIENT REPLY OFF");
  Send("get b");
  EXPECT_EQ(seen,
            "[0 unix:/run/s] \"SET\" \"a\" "
            "\"x\\\"\\\\\\r\\n\\t\\a\\b\\x00\\xff\"\r\n"
            "[3 unix:/run/s] \"SELECT\" \"3\"\r\n"
            "[3 unix:/run/s] \"AUTH\" \"(redacted)\" \"(redacted)\"\r\n"
            "[3 unix:/run/s] \"HELLO\" \"2\" \"AUTH\" \"(redacted)\" "
            "\"(redacted)\" \"SETNAME\" \"me\"\r\n"
            "[3 unix:/run/s] \"CLIENT\" \"REPLY\" \"OFF\"\r\n"
            "[3 unix:/run/s] \"get\" \"b\"\r\n");
  // The line waits for the change as the reply does.
  EXPECT_EQ(seqs[0], store_->last_seq());
}

TEST_F(ServerCommandsTest, ThereIsOneUser) {
  EXPECT_EQ(Send("ACL WHOAMI"), "$7\r\ndefault\r\n");
  EXPECT_EQ(Send("ACL USERS"), "*1\r\n$7\r\ndefault\r\n");
  EXPECT_THAT(Send("ACL LIST"), HasSubstr("user default on nopass"));
  EXPECT_THAT(Send("ACL CAT"), HasSubstr("\r\nstring\r\n"));
  EXPECT_THAT(Send("ACL CAT String"), HasSubstr("\r\nget\r\n"));
  EXPECT_THAT(Send("ACL CAT admin"), HasSubstr("\r\nconfig|set\r\n"));
  EXPECT_EQ(Send("ACL CAT nope"), "-ERR Unknown category 'nope'\r\n");
  EXPECT_EQ(Send("ACL SETUSER x"),
            "-ERR unknown subcommand 'SETUSER'. Try ACL HELP.\r\n");
}

TEST_F(ServerCommandsTest, ThereAreNoFunctions) {
  EXPECT_EQ(Send("FUNCTION FLUSH"), "+OK\r\n");
  EXPECT_EQ(Send("FUNCTION FLUSH ASYNC"), "+OK\r\n");
  EXPECT_THAT(Send("FUNCTION FLUSH NOPE"), StartsWith("-ERR FUNCTION FLUSH"));
  EXPECT_EQ(Send("FUNCTION LOAD x"),
            "-ERR unknown subcommand 'LOAD'. Try FUNCTION HELP.\r\n");
}

TEST_F(ServerCommandsTest, OwnContainersExplainThemselves) {
  EXPECT_EQ(Send("kv.latency NOPE"),
            "-ERR unknown subcommand 'NOPE'. Try KV.LATENCY HELP.\r\n");
  EXPECT_THAT(Send("kv.latency help"), StartsWith("*7\r\n"));
  EXPECT_THAT(Send("KV.BACKUP HELP"), HasSubstr("READ segment offset bytes"));
}

TEST_F(ServerCommandsTest, DebugIsOffUnlessASettingAllowsIt) {
  for (const char* line : {"DEBUG SLEEP 0", "DEBUG HELP", "DEBUG OBJECT a"}) {
    EXPECT_THAT(Send(line), StartsWith("-ERR DEBUG command not allowed. "));
  }
}

TEST_F(ServerCommandsTest, DebugDoesWhatTestsNeed) {
  config_.debug.commands = true;
  Send("SET a 12");
  EXPECT_EQ(Send("DEBUG SLEEP 0"), "+OK\r\n");
  EXPECT_THAT(Send("DEBUG SLEEP 11"), StartsWith("-ERR DEBUG SLEEP takes"));
  EXPECT_THAT(Send("DEBUG SLEEP -1"), StartsWith("-ERR DEBUG SLEEP takes"));
  EXPECT_EQ(Send("DEBUG SET-ACTIVE-EXPIRE 0"), "+OK\r\n");
  EXPECT_FALSE(service_->removes_expired);
  EXPECT_EQ(Send("debug set-active-expire 1"), "+OK\r\n");
  EXPECT_TRUE(service_->removes_expired);
  EXPECT_THAT(Send("DEBUG OBJECT a"),
              HasSubstr(" refcount:1 encoding:int serializedlength:2 "));
  EXPECT_EQ(Send("DEBUG OBJECT b"), "-ERR no such key\r\n");
  EXPECT_EQ(Send("DEBUG RELOAD"), "+OK\r\n");
  EXPECT_THAT(Send("DEBUG JMAP"), StartsWith("-ERR unknown subcommand or"));
  std::string reply;
  Run({"SET", "a", "13"}, &reply);
  EXPECT_EQ(Run({"DEBUG", "RELOAD"}, &reply).seen, store_->last_seq());
}

TEST_F(ServerCommandsTest, DebugProtocolHasEveryType) {
  config_.debug.commands = true;
  const auto reply = [&](const std::string& type) {
    return Send("DEBUG PROTOCOL " + type);
  };
  EXPECT_EQ(reply("true"), ":1\r\n");
  EXPECT_EQ(reply("bignum"),
            "$37\r\n1234567999999999999999999999999999999\r\n");
  EXPECT_EQ(reply("map"), "*6\r\n:0\r\n:0\r\n:1\r\n:1\r\n:2\r\n:0\r\n");
  EXPECT_EQ(reply("push"), "-ERR RESP2 is not supported by this command\r\n");
  EXPECT_EQ(reply("attrib"),
            "$39\r\nSome real reply following the attribute\r\n");
  Send("HELLO 3");
  EXPECT_EQ(reply("string"), "$11\r\nHello World\r\n");
  EXPECT_EQ(reply("integer"), ":12345\r\n");
  EXPECT_EQ(reply("double"), ",3.141\r\n");
  EXPECT_EQ(reply("null"), "_\r\n");
  EXPECT_EQ(reply("array"), "*3\r\n:0\r\n:1\r\n:2\r\n");
  EXPECT_EQ(reply("set"), "~3\r\n:0\r\n:1\r\n:2\r\n");
  EXPECT_EQ(reply("map"), "%3\r\n:0\r\n#f\r\n:1\r\n#t\r\n:2\r\n#f\r\n");
  EXPECT_EQ(reply("false"), "#f\r\n");
  EXPECT_EQ(reply("bignum"), "(1234567999999999999999999999999999999\r\n");
  EXPECT_EQ(reply("verbatim"), "=29\r\ntxt:This is a verbatim\nstring\r\n");
  EXPECT_THAT(reply("attrib"), StartsWith("|1\r\n$14\r\nkey-popularity\r\n"));
  EXPECT_THAT(reply("push"), StartsWith(">2\r\n$16\r\nserver-cpu-usage\r\n"));
  EXPECT_THAT(reply("nope"), StartsWith("-ERR Wrong protocol type name."));
}

TEST_F(ServerCommandsTest, InfoHasTheMeanTimeToLive) {
  Send("SET forever 1");
  EXPECT_THAT(Send("INFO keyspace"),
              HasSubstr("db0:keys=1,expires=0,avg_ttl=0\r\n"));
  Send("SET a 1 PX 1000");
  Send("SET b 1 PX 3000");
  EXPECT_THAT(Send("INFO keyspace"),
              HasSubstr("db0:keys=3,expires=2,avg_ttl=2000\r\n"));
  // What nobody has removed yet does not count.
  clock_.AdvanceMs(1500);
  EXPECT_THAT(Send("INFO keyspace"), HasSubstr("avg_ttl=1500\r\n"));
  Send("SET far 1 PXAT 9223372036854775807");
  EXPECT_THAT(Send("INFO keyspace"), HasSubstr("avg_ttl=4611685"));
}

// What redis_exporter and telegraf read and compute with.
TEST_F(ServerCommandsTest, InfoHasTheFieldsOfExporters) {
  Send("SET a 1");
  Send("SET b 1 EX 100");
  const std::string info = Send("INFO everything");
  for (const char* field : {"run_id",
                            "config_file",
                            "instantaneous_ops_per_sec",
                            "instantaneous_input_kbps",
                            "instantaneous_output_kbps",
                            "total_net_input_bytes",
                            "total_net_output_bytes",
                            "total_net_repl_input_bytes",
                            "evicted_keys",
                            "expired_keys",
                            "keyspace_hits",
                            "keyspace_misses",
                            "latest_fork_usec",
                            "sync_full",
                            "mem_not_counted_for_evict",
                            "mem_aof_buffer",
                            "lazyfree_pending_objects",
                            "used_cpu_sys",
                            "used_cpu_user",
                            "used_cpu_sys_children",
                            "rdb_last_save_time",
                            "rdb_last_cow_size",
                            "aof_current_rewrite_time_sec",
                            "aof_delayed_fsync",
                            "master_repl_offset",
                            "repl_backlog_size",
                            "connected_slaves",
                            "loading",
                            "blocked_clients"}) {
    EXPECT_THAT(info, HasSubstr("\r\n" + std::string(field) + ":"));
  }
  EXPECT_THAT(info, HasSubstr("db0:keys=2,expires=1,avg_ttl=100000\r\n"));
  EXPECT_THAT(info, HasSubstr("# Latencystats\r\n"));
  const std::string two = Send("INFO cpu keyspace");
  EXPECT_THAT(two, HasSubstr("# CPU"));
  EXPECT_THAT(two, HasSubstr("# Keyspace"));
  EXPECT_EQ(two.find("# Server"), two.npos);
}

}  // namespace
}  // namespace kvd
