// SPDX-License-Identifier: MIT
//
// What EXEC runs happens once, however often it is tried: each command, undone
// and run again.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cctype>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/planted_bug.h"
#include "daemon/commands/text.h"
#include "log/format/segment.h"
#include "store/operation.h"
#include "tests/daemon/command_rig.h"
#include "tests/daemon/transactions/transaction_rig.h"

namespace kvd {
namespace {

using Words = std::vector<std::string>;

// Every command of the table in a transaction that has to be undone, since a
// command behind it needs a value that is on disk alone.
class Twin : public CommandRig {
 public:
  explicit Twin(uint64_t value_cache_bytes)
      : CommandRig(Options(value_cache_bytes)) {
    config_.slowlog.threshold_us = 0;
    Restart();
    other_.id = 2;
    service_->sessions.push_back(&other_);
    service_->stop = [this] { ++stops_; };
    service_->configure = [this](const Config& config) { config_ = config; };
    service_->pause_changed = [this] { ++pauses_; };
    service_->set_monitor = [this](uint64_t, bool) { ++monitors_; };
    service_->monitor = [this](std::string_view, Seq) { ++shown_; };
    Send({"SET", "text", "some text"});
    Send({"SET", "number", "41"});
    Send({"SET", "other", "another text"});
    Send({"SET", "brief", "5.25", "PX", "60000"});
    Send({"SET", "last", "1"});
    Send({"SELECT", "1"});
    Send({"SET", "text", "of database 1"});
    Send({"SELECT", "0"});
    disk_.SetReadsWait(true);
  }

  WaitsFor Try(const Words& words, std::string* reply) {
    return Run(words, reply).waits_for;
  }

  void Pass(int64_t ms) { clock_.AdvanceMs(ms); }
  // What a command might change of client, service and store.
  std::string State() {
    const Session& s = session_;
    std::string text = fmt::format(
        "session: db {} resp {} mode {} {} {} names '{}' '{}' '{}' closing {} "
        "killed {} awaits {} lists {} commands {} queued {} watched {}\n",
        s.database, s.protocol, static_cast<int>(s.reply_mode), s.no_evict,
        s.no_touch, s.name, s.library_name, s.library_version, s.closing,
        s.killed, s.awaited_compaction, s.listing != nullptr, s.commands,
        s.queued_commands(), s.watched_keys());
    text += fmt::format("waits: for {} until {} unblocked {}\n", s.awaited_seq,
                        s.waits_until_ms, static_cast<int>(s.unblocked));
    text += fmt::format(
        "subscribed: {} {} {} with {} bytes, messages {}, events {}\n",
        s.subscribed(TopicKind::kChannel), s.subscribed(TopicKind::kPattern),
        s.subscribed(TopicKind::kShard),
        s.subscriptions != nullptr ? s.subscriptions->name_bytes() : 0,
        inbox_.text.size(), service_->key_events->size());
    text += fmt::format("other: killed {}, kills {}, stops {}\n", other_.killed,
                        service_->kill_requested, stops_);
    text += fmt::format(
        "service: pause {} until {}, {} pauses, {} monitors, shown {}, expires "
        "{}, {} set\n",
        static_cast<int>(service_->pause.of), service_->pause.end_ms, pauses_,
        monitors_, shown_, service_->removes_expired,
        service_->changed_settings.size());
    const ServiceStats& stats = service_->stats;
    text +=
        fmt::format("stats: {} commands {} errors {} hits {} misses {}\n",
                    stats.commands, stats.error_replies, stats.keyspace_hits,
                    stats.keyspace_misses, stats.http_closed);
    for (const auto& [code, count] : service_->errors) {
      text += fmt::format("error {}: {}\n", code, count);
    }
    for (const CommandRow& row : CommandRows()) {
      const CommandStats& of = service_->command_stats.Of(row.number);
      if (of.calls + of.rejected + of.failed == 0) continue;
      text += fmt::format("row {}: {} {} {}\n", LowerName(row), of.calls,
                          of.rejected, of.failed);
    }
    text += fmt::format("slow log: {}\n", service_->slow_log.entries().size());
    for (const auto& [name, value] : DescribeSettings(service_->config)) {
      text += fmt::format("{}={}\n", name, value);
    }
    const StoreStats store = store_->Stats();
    text += fmt::format("store: last {} live {} dead {} runs {} {}\n",
                        store_->last_seq(), store.live_bytes, store.dead_bytes,
                        store_->compaction().runs_ended,
                        store_->compaction().running);
    for (int i = 0; i < kDatabases; ++i) {
      text += fmt::format("{}/{} ", store.keys[i], store.keys_with_deadline[i]);
    }
    return text;
  }
  // What clients can see of a key.
  std::string Contents(const char* key) {
    return Send({"KV.GET", key}) + Send({"PEXPIRETIME", key});
  }
  void Damage(const char* key) {
    ColdValues cold;
    const Entry* entry = Operation(*store_, 0, &cold).Find(key);
    KVD_CHECK(entry != nullptr);
    const Place place = entry->place();
    disk_.Flip(SegmentName(place.segment), 8 * (place.offset + 20));
  }
  // All keys.
  std::string Contents() {
    std::string text;
    for (const char* database : {"0", "1"}) {
      text += Send({"SELECT", database}) + Send({"DBSIZE"});
      for (const char* key :
           {"text", "number", "other", "brief", "new", "last", "2", "k"}) {
        text += Contents(key);
      }
    }
    return text;
  }

