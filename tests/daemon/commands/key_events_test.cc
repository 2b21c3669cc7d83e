// SPDX-License-Identifier: MIT
//
// Which events each command brings about, as Redis has them: a client listens
// to all of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/planted_bug.h"
#include "daemon/commands/table.h"
#include "tests/daemon/command_rig.h"

namespace kvd {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// The words of the messages in `text`, without those that are always the same.
class EventReader {
 public:
  explicit EventReader(std::string_view text) : rest_(text) {}

  // "0 set k, 0 expire k" of messages for `*`.
  std::string All() {
    std::string all;
    while (!rest_.empty()) {
      TakeLine();  // >4
      TakeBulk();  // pmessage
      TakeBulk();  // *
      std::string channel = TakeBulk();
      const std::string payload = TakeBulk();
      constexpr std::string_view kByEvent = "__keyevent@";
      constexpr std::string_view kByKey = "__keyspace@";
      if (!all.empty()) all += ", ";
      const size_t end = channel.find("__:");
      const std::string name = channel.substr(end + 3);
      const std::string database =
          channel.substr(kByKey.size(), end - kByKey.size());
      all += database + " ";
      all += channel.starts_with(kByEvent) ? name + " " + payload
                                           : payload + " " + name + "!";
    }
    return all;
  }

 private:
  std::string_view TakeLine() {
    const size_t end = rest_.find("\r\n");
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end + 2);
    return line;
  }
  std::string TakeBulk() {
    const size_t size = std::stoul(std::string(TakeLine().substr(1)));
    std::string bulk(rest_.substr(0, size));
    rest_.remove_prefix(size + 2);
    return bulk;
  }

  std::string_view rest_;
};

class KeyEventsTest : public testing::Test, protected CommandRig {
 protected:
  using CommandRig::Run;  // Not the private one of testing::Test.

  KeyEventsTest() {
    Send("HELLO 3");
    Send("PSUBSCRIBE *");
    Listen("AEn");
  }

  void Listen(const std::string& letters) {
    EXPECT_EQ(Send({"CONFIG", "SET", "notify-keyspace-events", letters}),
              "+OK\r\n");
  }

  // The events since the last call.
  std::string Events() {
    const std::string text = std::exchange(inbox_.text, {});
    return EventReader(text).All();
  }
  std::string EventsOf(const std::string& command) {
    Send(command);
    return Events();
  }

  // Whether both names of RENAME are told apart.
  bool RenameIsNamedRightly() {
    Send("SET a 1");
    Events();
    return EventsOf("RENAME a b") == "0 new b, 0 rename_from a, 0 rename_to b";
  }
};

struct Case {
  const char* before;  // Commands, with semicolons between them.
  const char* command;
  const char* events;
};

