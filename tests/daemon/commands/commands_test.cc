// SPDX-License-Identifier: MIT
//
// Commands against a real store on a simulated disk, without any socket.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/limits.h"
#include "base/planted_bug.h"
#include "daemon/commands/text.h"
#include "tests/daemon/command_rig.h"

namespace kvd {
namespace {

class CommandsTest : public testing::Test, protected CommandRig {
 protected:
  using CommandRig::Run;  // Not the private one of testing::Test.

  explicit CommandsTest(const StoreOptions& options = SmallStore())
      : CommandRig(options) {
    config_.limits.value_bytes = kValueLimit;
  }

  static constexpr uint64_t kValueLimit = 32 << 10;
};

TEST_F(CommandsTest, AReplyWaitsForTheChangeThatItShows) {
  std::string reply;
  const Executed set = Run({"SET", "a", "1"}, &reply);
  EXPECT_TRUE(store_->MustWait(set.seen));
  const Executed get = Run({"GET", "a"}, &reply);
  EXPECT_EQ(get.seen, set.seen);
  MakeDurable();
  EXPECT_FALSE(store_->MustWait(get.seen));
}

TEST_F(CommandsTest, AnAbsenceWaitsForTheRemovalThatItShows) {
  Send("SET a 1");
  std::string reply;
  const Executed del = Run({"DEL", "a"}, &reply);
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"GET", "a"},
        {"EXISTS", "a"},
        {"DBSIZE"},
        {"KEYS", "*"},
        {"SCAN", "0"}}) {
    EXPECT_TRUE(store_->MustWait(Run(words, &reply).seen)) << words[0];
  }
  EXPECT_TRUE(store_->MustWait(del.seen));
}

// What is said of all changes together waits for the newest.
TEST_F(CommandsTest, FiguresWaitForTheChangesThatTheyShow) {
  config_.slowlog.threshold_us = 0;
  std::string reply;
  const Executed set = Run({"SET", "a", "1"}, &reply);
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"SLOWLOG", "GET"},
        {"MEMORY", "STATS"},
        {"MEMORY", "DOCTOR"},
        {"MEMORY", "USAGE", "a"}}) {
    EXPECT_EQ(Run(words, &reply).seen, set.seen) << words[0] << words[1];
  }
  EXPECT_EQ(Run({"SLOWLOG", "GET", "0"}, &reply).seen, 0u);
  // They must answer while the disk does not: their headers say so.
  EXPECT_EQ(Run({"INFO"}, &reply).seen, 0u);
  EXPECT_EQ(Run({"KV.STATUS"}, &reply).seen, 0u);
  MakeDurable();
  EXPECT_FALSE(store_->MustWait(Run({"SLOWLOG", "GET"}, &reply).seen));
}

TEST_F(CommandsTest, WhatShowsNothingUndurableDoesNotWait) {
  Send("SET a 1");
  std::string reply;
  Run({"SET", "b", "1"}, &reply);
  EXPECT_FALSE(store_->MustWait(Run({"GET", "a"}, &reply).seen));
  EXPECT_FALSE(store_->MustWait(Run({"GET", "nosuch"}, &reply).seen));
  EXPECT_FALSE(store_->MustWait(Run({"PING"}, &reply).seen));
}

TEST_F(CommandsTest, WritersParkWithoutEffectWhenTheOpenGroupIsFull) {
  std::string reply;
  const std::string value(kValueLimit - 100, 'x');
  int executed = 0;
  while (
      Run({"SET", "k" + std::to_string(executed), value}, &reply).waits_for ==
      WaitsFor::kNothing) {
    ASSERT_LT(++executed, 1000);
  }
  const size_t replies = reply.size();
  EXPECT_EQ(Run({"APPEND", "k0", "y"}, &reply).waits_for, WaitsFor::kRoom);
  EXPECT_EQ(Run({"GETSET", "k0", value}, &reply).waits_for, WaitsFor::kRoom);
  EXPECT_EQ(reply.size(), replies);
  EXPECT_EQ(Run({"STRLEN", "k0"}, &reply).waits_for, WaitsFor::kNothing);
  MakeDurable();
  EXPECT_EQ(Send("APPEND k0 y"),
            ":" + std::to_string(value.size() + 1) + "\r\n");
}

TEST_F(CommandsTest, WritersQueueBehindThoseThatWait) {
  std::string reply;
  EXPECT_EQ(Run({"SET", "a", "1"}, &reply, /*queue_writers=*/true).waits_for,
            WaitsFor::kRoom);
  EXPECT_EQ(reply, "");
  EXPECT_EQ(Run({"GET", "a"}, &reply, /*queue_writers=*/true).waits_for,
            WaitsFor::kNothing);
  EXPECT_EQ(reply, "$-1\r\n");
}

