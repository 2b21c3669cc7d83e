// SPDX-License-Identifier: MIT
//
// Commands whose keys' values are on disk alone: such a command is parked whole
// before any effect, and once its values are read it does what it would have
// done with all of them in memory.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "log/format/segment.h"
#include "tests/daemon/command_rig.h"

namespace kvd {
namespace {

using Words = std::vector<std::string>;

// Its store keeps `value_cache_bytes` of values in memory.
class Daemon : public CommandRig {
 public:
  explicit Daemon(uint64_t value_cache_bytes)
      : CommandRig(Options(value_cache_bytes)) {}

  // One try.
  WaitsFor Try(const Words& words, std::string* reply,
               bool queue_writers = false) {
    return Run(words, reply, queue_writers).waits_for;
  }
  // The reply, which becomes a whole only after `meanwhile`: what is lent to it
  // must stay as it was.
  template <typename Meanwhile>
  std::string SendLending(const Words& words, size_t* lent_values,
                          Meanwhile meanwhile) {
    std::string text;
    std::vector<LentValue> lent;
    while (Run(words, &text, /*queue_writers=*/false, &lent).waits_for ==
           WaitsFor::kValues) {
      Read();
    }
    MakeDurable();
    meanwhile();
    *lent_values = lent.size();
    std::string reply;
    ForEachPiece(text, 0, lent,
                 [&](std::string_view piece) { reply += piece; });
    return reply;
  }

  // The bits of what a change would change, without a lookup.
  std::string State() const {
    const StoreStats stats = store_->Stats();
    return fmt::format(
        "{} keys, {} with a deadline, {} live and {} dead bytes "
        "of values {}, newest {}",
        stats.keys[0], stats.keys_with_deadline[0], stats.live_bytes,
        stats.dead_bytes, stats.value_bytes, store_->last_seq());
  }
  // All keys with all that clients can see of them.
  std::string Contents() {
    std::string text = Send({"DBSIZE"});
    for (const char* key : {"text", "number", "other", "brief", "new"}) {
      text += Send({"KV.GET", key}) + Send({"PEXPIRETIME", key});
    }
    return text;
  }

  SimFileSystem& disk() { return disk_; }
  Store& store() { return *store_; }
  ManualClock& clock() { return clock_; }
  ServerState& service() { return *service_; }
  ColdValues& cold() { return cold_; }

  // Where the record of that key's value is.
  Place PlaceOf(std::string_view key) {
    ColdValues cold;
    const Entry* entry = Operation(*store_, 0, &cold).Find(key);
    KVD_CHECK(entry != nullptr);
    return entry->place();
  }
  void Damage(std::string_view key) {
    const Place place = PlaceOf(key);
    disk_.Flip(SegmentName(place.segment), 8 * (place.offset + 20));
  }