// Every command that writes has a line here. `a` is 1 and `t` has a deadline.
constexpr Case kCases[] = {
    {"", "APPEND a x", "0 append a"},
    {"", "APPEND n x", "0 new n, 0 append n"},
    {"", "BITFIELD a SET u8 0 1", "0 setbit a"},
    {"", "BITFIELD a GET u8 0", ""},
    {"", "BITOP NOT n a", "0 new n, 0 set n"},
    {"", "BITOP NOT a none", "0 del a"},
    {"", "COPY a n", "0 new n, 0 copy_to n"},
    {"", "COPY a t REPLACE", "0 new t, 0 copy_to t"},
    {"", "COPY a a DB 3", "3 new a, 3 copy_to a"},
    {"", "DECR a", "0 incrby a"},
    {"", "DECRBY a 2", "0 incrby a"},
    {"", "DEL a t none", "0 del a, 0 del t"},
    {"", "DELEX a", "0 del a"},
    {"", "DELEX a IFEQ 2", ""},
    {"", "DELIFEQ a 1", "0 del a"},
    {"", "EVAL return(redis.call('SET','a','2')) 0", "0 set a"},
    {"SCRIPT LOAD return(1)", "EVALSHA none 0", ""},
    {"", "EXPIRE a 100", "0 expire a"},
    {"", "EXPIRE a 100 XX", ""},
    {"", "EXPIRE a -1", "0 del a"},
    {"", "EXPIREAT a 9999999999", "0 expire a"},
    {"", "FLUSHALL", ""},
    {"", "FLUSHDB", ""},
    {"", "FUNCTION FLUSH", ""},
    {"", "GETDEL a", "0 del a"},
    {"", "GETEX a", ""},
    {"", "GETEX a EX 100", "0 expire a"},
    {"", "GETEX a PXAT 1", "0 del a"},
    {"", "GETEX t PERSIST", "0 persist t"},
    {"", "GETSET a 2", "0 set a"},
    {"", "INCR n", "0 new n, 0 incrby n"},
    {"", "INCRBY a 5", "0 incrby a"},
    {"", "INCRBYFLOAT a 0.5", "0 incrbyfloat a"},
    {"", "KV.DEL a", "0 del a"},
    {"", "KV.SET a 2", "0 set a"},
    {"", "KV.SET a 2 EX 100", "0 set a, 0 expire a"},
    {"", "KV.SET a 2 IFREV 12345", ""},
    {"", "MOVE a 2", "2 new a, 0 move_from a, 2 move_to a"},
    {"", "MSET a 2 n 3", "0 set a, 0 new n, 0 set n"},
    {"", "MSETEX 1 n 1 EX 100", "0 new n, 0 set n, 0 expire n"},
    {"", "MSETNX n 1 m 2", "0 new n, 0 set n, 0 new m, 0 set m"},
    {"", "MSETNX a 1 m 2", ""},
    {"", "PERSIST t", "0 persist t"},
    {"", "PERSIST a", ""},
    {"", "PEXPIRE a 100000", "0 expire a"},
    {"", "PEXPIREAT a 9999999999999", "0 expire a"},
    {"", "PSETEX a 100000 2", "0 set a, 0 expire a"},
    {"", "RENAME a n", "0 new n, 0 rename_from a, 0 rename_to n"},
    {"", "RENAME a t", "0 new t, 0 rename_from a, 0 rename_to t"},
    {"", "RENAMENX a n", "0 new n, 0 rename_from a, 0 rename_to n"},
    {"", "RENAMENX a t", ""},
    {"", "SET n 1", "0 new n, 0 set n"},
    {"", "SET a 2", "0 set a"},
    {"", "SET a 2 NX", ""},
    {"", "SET a 2 PX 100000 GET", "0 set a, 0 expire a"},
    {"", "SET t 2 KEEPTTL", "0 set t"},
    {"", "SETBIT a 1 1", "0 setbit a"},
    {"", "SETBIT a 7 1", ""},  // It is 1 already.
    {"", "SETEX a 100 2", "0 set a, 0 expire a"},
    {"", "SETNX n 2", "0 new n, 0 set n"},
    {"", "SETNX a 2", ""},
    {"", "SETRANGE a 2 x", "0 setrange a"},
    {"", "SWAPDB 0 1", ""},
    {"", "UNLINK a", "0 del a"},
    {"SELECT 4", "SET k 1", "4 new k, 4 set k"},
    {"MULTI;SET a 2;DEL a;SET n 1", "EXEC",
     "0 set a, 0 del a, 0 new n, 0 set n"},
    {"MULTI;SET a 2", "DISCARD", ""},
    {"", "GET none", ""},
};

TEST_F(KeyEventsTest, AreThoseOfRedis) {
  for (const Case& test : kCases) {
    Send("FLUSHALL");
    Send("SELECT 0");
    Send("MSET a 1");
    Send("SET t 1 EX 1000");
    const std::string_view before = test.before;
    for (size_t at = 0; at < before.size();) {
      const size_t end = std::min(before.find(';', at), before.size());
      Send(before.substr(at, end - at));
      at = end + 1;
    }
    Events();
    EXPECT_EQ(EventsOf(test.command), test.events)
        << test.before << " " << test.command;
  }
}