TEST_F(CommandsTest, ATooLargeValueChangesNothing) {
  Send("SET a old");
  const std::string large(kValueLimit + 1, 'x');
  const std::vector<std::string> commands[] = {
      {"SET", "a", large},
      {"SETNX", "b", large},
      {"GETSET", "a", large},
      {"APPEND", "a", large.substr(2)},
      {"MSET", "b", "1", "a", large},
      {"SETRANGE", "a", "40000", "x"},
      {"SETEX", "a", "10", large},
      {"MSETEX", "1", "a", large},
      {"BITFIELD", "a", "SET", "i64", "262136", "1"},
      {"KV.SET", "a", large}};
  for (const auto& words : commands) {
    EXPECT_TRUE(
        Send(words).starts_with("-ERR string exceeds maximum allowed "
                                "size"))
        << words[0];
  }
  EXPECT_EQ(Send("GET a"), "$3\r\nold\r\n");
  EXPECT_EQ(Send("EXISTS b"), ":0\r\n");
  EXPECT_EQ(Send({"SET", "a", std::string(kValueLimit, 'x')}), "+OK\r\n");
}

TEST_F(CommandsTest, ATooLongKeyIsRefusedByEveryCommand) {
  const std::string longest(kKeyBytesMax, 'k');
  EXPECT_EQ(Send({"SET", longest, "v"}), "+OK\r\n");
  const std::string key = longest + "k";
  for (const auto& words :
       std::vector<std::vector<std::string>>{{"SET", key, "v"},
                                             {"GET", key},
                                             {"MSET", "a", "1", key, "2"},
                                             {"DEL", "a", key},
                                             {"MSETEX", "1", key, "2"},
                                             {"BITOP", "OR", "a", key},
                                             {"OBJECT", "FREQ", key},
                                             {"KV.GET", key}}) {
    EXPECT_TRUE(Send(words).starts_with("-ERR key is too long")) << words[0];
  }
}

TEST_F(CommandsTest, AnExpiredKeyIsGoneAndItsAbsenceIsLogged) {
  Send("SET a 1 PX 100");
  clock_.AdvanceMs(99);
  EXPECT_EQ(Send("PTTL a"), ":1\r\n");
  clock_.AdvanceMs(1);
  std::string reply;
  const Executed get = Run({"GET", "a"}, &reply);
  EXPECT_EQ(reply, "$-1\r\n");
  EXPECT_TRUE(store_->MustWait(get.seen));
  MakeDurable();
  EXPECT_EQ(Send("TTL a"), ":-2\r\n");
}

TEST_F(CommandsTest, ADeadlineInThePastRemovesTheKey) {
  Send("SET a 1");
  EXPECT_EQ(Send("EXPIRE a -1"), ":1\r\n");
  EXPECT_EQ(Send("EXISTS a"), ":0\r\n");
  EXPECT_EQ(Send("DBSIZE"), ":0\r\n");
}

TEST_F(CommandsTest, AChangedDeadlineIsAChange) {
  const std::string before = Send("KV.SET a 1");
  EXPECT_EQ(Send("EXPIRE a 100"), ":1\r\n");
  const std::string after = Send("KV.GET a");
  EXPECT_EQ(after,
            "*3\r\n$1\r\n1\r\n:" +
                std::to_string(
                    *ParseInteger(before.substr(1, before.size() - 3)) + 1) +
                "\r\n:100000\r\n");
}

TEST_F(CommandsTest, KvGetTellsTheSizeInsteadOfTheValue) {
  const std::string revision = Send("KV.SET a some PX 100");
  EXPECT_EQ(Send("KV.GET a META"), "*3\r\n:4\r\n" + revision + ":100\r\n");
  EXPECT_EQ(Send("KV.GET none meta"), "$-1\r\n");
  EXPECT_EQ(Send("KV.GET a other"), "-ERR syntax error\r\n");
}

TEST_F(CommandsTest, IfRevComparesWithTheNewestRevision) {
  EXPECT_EQ(Send("KV.SET a 1 IFREV 5"), "$-1\r\n");
  const std::string reply = Send("KV.SET a 1 IFREV 0");
  const std::string revision = reply.substr(1, reply.size() - 3);
  EXPECT_EQ(Send("KV.SET a 2 IFREV 0"), "$-1\r\n");
  EXPECT_TRUE(Send("KV.SET a 2 IFREV " + revision).starts_with(":"));
  EXPECT_EQ(Send("KV.SET a 3 IFREV " + revision), "$-1\r\n");
  EXPECT_EQ(Send("KV.DEL a IFREV " + revision), "$-1\r\n");
  EXPECT_EQ(Send("GET a"), "$1\r\n2\r\n");
  EXPECT_TRUE(Send("KV.DEL a").starts_with(":"));
  EXPECT_EQ(Send("KV.DEL a"), "$-1\r\n");
}