 private:
  static StoreOptions Options(uint64_t value_cache_bytes) {
    StoreOptions options = SmallStore();
    options.value_cache_bytes = value_cache_bytes;
    options.cold_bytes_max = 20'000;
    return options;
  }
};

constexpr uint64_t kNothing = 0;
constexpr uint64_t kEverything = UINT64_MAX;

void Fill(Daemon* daemon) {
  daemon->Send({"SET", "text", "some text"});
  daemon->Send({"SET", "number", "41"});
  daemon->Send({"SET", "other", "another text"});
  daemon->Send({"SET", "brief", "5.25", "PX", "60000"});
}

struct Case {
  Words words;
  bool reads;
};

void PrintTo(const Case& a_case, std::ostream* out) {
  for (const std::string& word : a_case.words) *out << word << " ";
}

const Case kCases[] = {
    {{"GET", "text"}, true},
    {{"GET", "brief"}, true},
    {{"GET", "missing"}, false},
    {{"GETSET", "text", "new"}, true},
    {{"GETDEL", "brief"}, true},
    {{"GETEX", "text", "PX", "5000"}, true},
    {{"GETEX", "brief", "PERSIST"}, true},
    {{"GETEX", "text", "PXAT", "1"}, true},
    {{"GETRANGE", "text", "1", "-2"}, true},
    {{"SUBSTR", "text", "0", "3"}, true},
    {{"MGET", "text", "missing", "number", "text", "brief"}, true},
    {{"SET", "text", "new", "GET"}, true},
    {{"SET", "text", "new", "NX", "GET"}, true},
    {{"SET", "text", "new", "KEEPTTL", "GET"}, true},
    {{"SET", "text", "new", "IFEQ", "some text"}, true},
    {{"SET", "text", "new", "IFEQ", "other text"}, true},
    {{"SET", "text", "new", "IFEQ", ""}, true},
    {{"APPEND", "text", " and more"}, true},
    {{"SETRANGE", "text", "3", "XYZ"}, true},
    {{"SETRANGE", "text", "20", "XYZ"}, true},
    {{"INCR", "number"}, true},
    {{"DECR", "number"}, true},
    {{"INCRBY", "number", "1000"}, true},
    {{"DECRBY", "number", "1000"}, true},
    {{"INCRBYFLOAT", "brief", "0.5"}, true},
    {{"INCR", "text"}, true},
    {{"INCRBYFLOAT", "text", "1"}, true},
    {{"EXPIRE", "text", "100"}, true},
    {{"PEXPIRE", "brief", "100", "LT"}, true},
    {{"PERSIST", "brief"}, true},
    {{"RENAME", "text", "new"}, true},
    {{"RENAME", "brief", "text"}, true},
    {{"RENAMENX", "brief", "new"}, true},
    {{"DELIFEQ", "text", "some text"}, true},
    {{"DELIFEQ", "text", "other text"}, true},
    {{"DELIFEQ", "text", ""}, true},
    {{"KV.GET", "text"}, true},
    {{"KV.GET", "brief"}, true},
    {{"KV.SET", "text", "new", "IFEQ", "some text"}, true},
    {{"KV.SET", "text", "new", "IFEQ", ""}, true},
    {{"SET", "text", "new", "IFNE", "some text"}, true},
    {{"SET", "text", "new", "IFNE", ""}, true},
    {{"SET", "text", "new", "IFDNE", "0123456789abcdef", "GET"}, true},
    {{"KV.SET", "text", "new", "IFDEQ", "0123456789abcdef"}, true},
    {{"DELEX", "text", "IFEQ", "some text"}, true},
    {{"DELEX", "text", "IFNE", ""}, true},
    {{"DELEX", "text", "IFDEQ", "0123456789abcdef"}, true},
    {{"DIGEST", "text"}, true},
    {{"LCS", "text", "other"}, true},
    {{"LCS", "text", "missing", "LEN"}, true},
    {{"GETBIT", "text", "6"}, true},
    {{"SETBIT", "text", "6", "0"}, true},
    {{"SETBIT", "text", "1", "1"}, true},
    {{"SETBIT", "text", "500", "1"}, true},
    {{"BITCOUNT", "text"}, true},
    {{"BITPOS", "text", "0", "2", "5", "BIT"}, true},
    {{"BITOP", "XOR", "new", "text", "number"}, true},
    {{"BITOP", "NOT", "brief", "brief"}, true},
    {{"BITFIELD", "text", "GET", "u8", "0"}, true},
    {{"BITFIELD", "text", "SET", "u8", "4", "1", "INCRBY", "i5", "#2", "1"},
     true},
    {{"BITFIELD", "text", "OVERFLOW", "FAIL", "SET", "u8", "0", "256"}, true},
    {{"BITFIELD_RO", "text", "GET", "i64", "0"}, true},
    {{"COPY", "brief", "new"}, true},
    {{"COPY", "text", "other", "REPLACE"}, true},
    {{"COPY", "text", "text", "DB", "1"}, true},
    {{"MOVE", "brief", "1"}, true},
    {{"OBJECT", "ENCODING", "text"}, true},

    // No value is needed for these.
    {{"SET", "text", "new"}, false},
    {{"SET", "text", "new", "XX"}, false},
    {{"SET", "text", "new", "NX"}, false},
    {{"SET", "brief", "new", "KEEPTTL"}, false},
    {{"SETNX", "text", "new"}, false},
    {{"SETEX", "text", "10", "new"}, false},
    {{"MSET", "text", "1", "new", "2"}, false},
    {{"MSETNX", "text", "1", "new", "2"}, false},
    {{"STRLEN", "text"}, false},
    {{"KV.GET", "text", "META"}, false},
    {{"EXISTS", "text", "number", "missing"}, false},
    {{"TOUCH", "text"}, false},
    {{"TYPE", "text"}, false},
    {{"TTL", "brief"}, false},
    {{"PTTL", "text"}, false},
    {{"PEXPIRETIME", "brief"}, false},
    {{"EXPIRE", "text", "-1"}, false},
    {{"EXPIRE", "text", "100", "XX"}, false},
    {{"PERSIST", "text"}, false},
    {{"RENAME", "text", "text"}, false},
    {{"RENAMENX", "text", "other"}, false},
    {{"DEL", "text", "number"}, false},
    {{"UNLINK", "text"}, false},
    {{"KV.SET", "text", "new"}, false},
    {{"KV.SET", "text", "new", "IFREV", "1"}, false},
    {{"KV.DEL", "text"}, false},
    {{"SCAN", "0", "COUNT", "100", "MATCH", "text"}, false},
    {{"KEYS", "text"}, false},
    {{"DBSIZE"}, false},
    {{"MSETEX", "2", "brief", "1", "new", "2", "KEEPTTL"}, false},
    {{"MSETEX", "2", "text", "1", "new", "2", "XX"}, false},
    {{"DELEX", "text"}, false},
    {{"SET", "text", "new", "IFDEQ", "0"}, false},
    {{"BITCOUNT", "text", "100", "200"}, false},
    {{"BITOP", "NOT", "text", "missing"}, false},
    {{"BITFIELD", "new", "INCRBY", "u8", "0", "1"}, false},
    {{"COPY", "text", "other"}, false},
    {{"MOVE", "text", "0"}, false},
    {{"OBJECT", "FREQ", "text"}, false},
    {{"OBJECT", "IDLETIME", "text"}, false},
};

class ColdCommands : public testing::TestWithParam<Case> {
 protected:
  ColdCommands() {
    for (Daemon* daemon : {&warm_, &cold_}) {
      Fill(daemon);
      daemon->disk().SetReadsWait(true);
    }
  }

