// SPDX-License-Identifier: MIT
//
// CONFIG SET and GET. What changes with a setting is tested where it is used.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/daemon/command_rig.h"

namespace kvd {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class ConfigTest : public testing::Test, protected CommandRig {
 protected:
  std::string Get(const std::string& name) {
    const std::string reply = Send("CONFIG GET " + name);
    const size_t value = reply.rfind("\r\n", reply.size() - 3) + 2;
    return reply.substr(value, reply.size() - value - 2);
  }
};

TEST_F(ConfigTest, SetsWhatChangesAtRunTime) {
  EXPECT_EQ(Send("CONFIG SET slowlog.threshold 5ms Slowlog.Length 7"),
            "+OK\r\n");
  EXPECT_EQ(Get("slowlog.threshold"), "5ms");
  EXPECT_EQ(Get("slowlog-log-slower-than"), "5000");
  EXPECT_EQ(Get("slowlog-max-len"), "7");
  EXPECT_EQ(service_->changed_settings,
            (std::set<std::string>{"slowlog.length", "slowlog.threshold"}));
}

TEST_F(ConfigTest, GetTakesSeveralPatterns) {
  EXPECT_EQ(Send("CONFIG GET slowlog.l* appendonly slowlog.length"),
            "*4\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n"
            "$14\r\nslowlog.length\r\n$3\r\n128\r\n");
}

TEST_F(ConfigTest, SetsAllOrNone) {
  EXPECT_THAT(Send("CONFIG SET slowlog.length 7 slowlog.threshold 5"),
              StartsWith("-ERR CONFIG SET failed (possibly related to argument "
                         "'slowlog.threshold') - "));
  EXPECT_EQ(Get("slowlog.length"), "128");
  EXPECT_EQ(Send("CONFIG SET slowlog.length 7 nope 1"),
            "-ERR Unknown option or number of arguments for CONFIG SET - "
            "'nope'\r\n");
  EXPECT_EQ(Get("slowlog.length"), "128");
  EXPECT_TRUE(service_->changed_settings.empty());
}

TEST_F(ConfigTest, ValuesThatNeedEachOtherFitInAnyOrder) {
  EXPECT_EQ(
      Send("CONFIG SET limits.output_bytes 20MiB limits.value_size 10MiB"),
      "+OK\r\n");
  EXPECT_EQ(Get("limits.output_bytes"), "20MiB");
  EXPECT_EQ(
      Send("CONFIG SET limits.value_size 30MiB limits.output_bytes 40MiB"),
      "+OK\r\n");
  EXPECT_EQ(Get("limits.value_size"), "30MiB");
}

TEST_F(ConfigTest, RefusesASettingTwice) {
  EXPECT_EQ(Send("CONFIG SET slowlog.length 7 slowlog-max-len 8"),
            "-ERR CONFIG SET failed (possibly related to argument "
            "'slowlog-max-len') - duplicate parameter\r\n");
  EXPECT_EQ(Send("CONFIG SET slowlog.length"),
            "-ERR wrong number of arguments for 'config|set' command\r\n");
  EXPECT_EQ(Send("CONFIG SET slowlog.length 7 x"), "-ERR syntax error\r\n");
}

TEST_F(ConfigTest, RefusesWhatCountsFromTheStart) {
  for (const char* line :
       {"data_dir /x", "socket.path /x", "durability.sync never",
        "limits.input_bytes 1GiB", "debug.commands true", "port 1",
        "databases 16", "unixsocket /x", "enable-debug-command yes"}) {
    const std::string reply = Send(std::string("CONFIG SET ") + line);
    EXPECT_THAT(reply, StartsWith("-ERR CONFIG SET failed")) << line;
  }
  EXPECT_THAT(Send("CONFIG SET data_dir /x"),
              HasSubstr("can't set immutable config: it is read at the start"));
  EXPECT_EQ(config_.debug.commands, false);
  // What it is already it may be.
  EXPECT_EQ(Send("CONFIG SET debug.commands false durability.sync always"),
            "+OK\r\n");
}

TEST_F(ConfigTest, TakesNamesOfRedisThatMeanTheSame) {
  EXPECT_EQ(Send("CONFIG SET maxmemory 100mb slowlog-log-slower-than -1 "
                 "maxclients 50 proto-max-bulk-len 2mb loglevel WARNING"),
            "+OK\r\n");
  EXPECT_EQ(config_.memory.limit.bytes, uint64_t{100} << 20);
  EXPECT_EQ(Get("slowlog-log-slower-than"), "-1");
  EXPECT_EQ(Get("slowlog.threshold"), "");
  EXPECT_EQ(config_.limits.connections, 50);
  EXPECT_EQ(config_.limits.value_bytes, 2u << 20);
  EXPECT_EQ(config_.logging.level, LogLevel::kWarning);
  EXPECT_EQ(Send("CONFIG SET maxmemory 0"), "+OK\r\n");
  EXPECT_TRUE(config_.memory.limit.is_none());
}

TEST_F(ConfigTest, OtherNamesOfRedisKeepTheirValue) {
  EXPECT_EQ(Send("CONFIG SET save  appendonly YES maxmemory-policy noeviction "
                 "timeout 0 appendfsync always"),
            "+OK\r\n");
  for (const char* line :
       {"appendonly no", "maxmemory-policy allkeys-lru", "timeout 5",
        "latency-monitor-threshold 100", "lazyfree-lazy-user-del no",
        "requirepass secret", "appendfsync no"}) {
    EXPECT_THAT(Send(std::string("CONFIG SET ") + line),
                StartsWith("-ERR CONFIG SET failed (possibly"))
        << line;
  }
  EXPECT_THAT(Send({"CONFIG", "SET", "save", "900 1"}),
              HasSubstr("kvd makes no snapshots"));
  EXPECT_TRUE(service_->changed_settings.empty());
}

TEST_F(ConfigTest, RefusesValuesThatAreNone) {
  EXPECT_THAT(Send("CONFIG SET slowlog-max-len x"),
              HasSubstr("argument couldn't be parsed into an integer"));
  EXPECT_THAT(Send("CONFIG SET maxmemory 1xb"),
              HasSubstr("argument must be a memory value"));
  EXPECT_THAT(Send("CONFIG SET maxmemory -1"), StartsWith("-ERR"));
  EXPECT_THAT(Send("CONFIG SET maxmemory 99999999999999999999"),
              StartsWith("-ERR"));
  EXPECT_THAT(Send("CONFIG SET maxmemory 18446744073709551615gb"),
              StartsWith("-ERR"));
  EXPECT_THAT(Send("CONFIG SET memory.value_cache 1000B"),
              HasSubstr("1000B is out of bounds; between 1MiB and"));
  EXPECT_THAT(Send("CONFIG SET limits.output_bytes 1MiB"),
              HasSubstr("limits.output_bytes (1MiB) must hold"));
  service_->connections_possible = 40;
  EXPECT_THAT(Send("CONFIG SET maxclients 41"),
              HasSubstr("is not able to handle the specified number of clients"
                        ", try with 40"));
}

// In a transaction each CONFIG SET leaves what the others did.
TEST_F(ConfigTest, ChangesAreMadeWhenItIsCertain) {
  std::vector<std::function<void()>> effects;
  const auto queue = [&](std::vector<std::string_view> words) {
    std::string text;
    ReplyWriter reply(&text, 2);
    Call call{nullptr, words, reply, session_, *service_};
    call.effects = &effects;
    FindSubcommand(*FindCommand("CONFIG"), words[1])->handler(call);
    return text;
  };
  EXPECT_EQ(queue({"CONFIG", "SET", "slowlog.length", "7"}), "+OK\r\n");
  EXPECT_EQ(queue({"CONFIG", "SET", "slowlog.threshold", "1s"}), "+OK\r\n");
  EXPECT_THAT(queue({"CONFIG", "REWRITE"}), HasSubstr("in a transaction"));
  EXPECT_EQ(Get("slowlog.length"), "128");
  for (const auto& effect : effects) effect();
  EXPECT_EQ(Get("slowlog.length"), "7");
  EXPECT_EQ(Get("slowlog.threshold"), "1s");
}

TEST_F(ConfigTest, RewriteNeedsAFile) {
  EXPECT_EQ(Send("CONFIG REWRITE"),
            "-ERR The server is running without a config file\r\n");
  service_->config_file = "/nonexistent/kvd.toml";
  EXPECT_EQ(Send("CONFIG REWRITE"),
            "-ERR Rewriting config file: /nonexistent/kvd.toml: No such file "
            "or directory\r\n");
}

}  // namespace
}  // namespace kvd