TEST_F(CommandsTest, IfEqComparesValues) {
  EXPECT_EQ(Send("SET a 1 IFEQ 1"), "$-1\r\n");
  Send("SET a 1");
  EXPECT_EQ(Send("SET a 2 IFEQ 0"), "$-1\r\n");
  EXPECT_EQ(Send("SET a 2 IFEQ 1"), "+OK\r\n");
  EXPECT_EQ(Send("SET a 3 IFEQ 2 GET"), "$1\r\n2\r\n");
  EXPECT_EQ(Send("SET a 4 IFEQ 3 NX"), "-ERR syntax error\r\n");
  EXPECT_EQ(Send("DELIFEQ a 2"), ":0\r\n");
  EXPECT_EQ(Send("DELIFEQ a 3"), ":1\r\n");
}

TEST_F(CommandsTest, DelCountsAKeyNamedTwiceOnce) {
  Send("MSET a 1 b 2");
  EXPECT_EQ(Send("DEL a a nosuch b"), ":2\r\n");
}

TEST_F(CommandsTest, DatabasesAreSeparate) {
  Send("SET a 0");
  EXPECT_EQ(Send("SELECT 15"), "+OK\r\n");
  EXPECT_EQ(Send("GET a"), "$-1\r\n");
  Send("SET a 15");
  EXPECT_EQ(Send("FLUSHDB"), "+OK\r\n");
  EXPECT_EQ(Send("DBSIZE"), ":0\r\n");
  EXPECT_EQ(Send("SELECT 16"), "-ERR DB index is out of range\r\n");
  EXPECT_EQ(Send("SELECT 0"), "+OK\r\n");
  EXPECT_EQ(Send("GET a"), "$1\r\n0\r\n");
  EXPECT_EQ(Send("FLUSHALL"), "+OK\r\n");
  EXPECT_EQ(Send("GET a"), "$-1\r\n");
}

TEST_F(CommandsTest, SwapDbExchangesWhatTheNumbersMean) {
  Send("SET a 0");
  Send("SELECT 3");
  Send("SET a 3");
  // Before it is durable, and whichever database the connection has selected.
  std::string reply;
  Run({"SWAPDB", "0", "3"}, &reply);
  const Executed get = Run({"GET", "a"}, &reply);
  Run({"DBSIZE"}, &reply);
  EXPECT_EQ(reply, "+OK\r\n$1\r\n0\r\n:1\r\n");
  EXPECT_TRUE(store_->MustWait(get.seen));
  Run({"SELECT", "1"}, &reply);
  EXPECT_FALSE(store_->MustWait(Run({"GET", "a"}, &reply).seen));
  MakeDurable();
  EXPECT_FALSE(store_->MustWait(get.seen));
  Send("SELECT 0");
  EXPECT_EQ(Send("GET a"), "$1\r\n3\r\n");
  EXPECT_EQ(Send("SWAPDB 3 0"), "+OK\r\n");
  EXPECT_EQ(Send("GET a"), "$1\r\n0\r\n");
}

TEST_F(CommandsTest, SwapDbRefusesWhatIsNoDatabase) {
  EXPECT_EQ(Send("SWAPDB x 0"), "-ERR invalid first DB index\r\n");
  EXPECT_EQ(Send("SWAPDB 99 y"), "-ERR invalid second DB index\r\n");
  EXPECT_EQ(Send("SWAPDB 2147483648 0"), "-ERR invalid first DB index\r\n");
  EXPECT_EQ(Send("SWAPDB 0 2147483647"), "-ERR DB index is out of range\r\n");
  EXPECT_EQ(Send("SWAPDB 16 0"), "-ERR DB index is out of range\r\n");
  EXPECT_EQ(Send("SWAPDB 0 -1"), "-ERR DB index is out of range\r\n");
  const Seq before = store_->last_seq();
  EXPECT_EQ(Send("SWAPDB 2 2"), "+OK\r\n");
  EXPECT_EQ(store_->last_seq(), before);
}

TEST_F(CommandsTest, ErrorsThatClientsMatchAreExact) {
  EXPECT_EQ(Send("foo"),
            "-ERR unknown command 'foo', with args beginning with: \r\n");
  EXPECT_EQ(Send("foo a b"),
            "-ERR unknown command 'foo', with args beginning with: 'a' 'b' "
            "\r\n");
  EXPECT_EQ(Send("get"),
            "-ERR wrong number of arguments for 'get' command\r\n");
  EXPECT_EQ(Send("CLIENT SETNAME"),
            "-ERR wrong number of arguments for 'client|setname' command\r\n");
  EXPECT_EQ(Send("HELLO 4"), "-NOPROTO unsupported protocol version\r\n");
  EXPECT_EQ(Send("AUTH x"),
            "-ERR AUTH <password> called without any password configured for "
            "the default user. Are you sure your configuration is correct?"
            "\r\n");
  EXPECT_TRUE(Send("CLIENT MAINT_NOTIFICATIONS ON").starts_with("-ERR"));
  EXPECT_EQ(Send("CLUSTER INFO"),
            "-ERR This instance has cluster support disabled\r\n");
}