  Daemon warm_{kEverything};
  Daemon cold_{kNothing};
};

TEST_P(ColdCommands, ReadBeforeAnyEffectThenDoTheSame) {
  const auto& [words, reads] = GetParam();
  const std::string before = cold_.State();
  std::string reply = "reply of the command before";
  WaitsFor outcome = cold_.Try(words, &reply);
  if (reads) {
    EXPECT_EQ(outcome, WaitsFor::kValues);
    EXPECT_EQ(reply, "reply of the command before");
    EXPECT_EQ(cold_.State(), before);
    cold_.Read();
    EXPECT_EQ(cold_.State(), before);
    outcome = cold_.Try(words, &reply);
  }
  EXPECT_EQ(outcome, WaitsFor::kNothing);
  EXPECT_TRUE(cold_.cold().empty());
  EXPECT_EQ(reply, "reply of the command before" + warm_.Send(words));
  cold_.MakeDurable();
  EXPECT_EQ(cold_.Contents(), warm_.Contents());
  EXPECT_EQ(warm_.store().Stats().reads_waited, 0u);
}

class DamagedCommands : public ColdCommands {};

TEST_P(DamagedCommands, ChangeNothing) {
  for (const char* key : {"text", "number", "brief"}) cold_.Damage(key);
  const std::string before = cold_.State();
  const std::string reply = cold_.Send(GetParam().words);
  EXPECT_TRUE(reply.starts_with("-DAMAGED /sim/")) << reply;
  EXPECT_NE(reply.find("; nothing was changed. Other keys are not affected"),
            std::string::npos)
      << reply;
  EXPECT_EQ(cold_.State(), before);
  EXPECT_TRUE(cold_.cold().empty());
}

std::string NameOf(const testing::TestParamInfo<Case>& info) {
  std::string name = std::to_string(info.index);
  for (const char c : info.param.words[0]) {
    if (c != '.') name += c;
  }
  return name;
}

std::vector<Case> ThoseThatRead() {
  std::vector<Case> cases(std::begin(kCases), std::end(kCases));
  std::erase_if(cases, [](const Case& a_case) { return !a_case.reads; });
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, ColdCommands, testing::ValuesIn(kCases), NameOf);
INSTANTIATE_TEST_SUITE_P(All, DamagedCommands,
                         testing::ValuesIn(ThoseThatRead()), NameOf);

class ColdCommandsTest : public testing::Test {
 protected:
  ColdCommandsTest() {
    Fill(&daemon_);
    daemon_.disk().SetReadsWait(true);
  }