 private:
  static StoreOptions Options(uint64_t value_cache_bytes) {
    StoreOptions options = SmallStore();
    options.value_cache_bytes = value_cache_bytes;
    return options;
  }

  Session other_;
  int stops_ = 0;
  int pauses_ = 0;
  int monitors_ = 0;  // Sessions that became one, or stopped.
  int shown_ = 0;     // Lines to monitors.
};

// Words with which a command has an effect; others get words made up by their
// row.
const std::map<std::string, std::vector<Words>>& PlausibleWords() {
  static const std::map<std::string, std::vector<Words>> kWords = {
      {"append", {{"APPEND", "text", "!"}, {"APPEND", "new", "!"}}},
      {"bitfield",
       {{"BITFIELD", "text", "SET", "u8", "0", "1", "INCRBY", "i8", "900",
         "1"}}},
      {"bitop", {{"BITOP", "XOR", "new", "text", "brief"}}},
      {"client|kill",
       {{"CLIENT", "KILL", "ID", "2"},
        {"CLIENT", "KILL", "ID", "1", "SKIPME", "NO"}}},
      {"client|list", {{"CLIENT", "LIST"}}},
      {"client|no-evict", {{"CLIENT", "NO-EVICT", "ON"}}},
      {"client|no-touch", {{"CLIENT", "NO-TOUCH", "ON"}}},
      {"client|pause", {{"CLIENT", "PAUSE", "10"}}},
      {"client|setinfo", {{"CLIENT", "SETINFO", "LIB-NAME", "lib"}}},
      {"client|setname", {{"CLIENT", "SETNAME", "me"}}},
      {"config|set", {{"CONFIG", "SET", "slowlog-max-len", "5"}}},
      {"copy", {{"COPY", "text", "new"}, {"COPY", "brief", "2", "DB", "1"}}},
      {"decr", {{"DECR", "number"}, {"DECR", "text"}}},
      {"del", {{"DEL", "text", "new", "number"}}},
      {"delex", {{"DELEX", "text", "IFEQ", "some text"}}},
      {"delifeq", {{"DELIFEQ", "text", "some text"}}},
      {"eval",
       {{"EVAL",
         "redis.call('APPEND', KEYS[1], '!') "
         "return redis.call('GET', KEYS[1])",
         "1", "text"},
        {"EVAL", "redis.call('INCR', 'new') redis.call('SELECT', 1) error('x')",
         "0"}}},
      {"eval_ro", {{"EVAL_RO", "return redis.call('GET', 'text')", "0"}}},
      {"expire", {{"EXPIRE", "text", "100"}, {"EXPIRE", "text", "-1"}}},
      {"flushall", {{"FLUSHALL"}}},
      {"flushdb", {{"FLUSHDB"}}},
      {"getex",
       {{"GETEX", "text", "EX", "100"}, {"GETEX", "brief", "PERSIST"}}},
      {"hello", {{"HELLO", "3", "SETNAME", "me"}}},
      {"incr", {{"INCR", "number"}, {"INCR", "new"}, {"INCR", "text"}}},
      {"incrbyfloat", {{"INCRBYFLOAT", "brief", "0.5"}}},
      {"info", {{"INFO"}}},
      {"keys", {{"KEYS", "*"}}},
      {"kv.compact", {{"KV.COMPACT"}}},
      {"kv.del", {{"KV.DEL", "text"}}},
      {"kv.get", {{"KV.GET", "text"}}},
      {"kv.set", {{"KV.SET", "text", "new"}, {"KV.SET", "new", "v"}}},
      {"mget", {{"MGET", "text", "new", "brief"}}},
      {"move", {{"MOVE", "brief", "1"}, {"MOVE", "text", "1"}}},
      {"mset", {{"MSET", "text", "1", "new", "2"}}},
      {"msetex", {{"MSETEX", "2", "new", "1", "brief", "2", "KEEPTTL"}}},
      {"msetnx", {{"MSETNX", "new", "1", "k", "2"}}},
      {"persist", {{"PERSIST", "brief"}}},
      {"rename", {{"RENAME", "text", "new"}, {"RENAME", "brief", "text"}}},
      {"renamenx", {{"RENAMENX", "brief", "new"}}},
      {"scan", {{"SCAN", "0"}}},
      {"select", {{"SELECT", "1"}, {"SELECT", "99"}}},
      {"set",
       {{"SET", "text", "new"},
        {"SET", "brief", "new", "KEEPTTL", "GET"},
        {"SET", "new", "v", "EX", "100"}}},
      {"setbit", {{"SETBIT", "text", "900", "1"}}},
      {"setrange", {{"SETRANGE", "text", "5", "X"}}},
      {"swapdb", {{"SWAPDB", "0", "1"}}},
      {"unlink", {{"UNLINK", "text"}}},
  };
  return kWords;
}

std::vector<Words> WordsOf(const CommandRow& row) {
  const auto known = PlausibleWords().find(LowerName(row));
  if (known != PlausibleWords().end()) return known->second;
  Words words = {std::string(row.container->name)};
  if (row.container != row.command) words.emplace_back(row.command->name);
  const auto size = static_cast<size_t>(row.command->words_min);
  while (words.size() < size) words.emplace_back("2");
  const std::vector<std::string_view> views(words.begin(), words.end());
  ForEachKey(*row.command, views, [&](size_t i) { words[i] = "text"; });
  return {words};
}

// Whether two twins must answer the same: not what tells of time and memory.
bool IsSteady(const Command& command) {
  return command.access == Access::kWrite &&
         command.group != CommandGroup::kServer;
}

void Queue(Twin* twin, const Words& words) {
  twin->Send({"MULTI"});
  ASSERT_EQ(twin->Send(words), kQueued);
  // One whose value is read later than all before, and a last change.
  for (const Words& last : {Words{"INCR", "last"}, Words{"SET", "k", "v"}}) {
    ASSERT_EQ(twin->Send(last), kQueued);
  }
}

class EveryCommand : public testing::TestWithParam<int> {};

TEST_P(EveryCommand, TakesEffectOnceHoweverOftenItsTransactionIsTried) {
  const CommandRow& row = CommandRows()[static_cast<size_t>(GetParam())];
  if (row.command->handler == nullptr) return;
  if ((row.command->flags & (kNoMulti | kAtOnce)) != 0) return;
  for (const Words& words : WordsOf(row)) {
    SCOPED_TRACE(LowerName(row));
    Twin warm(UINT64_MAX);
    Twin cold(0);
    Queue(&warm, words);
    Queue(&cold, words);

    const std::string expected = warm.Send({"EXEC"});
    std::string reply;
    const std::string before = cold.State();
    int undone = 0;
    while (cold.Try({"EXEC"}, &reply) == WaitsFor::kValues) {
      ASSERT_LT(++undone, 10);
      EXPECT_EQ(reply, "");
      EXPECT_EQ(cold.State(), before);
      cold.Read();
      EXPECT_EQ(cold.State(), before);
    }
    EXPECT_TRUE(reply.starts_with("*3\r\n")) << reply;
    // Unless the last command has met an empty or another database.
    if (words[0] != "FLUSHALL" && words[0] != "FLUSHDB" &&
        words[0] != "SWAPDB" && words[0] != "SELECT") {
      EXPECT_GE(undone, 1);
    }
    if (IsSteady(*row.command)) {
      EXPECT_EQ(reply, expected);
    }
    cold.MakeDurable();
    EXPECT_EQ(cold.State(), warm.State());
    // CLIENT PAUSE is over then.
    for (Twin* twin : {&cold, &warm}) twin->Pass(100);
    EXPECT_EQ(cold.Contents(), warm.Contents());
  }
}

std::string NameOfRow(const testing::TestParamInfo<int>& info) {
  std::string name;
  for (const char c :
       LowerName(CommandRows()[static_cast<size_t>(info.param)])) {
    name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, EveryCommand,
                         testing::Range(0,
                                        static_cast<int>(CommandRows().size())),
                         NameOfRow);

#ifdef KVD_PLANTED_BUGS
TEST(Effects, WouldHappenTwiceIfTheyDidNotWait) {
  const ScopedPlantedBug planted(PlantedBug::kEffectBeforeCertain);
  for (const Words& words :
       {Words{"SLOWLOG", "RESET"}, Words{"CONFIG", "RESETSTAT"},
        Words{"CLIENT", "KILL", "ID", "2"}}) {
    Twin cold(0);
    Queue(&cold, words);
    const std::string before = cold.State();
    std::string reply;
    ASSERT_EQ(cold.Try({"EXEC"}, &reply), WaitsFor::kValues);
    EXPECT_NE(cold.State(), before) << words[0];
    cold.Read();
  }
}
#endif

// A value that cannot be read refuses all.
TEST(ColdTransactions, ChangeNothingWhenAValueIsDamaged) {
  Twin cold(0);
  cold.Damage("other");
  const std::string before = cold.Contents("text");
  cold.Send({"MULTI"});
  cold.Send({"SET", "text", "new"});
  cold.Send({"APPEND", "other", "!"});
  const std::string reply = cold.Send({"EXEC"});
  EXPECT_TRUE(reply.starts_with(
      "-EXECABORT Transaction discarded because of: DAMAGED /sim/"))
      << reply;
  EXPECT_EQ(cold.Contents("text"), before);
  EXPECT_EQ(cold.Send({"APPEND", "number", "2"}), ":3\r\n");
}

// Reads that change nothing for each other are read together.
TEST(ColdTransactions, ReadAllValuesThatReadersNeedAtOnce) {
  Twin cold(0);
  cold.Send({"MULTI"});
  for (const char* key : {"text", "number", "other", "brief"}) {
    cold.Send({"GET", key});
  }
  cold.Send({"INCR", "number"});
  std::string reply;
  ASSERT_EQ(cold.Try({"EXEC"}, &reply), WaitsFor::kValues);
  cold.Read();
  ASSERT_EQ(cold.Try({"EXEC"}, &reply), WaitsFor::kNothing);
  EXPECT_EQ(reply,
            "*5\r\n$9\r\nsome text\r\n$2\r\n41\r\n$12\r\nanother text\r\n"
            "$4\r\n5.25\r\n:42\r\n");
}

// Nor do writers wait for one value after the other.
TEST(ColdTransactions, ReadTogetherWhatWritersMayNeed) {
  Twin cold(0);
  cold.Send({"MULTI"});
  for (const char* key : {"text", "number", "other", "brief"}) {
    cold.Send({"APPEND", key, "1"});
  }
  std::string reply;
  ASSERT_EQ(cold.Try({"EXEC"}, &reply), WaitsFor::kValues);
  cold.Read();
  ASSERT_EQ(cold.Try({"EXEC"}, &reply), WaitsFor::kNothing);
  EXPECT_EQ(reply, "*4\r\n:10\r\n:3\r\n:13\r\n:5\r\n");
}

}  // namespace
}  // namespace kvd