TEST_F(CommandsTest, AnErrorStaysOneLine) {
  const std::string reply =
      Send(std::vector<std::string>{"x\r\ny", "a\r\n+OK\r\n"});
  EXPECT_EQ(reply.find("\r\n"), reply.size() - 2);
}

TEST_F(CommandsTest, HelloSwitchesTheProtocolForItsOwnReply) {
  EXPECT_TRUE(Send("HELLO").starts_with("*14\r\n"));
  EXPECT_TRUE(Send("HELLO 3 SETNAME me").starts_with("%7\r\n"));
  EXPECT_EQ(Send("GET nosuch"), "_\r\n");
  EXPECT_EQ(Send("CLIENT GETNAME"), "$2\r\nme\r\n");
  EXPECT_EQ(Send("RESET"), "+RESET\r\n");
  EXPECT_EQ(Send("GET nosuch"), "$-1\r\n");
}

TEST_F(CommandsTest, AFailedHelloChangesNothing) {
  EXPECT_TRUE(
      Send("HELLO 3 SETNAME me AUTH foo bar").starts_with("-WRONGPASS"));
  EXPECT_EQ(session_.protocol, 2);
  EXPECT_EQ(session_.name, "");
}

TEST_F(CommandsTest, ClientReplySilencesWhatItSays) {
  EXPECT_EQ(Send("CLIENT REPLY SKIP"), "");
  EXPECT_EQ(Send("PING"), "");
  EXPECT_EQ(Send("PING"), "+PONG\r\n");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Send("CLIENT REPLY SKIP"), "");
  EXPECT_EQ(Send("CLIENT REPLY NOPE"), "");
  EXPECT_EQ(Send("PING"), "+PONG\r\n");
  EXPECT_EQ(Send("CLIENT REPLY SKIP"), "");
  EXPECT_EQ(Send("CLIENT REPLY ON"), "+OK\r\n");
  EXPECT_EQ(Send("CLIENT REPLY SKIP"), "");
  EXPECT_EQ(Send("CLIENT REPLY OFF"), "");
  EXPECT_EQ(Send("CLIENT REPLY SKIP"), "");
  EXPECT_EQ(Send("SET a 1"), "");
  EXPECT_EQ(Send("CLIENT REPLY ON"), "+OK\r\n");
  EXPECT_EQ(Send("GET a"), "$1\r\n1\r\n");
}

TEST_F(CommandsTest, EveryCommandAnswersOnceWhateverItIsGiven) {
  for (const Command& command : Commands()) {
    for (size_t words = 1; words < 8; ++words) {
      std::vector<std::string> line(words, "1");
      line[0] = std::string(command.name);
      const std::string reply = Send(line);
      const bool silent = command.name == "SHUTDOWN" && words == 1;
      EXPECT_EQ(reply.empty(), silent) << command.name << " " << words;
      session_.EndTransaction();  // Else MULTI would have the rest queued.
    }
  }
}

TEST_F(CommandsTest, ScanSeesEveryKeyOnce) {
  for (int i = 0; i < 500; ++i) Send("SET key" + std::to_string(i) + " v");
  size_t seen = 0;
  std::string cursor = "0";
  do {
    const std::string reply = Send("SCAN " + cursor + " COUNT 20");
    const size_t start = reply.find("\r\n", 4) + 2;
    cursor = reply.substr(start, reply.find("\r\n", start) - start);
    for (size_t at = 0; (at = reply.find("\r\nkey", at)) != std::string::npos;
         ++at) {
      ++seen;
    }
  } while (cursor != "0");
  EXPECT_EQ(seen, 500u);
}