TEST_F(KeyEventsTest, EveryCommandThatWritesHasACase) {
  std::set<std::string> tested;
  for (const Case& test : kCases) {
    const std::string_view words = test.command;
    tested.insert(std::string(words.substr(0, words.find(' '))));
  }
  for (const CommandRow& row : CommandRows()) {
    if (row.command->access != Access::kWrite) continue;
    EXPECT_TRUE(tested.contains(std::string(row.container->name)))
        << row.container->name << " needs a line in kCases";
  }
}

TEST_F(KeyEventsTest, LettersSayWhich) {
  const struct {
    const char* letters;
    const char* events;
  } kLetters[] = {
      {"", ""},
      {"A", ""},  // On no channel.
      {"KE", ""},
      {"KA", "0 set k!, 0 expire k!"},
      {"EA", "0 set k, 0 expire k"},
      {"KEA", "0 set k!, 0 set k, 0 expire k!, 0 expire k"},
      {"Eg", "0 expire k"},
      {"E$", "0 set k"},
      {"En", "0 new k"},
      {"Elshzxet", ""},
      {"Em", ""},
  };
  for (const auto& [letters, events] : kLetters) {
    Send("DEL k");
    Listen(letters);
    Events();
    EXPECT_EQ(EventsOf("SET k 1 EX 100"), events) << letters;
  }
  Listen("Em");
  EXPECT_EQ(EventsOf("GET none"), "0 keymiss none");
}

TEST_F(KeyEventsTest, ConfigGetTellsTheLettersAsRedisDoes) {
  const std::pair<const char*, const char*> kLetters[] = {
      {"gKE", "gKE"},   {"$lshzxeKE", "$lshzxeKE"}, {"KA", "AK"}, {"EA", "AE"},
      {"KEAn", "AnKE"}, {"g$lshzxetdKEm", "AKEm"},  {"", ""}};
  for (const auto& [set, get] : kLetters) {
    Listen(set);
    EXPECT_THAT(
        Send("CONFIG GET notify-keyspace-events"),
        HasSubstr("events\r\n$" + std::to_string(std::string_view(get).size()) +
                  "\r\n" + get + "\r\n"));
  }
  EXPECT_THAT(Send("CONFIG SET notify-keyspace-events KEy"),
              HasSubstr("Invalid event class character. Use "
                        "'Ag$lshzxeKEtmdn'."));
}

TEST_F(KeyEventsTest, AnExpiredKeyIsToldWhenItIsNoticed) {
  Send("PSETEX k 10 1");
  clock_.AdvanceMs(20);
  Events();
  EXPECT_EQ(EventsOf("GET k"), "0 expired k");
  // What replaces one notices it, too.
  Send("PSETEX k 10 1");
  clock_.AdvanceMs(20);
  Events();
  EXPECT_EQ(EventsOf("SET k 2"), "0 expired k, 0 new k, 0 set k");
}

TEST_F(KeyEventsTest, AnUndoneTransactionHasNone) {
  Send("SET a 1");
  Send("MULTI");
  Send("SET a 2");
  Send("DEL a");
  config_.limits.transaction_bytes = 1000;
  Send({"SET", "k", std::string(500, 'x')});
  Send({"APPEND", "k", std::string(100, 'x')});
  Events();
  EXPECT_THAT(Send("EXEC"), StartsWith("-EXECABORT"));
  EXPECT_EQ(Events(), "");
  EXPECT_EQ(EventsOf("SET a 3"), "0 set a");
}

TEST_F(KeyEventsTest, AnEventWaitsForItsChange) {
  std::string reply;
  Run({"SET", "k", "1"}, &reply);
  EXPECT_EQ(Events(), "0 new k, 0 set k");
  EXPECT_TRUE(inbox_.waits);
  EXPECT_EQ(inbox_.newest_seq, store_->last_seq());
}

TEST_F(KeyEventsTest, RenameTellsBothNames) {
  EXPECT_TRUE(RenameIsNamedRightly());
}

#ifdef KVD_PLANTED_BUGS
TEST_F(KeyEventsTest, AWrongNameIsFound) {
  const ScopedPlantedBug planted(PlantedBug::kWrongEventName);
  EXPECT_FALSE(RenameIsNamedRightly());
}
#endif

}  // namespace
}  // namespace kvd