  Daemon daemon_{kNothing};
};

TEST_F(ColdCommandsTest, ADamagedKeyCanBeSetAnewOrDeleted) {
  daemon_.Damage("text");
  daemon_.Damage("number");
  EXPECT_TRUE(daemon_.Send({"GET", "text"}).starts_with("-DAMAGED"));
  EXPECT_EQ(daemon_.Send({"GET", "other"}), "$12\r\nanother text\r\n");
  EXPECT_EQ(daemon_.Send({"SET", "text", "new"}), "+OK\r\n");
  EXPECT_EQ(daemon_.Send({"GET", "text"}), "$3\r\nnew\r\n");
  EXPECT_EQ(daemon_.Send({"DEL", "number"}), ":1\r\n");
  EXPECT_EQ(daemon_.Send({"INCR", "number"}), ":1\r\n");
}

TEST_F(ColdCommandsTest, AShortageIsAnErrorThatPasses) {
  daemon_.disk().FailAt(SimFileSystem::Op::kOpen, 0, EMFILE);
  const std::string reply = daemon_.Send({"APPEND", "text", "!"});
  EXPECT_TRUE(reply.starts_with("-ERR open /sim/")) << reply;
  EXPECT_TRUE(reply.ends_with("; nothing was changed\r\n")) << reply;
  EXPECT_EQ(daemon_.Send({"APPEND", "text", "!"}), ":10\r\n");
}

TEST_F(ColdCommandsTest, TooManyValuesAtOnceAreRefused) {
  Words words = {"MGET"};
  for (int i = 0; i < 30; ++i) {
    words.push_back(fmt::format("many{}", i));
    daemon_.Send({"SET", words.back(), std::string(1000, 'x')});
  }
  const std::string reply = daemon_.Send(words);
  EXPECT_TRUE(reply.starts_with("-ERR the values that this command reads"))
      << reply;
  words.resize(15);
  EXPECT_TRUE(daemon_.Send(words).starts_with("*14\r\n$1000\r\n"));
}

// The clock passes a deadline while the value is read: it is not shown.
TEST_F(ColdCommandsTest, AKeyThatExpiresWhileItIsReadIsGone) {
  std::string reply;
  ASSERT_EQ(daemon_.Try({"GET", "brief"}, &reply), WaitsFor::kValues);
  daemon_.clock().AdvanceMs(60'000);
  daemon_.Read();
  EXPECT_EQ(daemon_.Try({"GET", "brief"}, &reply), WaitsFor::kNothing);
  EXPECT_EQ(reply, "$-1\r\n");
}

TEST_F(ColdCommandsTest, WhoHasItsValuesStillQueuesBehindThoseThatWait) {
  std::string reply;
  const Words words = {"APPEND", "text", "!"};
  ASSERT_EQ(daemon_.Try(words, &reply), WaitsFor::kValues);
  daemon_.Read();
  EXPECT_EQ(daemon_.Try(words, &reply, /*queue_writers=*/true),
            WaitsFor::kRoom);
  // And needs no other read when it is its turn.
  EXPECT_EQ(daemon_.Try(words, &reply), WaitsFor::kNothing);
  EXPECT_EQ(reply, ":10\r\n");
  EXPECT_EQ(daemon_.store().Stats().reads_waited, 1u);
}

TEST_F(ColdCommandsTest, StatisticsCountACommandOnceHoweverOftenItIsTried) {
  daemon_.Send({"MGET", "text", "missing", "number"});
  const ServiceStats& stats = daemon_.service().stats;
  EXPECT_EQ(stats.keyspace_hits, 2u);
  EXPECT_EQ(stats.keyspace_misses, 1u);
  const Command& mget = *FindCommand("MGET");
  EXPECT_EQ(daemon_.service().command_stats.Of(RowOf(mget, mget).number).calls,
            1u);
}

// Once read, a value is there once: the reply has no copy of it.
TEST(ColdReplies, AreMadeOfWhatWasRead) {
  Daemon daemon(kNothing);
  const std::string large(19'000, 'l');
  daemon.Send({"SET", "large", large});
  const std::string large_bulk = "$19000\r\n" + large + "\r\n";
  const auto overwrite = [&] {
    EXPECT_TRUE(daemon.cold().empty());
    daemon.Send({"SET", "large", "another"});
  };
  size_t lent = 0;
  EXPECT_EQ(daemon.SendLending({"GET", "large"}, &lent, overwrite), large_bulk);
  EXPECT_EQ(lent, 1u);
  daemon.Send({"SET", "large", large});
  EXPECT_EQ(daemon.SendLending({"GETDEL", "large"}, &lent, overwrite),
            large_bulk);
  daemon.Send({"SET", "large", large});
  daemon.Send({"SET", "middle", std::string(300, 'm')});
  // The same one often, and smaller ones where the reply is large.
  Words words(30, "large");
  words[0] = "MGET";
  words[1] = words.back() = "middle";
  std::string expected = "*29\r\n$300\r\n" + std::string(300, 'm') + "\r\n";
  for (int i = 0; i < 27; ++i) expected += large_bulk;
  expected += "$300\r\n" + std::string(300, 'm') + "\r\n";
  EXPECT_EQ(daemon.SendLending(words, &lent, overwrite), expected);
  EXPECT_EQ(lent, 28u);
}

}  // namespace
}  // namespace kvd