TEST_F(CommandsTest, ConfigGetKnowsWhatBenchmarksAskFor) {
  EXPECT_EQ(Send("CONFIG GET save"), "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
  EXPECT_EQ(Send("CONFIG GET appendonly"),
            "*2\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n");
  EXPECT_EQ(Send("CONFIG GET LIMITS.CONNECTIONS"),
            "*2\r\n$18\r\nlimits.connections\r\n$5\r\n10000\r\n");
  EXPECT_EQ(Send("CONFIG GET nosuch"), "*0\r\n");
}

TEST_F(CommandsTest, StatisticsCountCallsAndFailures) {
  Send("INCR n");
  Send("SET s x");
  Send("INCR s");
  Send("INCR");
  const std::string info = Send("INFO commandstats");
  EXPECT_NE(info.find("cmdstat_incr:calls=2,"), std::string::npos) << info;
  EXPECT_NE(info.find("rejected_calls=1,failed_calls=1"), std::string::npos);
}

TEST_F(CommandsTest, MemoryUsageIsThatOfTheKeyAndTheValueThatIsThere) {
  const auto usage = [&](const std::string& key) {
    return std::stoll(Send("MEMORY USAGE " + key).substr(1));
  };
  Send("SET a " + std::string(1000, 'v'));
  const int64_t plain = usage("a");
  EXPECT_GE(plain, 1000 + 24 + 1 + 8);
  EXPECT_LE(plain, 1000 + 24 + 1 + 64);
  EXPECT_EQ(Send("MEMORY USAGE a SAMPLES 0"),
            ":" + std::to_string(plain) + "\r\n");
  Send("EXPIRE a 1000");
  EXPECT_GE(usage("a"), plain + 16);
  EXPECT_LE(usage("a"), plain + 48);
  EXPECT_EQ(Send("MEMORY USAGE nosuch"), "$-1\r\n");

  Send("PEXPIRE a 1");
  clock_.AdvanceMs(2);
  EXPECT_EQ(Send("MEMORY USAGE a"), "$-1\r\n");
  EXPECT_EQ(Send("DBSIZE"), ":0\r\n");
}

TEST_F(CommandsTest, MemoryUsageWaitsForTheChangeThatItShows) {
  std::string reply;
  const Executed set = Run({"SET", "a", "1"}, &reply);
  EXPECT_EQ(Run({"MEMORY", "USAGE", "a"}, &reply).seen, set.seen);
}

// The fields that redis_exporter and Datadog's check read or compute with, as
// far as kvd has a meaning for them.
TEST_F(CommandsTest, InfoHasWhatExportersComputeWith) {
  const std::string info = Send("INFO");
  for (const std::string field : {"used_memory",
                                  "used_memory_rss",
                                  "used_memory_peak",
                                  "used_memory_peak_human",
                                  "used_memory_peak_perc",
                                  "used_memory_overhead",
                                  "used_memory_dataset",
                                  "total_system_memory",
                                  "total_system_memory_human",
                                  "maxmemory",
                                  "mem_fragmentation_ratio",
                                  "mem_fragmentation_bytes",
                                  "mem_clients_normal",
                                  "maxclients",
                                  "rdb_last_save_time",
                                  "rdb_changes_since_last_save",
                                  "rdb_bgsave_in_progress",
                                  "rdb_last_bgsave_status",
                                  "rdb_last_bgsave_time_sec",
                                  "aof_enabled",
                                  "aof_current_size",
                                  "aof_buffer_length",
                                  "aof_rewrite_in_progress",
                                  "aof_last_rewrite_time_sec",
                                  "uptime_in_seconds",
                                  "connected_clients",
                                  "blocked_clients",
                                  "rejected_connections",
                                  "expired_keys",
                                  "evicted_keys",
                                  "keyspace_hits",
                                  "keyspace_misses",
                                  "used_cpu_sys",
                                  "used_cpu_user",
                                  "connected_slaves",
                                  "master_repl_offset"}) {
    EXPECT_NE(info.find("\n" + field + ":"), std::string::npos) << field;
  }
}

uint64_t Figure(const std::string& info, const std::string& field) {
  const size_t at = info.find("\n" + field + ":");
  KVD_CHECK(at != std::string::npos);
  return std::stoull(info.substr(at + field.size() + 2));
}

TEST_F(CommandsTest, InfoRemembersThePeakOfMemory) {
  Send({"SET", "a", std::string(kValueLimit, 'x')});
  const uint64_t peak = Figure(Send("INFO memory"), "used_memory");
  Send("DEL a");
  const std::string info = Send("INFO memory");
  EXPECT_LT(Figure(info, "used_memory"), peak);
  EXPECT_EQ(Figure(info, "used_memory_peak"), peak);
}

// With all on disk that is now; else when that was so last.
TEST_F(CommandsTest, InfoTellsWhenAllWasDurable) {
  const auto now_s = [&] {
    return static_cast<uint64_t>(clock_.WallMs()) / 1000;
  };
  EXPECT_EQ(Figure(Send("INFO persistence"), "rdb_last_save_time"), now_s());
  service_->all_durable_s = 7;
  std::string reply;
  Run({"SET", "a", "1"}, &reply);
  Run({"INFO", "persistence"}, &reply);
  EXPECT_EQ(Figure(reply, "rdb_last_save_time"), 7u);
  EXPECT_EQ(Figure(Send("INFO persistence"), "rdb_last_save_time"), 7u);
  EXPECT_EQ(Figure(Send("INFO persistence"), "rdb_last_save_time"), now_s());
}

TEST_F(CommandsTest, MemoryStatsAreAMapOfFigures) {
  Send("SET a 1");
  Send("HELLO 3");
  const std::string stats = Send("MEMORY STATS");
  EXPECT_TRUE(stats.starts_with("%22\r\n")) << stats;
  EXPECT_EQ(std::count(stats.begin(), stats.end(), '$'), 22);
  EXPECT_NE(stats.find("keys.count\r\n:1\r\n"), std::string::npos);
  // Header, key and value.
  EXPECT_NE(stats.find(fmt::format("dataset.bytes\r\n:{}\r\n",
                                   EntryHeap::Footprint(24 + 1 + 1))),
            std::string::npos);
  EXPECT_NE(stats.find("kvd.values\r\n:1\r\n"), std::string::npos);
}

TEST_F(CommandsTest, MemoryPurgeChangesNothing) {
  Send("SET a 1");
  EXPECT_EQ(Send("MEMORY PURGE"), "+OK\r\n");
  EXPECT_EQ(Send("GET a"), "$1\r\n1\r\n");
}

// Calls `each` with words for a command, known from its row alone: any of
// `keys` where it takes keys, and any of `others` elsewhere, up to three of
// them.
template <typename Each>
void ForEachWords(const Command& command, const std::vector<std::string>& keys,
                  const std::vector<std::string>& others, Each each) {
  constexpr int kOthersMax = 3;
  std::vector<std::string> words;
  const auto extend = [&](const auto& self, size_t size,
                          const std::vector<bool>& is_key, int left) -> void {
    if (words.size() == size) return each(words);
    const bool key = is_key[words.size()];
    if (!key && left == 0) return;
    for (const std::string& word : key ? keys : others) {
      words.push_back(word);
      self(self, size, is_key, left - (key ? 0 : 1));
      words.pop_back();
    }
  };
  const int longest = std::min(command.words_max, command.words_min + 3);
  for (int size = command.words_min; size <= longest; ++size) {
    std::vector<bool> is_key(static_cast<size_t>(size));
    // Where a word counts the keys, there is one.
    const std::vector<std::string_view> sample(is_key.size(), "1");
    ForEachKey(command, sample, [&](size_t i) { is_key[i] = true; });
    words = {std::string(command.name)};
    extend(extend, is_key.size(), is_key, kOthersMax);
  }
}

// What a reply that cannot be sent would show is not changed either.
class TooLargeReplies : public CommandsTest {
 protected:
  TooLargeReplies() { config_.limits.output_bytes = 100; }

  // Runs all writing commands; returns those that refused to answer, and
  // those of them that changed something.
  void RunWriters(std::set<std::string>* refused,
                  std::set<std::string>* wrong) {
    const std::string large(200, 'x');
    for (const Command& command : Commands()) {
      if (command.access != Access::kWrite) continue;
      ForEachWords(
          command, {"a"},
          {"GET", "EX", "PERSIST", "XX", "KEEPTTL", "1", "1000", "PXAT"},
          [&](const std::vector<std::string>& words) {
            if (Send("STRLEN a") != ":200\r\n") Send({"SET", "a", large});
            const Seq before = store_->last_seq();
            if (!Send(words).starts_with("-ERR the reply takes ")) return;
            refused->insert(words[0]);
            if (store_->last_seq() != before) wrong->insert(words[0]);
          });
    }
  }
};

TEST_F(TooLargeReplies, ChangeNothing) {
  std::set<std::string> refused;
  std::set<std::string> wrong;
  RunWriters(&refused, &wrong);
  EXPECT_EQ(refused,
            (std::set<std::string>{"GETDEL", "GETEX", "GETSET", "SET"}));
  EXPECT_EQ(wrong, std::set<std::string>());
}

#ifdef KVD_PLANTED_BUGS
TEST_F(TooLargeReplies, WouldChangeSomethingIfLookedAtAfterwards) {
  const ScopedPlantedBug planted(PlantedBug::kReplyLimitAfterChange);
  std::set<std::string> refused;
  std::set<std::string> wrong;
  RunWriters(&refused, &wrong);
  EXPECT_EQ(wrong, refused);
  EXPECT_EQ(wrong.size(), 4u);
}
#endif

TEST_F(TooLargeReplies, AreErrorsThatSaySo) {
  Send({"SET", "a", std::string(95, 'x')});
  EXPECT_EQ(Send("GET a"),
            "-ERR the reply takes 102 bytes or more, and limits.output_bytes "
            "is 100B; nothing was changed. Ask for less at once\r\n");
  EXPECT_EQ(Send("GETRANGE a 0 79"), "$80\r\n" + std::string(80, 'x') + "\r\n");
  for (const char* line :
       {"MGET a b a", "KV.GET a", "COMMAND", "COMMAND DOCS get", "INFO server",
        "CLIENT LIST", "CONFIG GET *", "KV.STATUS"}) {
    EXPECT_TRUE(Send(line).starts_with("-ERR the reply takes ")) << line;
  }
  for (int i = 0; i < 30; ++i) Send(fmt::format("SET key{} v", i));
  EXPECT_TRUE(Send("KEYS *").starts_with("-ERR the reply takes "));
  EXPECT_TRUE(Send("SCAN 0 COUNT 30").starts_with("-ERR the reply takes "));
  EXPECT_TRUE(Send("SCAN 0 COUNT 4").starts_with("*2\r\n"));
  EXPECT_EQ(Send("GET key1"), "$1\r\nv\r\n");
}

// However long its names, at most what was asked for is kept of a reply.
TEST_F(TooLargeReplies, AreNotMadeFirst) {
  Send({"SET", "a", std::string(kLentBytesMin, 'x')});
  config_.limits.output_bytes = 10 * kLentBytesMin;
  std::vector<std::string> words(100'000, "a");
  words[0] = "MGET";
  std::string reply;
  Run(words, &reply);
  EXPECT_TRUE(reply.starts_with("-ERR the reply takes ")) << reply;
  EXPECT_LT(reply.capacity(), 20 * kLentBytesMin);
}

TEST_F(CommandsTest, ListingManyKeysGivesWay) {
  constexpr int kKeys = 40'000;
  for (int i = 0; i < kKeys; i += 500) {
    std::vector<std::string> words = {"MSET"};
    for (int k = i; k < i + 500; ++k) {
      words.push_back(fmt::format("key{:05}", k));
      words.push_back("v");
    }
    Send(words);
  }
  int shares = 0;
  std::string reply;
  while (Run({"KEYS", "*7"}, &reply).waits_for == WaitsFor::kOthers) {
    EXPECT_EQ(reply, "");
    ASSERT_LT(++shares, kKeys);
  }
  EXPECT_GT(shares, 2);
  EXPECT_TRUE(reply.starts_with("*4000\r\n$8\r\nkey"));
  EXPECT_EQ(reply.size(), 7 + 4000 * (4 + 8 + 2));
  EXPECT_EQ(session_.listing, nullptr);
  // SCAN's caller asks again anyway.
  reply.clear();
  EXPECT_EQ(Run({"SCAN", "0", "COUNT", "1000000"}, &reply).waits_for,
            WaitsFor::kNothing);
  EXPECT_FALSE(reply.starts_with("*2\r\n$1\r\n0\r\n"));
  EXPECT_LT(reply.size(), 20'000u * 14);
  // What cannot be sent is not collected to the end.
  config_.limits.output_bytes = 20'000;
  int before_refusal = 0;
  reply.clear();
  while (Run({"KEYS", "*"}, &reply).waits_for == WaitsFor::kOthers) {
    ++before_refusal;
  }
  EXPECT_TRUE(reply.starts_with("-ERR the reply takes ")) << reply;
  EXPECT_LT(before_refusal, shares);
  EXPECT_EQ(session_.listing, nullptr);
}

TEST_F(CommandsTest, NamesAreNotManyMoreThanThereAre) {
  for (const char* line : {"COMMAND DOCS", "COMMAND INFO", "CONFIG GET", "INFO",
                           "LATENCY HISTOGRAM", "KV.LATENCY COMMANDS"}) {
    std::string names;
    for (int i = 0; i < 300; ++i) names += " get";
    EXPECT_TRUE(Send(line + names).starts_with("-ERR too many arguments"))
        << line;
  }
}

TEST_F(CommandsTest, ClientListShowsEachClientOnce) {
  const std::string once = Send("CLIENT LIST ID 1");
  const std::string again = Send("CLIENT LIST ID 2 1 1 3 1");
  EXPECT_EQ(std::count(once.begin(), once.end(), '\n'),
            std::count(again.begin(), again.end(), '\n'));
}

// Keys have taken all the memory that there is.
class AtTheMemoryLimit : public CommandsTest {
 protected:
  AtTheMemoryLimit() : CommandsTest(OneMebibyte()) {
    Send("SET number 5");
    Send("SET text abc");
    Send("SET brief abc EX 1000");
    Send("SET story " + std::string(100, 'o'));
    for (char c = 'a'; !store_->Stats().memory_full; ++c) {
      KVD_CHECK(c <= 'z');
      Send("SET " + std::string(60'000, c) + " v");
    }
  }

  static StoreOptions OneMebibyte() {
    StoreOptions options = SmallStore();
    options.memory_limit_bytes = 1 << 20;
    return options;
  }

  std::string Refusal() {
    return "-OOM command not allowed when used memory > 'maxmemory'. " +
           std::to_string(store_->memory_bytes()) +
           "B of 1MiB are used (memory.limit); nothing was changed. Reads, "
           "deletes and writes that do not grow go on\r\n";
  }
};

TEST_F(AtTheMemoryLimit, WhatNeedsMoreIsRefused) {
  for (const char* line : {"SET new v",
                           "SET text abcd",
                           "SET text abcd XX GET",
                           "SETNX new v",
                           "SETEX new 10 v",
                           "PSETEX text 10000 abcd",
                           "GETSET text abcd",
                           "APPEND text d",
                           "APPEND new d",
                           "SETRANGE text 3 d",
                           "INCR new",
                           "INCRBY number 5",
                           "DECRBY number 6",
                           "INCRBYFLOAT number 0.5",
                           "RENAME text longer",
                           "RENAMENX text longer",
                           "EXPIRE text 1000",
                           "GETEX text EX 1000",
                           "SET text abc EX 1000",
                           "KV.SET text abc EX 10",
                           "MSET text abc new v",
                           "MSETNX new v newer v",
                           "KV.SET new v",
                           "KV.SET text abcd",
                           "SET text abcd IFNE x",
                           "MSETEX 1 new v",
                           "MSETEX 1 text abc EX 10",
                           "SETBIT text 24 1",
                           "SETBIT new 1 1",
                           "BITFIELD text SET u8 17 1",
                           "BITOP NOT new text",
                           "COPY text new",
                           "COPY text text DB 1"}) {
    const Seq before = store_->last_seq();
    EXPECT_EQ(Send(line), Refusal()) << line;
    EXPECT_EQ(store_->last_seq(), before) << line;
  }
  EXPECT_EQ(Send("MGET text number new"),
            "*3\r\n$3\r\nabc\r\n$1\r\n5\r\n$-1\r\n");
}

TEST_F(AtTheMemoryLimit, TheRestGoesOn) {
  const auto expect = [&](const char* line, const std::string& reply) {
    EXPECT_EQ(Send(line), reply) << line;
  };
  expect("GET text", "$3\r\nabc\r\n");
  expect("SET text xyz", "+OK\r\n");
  expect("SETNX text longer", ":0\r\n");
  expect("SET new v XX", "$-1\r\n");
  expect("SETRANGE text 1 bc", ":3\r\n");
  expect("INCR number", ":6\r\n");
  expect("MSET text abc number 7", "+OK\r\n");
  expect("EXPIRE brief 2000", ":1\r\n");
  expect("GETEX brief PX 5000", "$3\r\nabc\r\n");
  expect("PERSIST brief", ":1\r\n");
  expect("RENAME brief short", "+OK\r\n");
  expect("EXPIRE short -1", ":1\r\n");
  expect("SETBIT text 1 0", ":1\r\n");
  expect("BITOP NOT text text", ":3\r\n");
  expect("COPY number text REPLACE", ":1\r\n");
  expect("MSETEX 1 text 8 XX", ":1\r\n");
  expect("MOVE text 1", ":1\r\n");
  expect("DELEX story", ":1\r\n");
  expect("DEL number", ":1\r\n");
}

TEST_F(AtTheMemoryLimit, NoCommandTakesMore) {
  const std::string long_key(50'000, 'L');
  const std::string long_value(5'000, 'V');
  const auto bytes_that_stay = [&] {
    store_->Tick();
    const StoreStats stats = store_->Stats();
    return stats.entry_bytes - stats.value_bytes + stats.index_bytes +
           stats.deadline_bytes;
  };
  for (const Command& command : Commands()) {
    if (command.access != Access::kWrite) continue;
    ForEachWords(command, {"text", long_key},
                 {long_value, "GET", "EX", "KEEPTTL", "1000", "XX", "0"},
                 [&](const std::vector<std::string>& words) {
                   if (Send("EXISTS text") == ":0\r\n") {
                     Send({"DEL", std::string(60'000, 'a')});
                     Send("SET text abc");
                   }
                   for (char c = 'a'; !store_->Stats().memory_full; ++c) {
                     ASSERT_LE(c, 'z');
                     Send("SET " + std::string(60'000, c) + " v");
                   }
                   const uint64_t before = bytes_that_stay();
                   const std::string reply = Send(words);
                   EXPECT_LE(bytes_that_stay(), before + 100)
                       << words[0] << " " << words[1].substr(0, 4) << " "
                       << reply;
                 });
  }
}

TEST_F(AtTheMemoryLimit, TheDoctorSaysWhatToDo) {
  EXPECT_NE(Send("MEMORY DOCTOR").find("Delete keys or raise the limit.\n"),
            std::string::npos);
}

TEST_F(AtTheMemoryLimit, AValueOnDiskTakesNoMemory) {
  Send("SET story " + std::string(100, 'n'));
  // But for what takes no memory: a few bytes, where an entry is rounded up.
  EXPECT_LT(store_->Stats().value_bytes, 16u);
  EXPECT_EQ(Send("STRLEN story"), ":100\r\n");
  const int64_t usage = std::stoll(Send("MEMORY USAGE story").substr(1));
  EXPECT_GE(usage, 24 + 5);
  EXPECT_LE(usage, 24 + 5 + 36);
}

TEST_F(AtTheMemoryLimit, TheStateSaysSoUntilThereIsRoom) {
  EXPECT_NE(Send("KV.STATUS").find("memory.limit is reached"),
            std::string::npos);
  EXPECT_EQ(Send("CONFIG GET maxmemory"),
            "*2\r\n$9\r\nmaxmemory\r\n$7\r\n1048576\r\n");
  Send("DEL " + std::string(60'000, 'a'));
  EXPECT_EQ(Send("KV.STATUS").find("memory.limit is reached"),
            std::string::npos);
  EXPECT_EQ(Send("SET new v"), "+OK\r\n");
}

}  // namespace
}  // namespace kvd
