// SPDX-License-Identifier: MIT
//
// MULTI, EXEC, DISCARD, WATCH and UNWATCH. What EXEC runs happens together and
// once, however often it is tried, or not at all.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/planted_bug.h"
#include "daemon/commands/text.h"
#include "log/format/segment.h"
#include "store/operation.h"
#include "tests/daemon/command_rig.h"

namespace kvd {
namespace {

using Words = std::vector<std::string>;

constexpr std::string_view kQueued = "+QUEUED\r\n";
constexpr std::string_view kPreviousErrors =
    "-EXECABORT Transaction discarded because of previous errors.\r\n";

class TransactionTest : public testing::Test, protected CommandRig {
 protected:
  using CommandRig::Run;  // Not the private one of testing::Test.

  explicit TransactionTest(const StoreOptions& options = SmallStore())
      : CommandRig(options) {
    other_.id = 2;
    service_->sessions.push_back(&other_);
  }

  // A second client's command.
  std::string SendOther(const std::string& line) {
    std::vector<std::string_view> args;
    for (size_t start = 0; start < line.size();) {
      const size_t end = std::min(line.find(' ', start), line.size());
      args.push_back(std::string_view(line).substr(start, end - start));
      start = end + 1;
    }
    std::string reply;
    const Executed executed = Execute(
        *service_, other_, args, /*queue_writers=*/false, &other_cold_, &reply);
    EXPECT_EQ(executed.waits_for, WaitsFor::kNothing);
    MakeDurable();
    return reply;
  }

  // MULTI, these lines and EXEC, whose reply it returns.
  std::string Exec(const std::vector<std::string>& lines) {
    EXPECT_EQ(Send("MULTI"), "+OK\r\n");
    for (const std::string& line : lines) EXPECT_EQ(Send(line), kQueued);
    return Send("EXEC");
  }

  Session other_;
  ColdValues other_cold_;
};

TEST_F(TransactionTest, ExecRunsWhatWasQueuedAndAnswersWithAllReplies) {
  EXPECT_EQ(Send("MULTI"), "+OK\r\n");
  EXPECT_EQ(Send("SET a 1"), kQueued);
  EXPECT_EQ(Send("INCR a"), kQueued);
  EXPECT_EQ(Send("GET a"), kQueued);
  EXPECT_EQ(SendOther("EXISTS a"), ":0\r\n");
  EXPECT_EQ(Send("EXEC"), "*3\r\n+OK\r\n:2\r\n$1\r\n2\r\n");
  EXPECT_EQ(SendOther("GET a"), "$1\r\n2\r\n");
  EXPECT_EQ(Exec({}), "*0\r\n");
  EXPECT_EQ(Send("EXEC"), "-ERR EXEC without MULTI\r\n");
}

TEST_F(TransactionTest, AnErrorOfOneCommandIsItsReplyAndTheOthersRun) {
  Send("SET text abc");
  EXPECT_EQ(Exec({"SET a 1", "INCR text", "SET b 2", "SETRANGE a -1 x"}),
            "*4\r\n+OK\r\n-ERR value is not an integer or out of range\r\n"
            "+OK\r\n-ERR offset is out of range\r\n");
  EXPECT_EQ(Send("MGET a b"), "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
}

TEST_F(TransactionTest, AnErrorWhileQueueingAbortsExec) {
  for (const char* wrong :
       {"NOPE", "GET", "SET a", "CLIENT NOPE", "SHUTDOWN", "KV.COMPACT WAIT",
        "CLIENT REPLY OFF", "MULTI", "WATCH a", "SAVE"}) {
    SCOPED_TRACE(wrong);
    Send("MULTI");
    EXPECT_EQ(Send("SET a 1"), kQueued);
    EXPECT_TRUE(Send(wrong).starts_with("-ERR "));
    EXPECT_EQ(Send("SET b 1"), kQueued);
    EXPECT_EQ(Send("EXEC"), kPreviousErrors);
    EXPECT_EQ(Send("EXISTS a b"), ":0\r\n");
  }
  Send("MULTI");
  for (const char* line : {"SHUTDOWN", "MULTI", "WATCH a", "SAVE"}) {
    EXPECT_EQ(Send(line), "-ERR Command not allowed inside a transaction\r\n");
  }
  EXPECT_EQ(session_.watch, nullptr);
  Send("DISCARD");
}

TEST_F(TransactionTest, ExecWithWordsTooManyAbortsByItself) {
  Send("MULTI");
  Send("SET a 1");
  EXPECT_EQ(Send("EXEC now"),
            "-EXECABORT Transaction discarded because of: wrong number of "
            "arguments for 'exec' command\r\n");
  EXPECT_EQ(Send("EXISTS a"), ":0\r\n");
}

TEST_F(TransactionTest, DiscardAndResetForgetIt) {
  EXPECT_EQ(Send("DISCARD"), "-ERR DISCARD without MULTI\r\n");
  for (const auto& [words, reply] :
       {std::pair("DISCARD", "+OK\r\n"), std::pair("RESET", "+RESET\r\n")}) {
    Send("SET x 1");
    Send("WATCH x");
    Send("SET x 2");
    Send("MULTI");
    EXPECT_EQ(Send("SET a 1"), kQueued);
    EXPECT_EQ(Send(words), reply);
    EXPECT_EQ(Send("EXISTS a"), ":0\r\n");
    EXPECT_EQ(Exec({"PING"}), "*1\r\n+PONG\r\n");
    EXPECT_EQ(session_.watch, nullptr);
    EXPECT_EQ(session_.memory_bytes(), session_.name.capacity() +
                                           session_.library_name.capacity() +
                                           session_.library_version.capacity());
  }
}

TEST_F(TransactionTest, QuitRunsAtOnce) {
  Send("MULTI");
  EXPECT_EQ(Send("QUIT"), "+OK\r\n");
  EXPECT_TRUE(session_.closing);
}

TEST_F(TransactionTest, SelectChangesWhatFollowsAndStays) {
  Send("SET k zero");
  EXPECT_EQ(Exec({"SELECT 1", "SET k one", "GET k", "SELECT 2", "DBSIZE"}),
            "*5\r\n+OK\r\n+OK\r\n$3\r\none\r\n+OK\r\n:0\r\n");
  EXPECT_EQ(session_.database, 2);
  Send("SELECT 0");
  EXPECT_EQ(Send("GET k"), "$4\r\nzero\r\n");
}

TEST_F(TransactionTest, HelloChangesTheProtocolOfWhatFollows) {
  const std::string reply = Exec({"GET none", "HELLO 3", "GET none"});
  EXPECT_TRUE(reply.starts_with("*3\r\n$-1\r\n%7\r\n")) << reply;
  EXPECT_TRUE(reply.ends_with("_\r\n")) << reply;
  EXPECT_EQ(session_.protocol, 3);
}

TEST_F(TransactionTest, AggregatesSeeWhatTheTransactionChanged) {
  Send("SET a 1");
  Send("SET b 1");
  EXPECT_EQ(Exec({"DEL a", "SET c 1", "DBSIZE", "KEYS c", "FLUSHALL", "DBSIZE",
                  "KEYS *", "SET d 1", "SWAPDB 0 1", "DBSIZE", "SCAN 0"}),
            "*11\r\n:1\r\n+OK\r\n:2\r\n*1\r\n$1\r\nc\r\n+OK\r\n:0\r\n*0\r\n"
            "+OK\r\n+OK\r\n:0\r\n*2\r\n$1\r\n0\r\n*0\r\n");
  EXPECT_EQ(session_.listing, nullptr);
}

TEST_F(TransactionTest, TheClockStandsStill) {
  // Each look at the clock would move it.
  Send("SET a 1 PX 1000");
  clock_.AdvanceMs(999);
  EXPECT_EQ(Exec({"PTTL a", "SET b 1 PX 5", "PTTL b", "PTTL a"}),
            "*4\r\n:1\r\n+OK\r\n:5\r\n:1\r\n");
}

TEST_F(TransactionTest, AllChangesAreOneGroupWithARevisionEach) {
  const Seq before = store_->last_seq();
  const uint64_t groups = store_->Stats().groups_written;
  EXPECT_EQ(Exec({"KV.SET a 1", "KV.SET b 2", "KV.DEL a"}),
            fmt::format("*3\r\n:{}\r\n:{}\r\n:{}\r\n", before + 1, before + 2,
                        before + 3));
  EXPECT_EQ(store_->Stats().groups_written, groups + 1);
}

TEST_F(TransactionTest, ItsReplyWaitsForTheNewestChange) {
  Send("MULTI");
  Send("SET a 1");
  Send("SET b 1");
  std::string reply;
  const Executed executed = Run({"EXEC"}, &reply);
  EXPECT_EQ(executed.seen, store_->last_seq());
  EXPECT_TRUE(store_->MustWait(executed.seen));
}

TEST_F(TransactionTest, WritersInItQueueBehindThoseThatWaitForRoom) {
  Send("MULTI");
  std::string reply;
  // Queueing waits for nobody.
  EXPECT_EQ(Run({"SET", "a", "1"}, &reply, /*queue_writers=*/true).waits_for,
            WaitsFor::kNothing);
  EXPECT_EQ(Run({"EXEC"}, &reply, /*queue_writers=*/true).waits_for,
            WaitsFor::kRoom);
  EXPECT_EQ(Send("EXEC"), "*1\r\n+OK\r\n");
  Send("MULTI");
  Send("GET a");
  reply.clear();
  EXPECT_EQ(Run({"EXEC"}, &reply, /*queue_writers=*/true).waits_for,
            WaitsFor::kNothing);
  EXPECT_EQ(reply, "*1\r\n$1\r\n1\r\n");
}

TEST_F(TransactionTest, ASilentClientHearsNothingOfIt) {
  session_.reply_mode = Session::ReplyMode::kOff;
  for (const char* line : {"MULTI", "SET a 1", "EXEC"}) {
    EXPECT_EQ(Send(line), "") << line;
  }
  session_.reply_mode = Session::ReplyMode::kOn;
  EXPECT_EQ(Send("GET a"), "$1\r\n1\r\n");
}

TEST_F(TransactionTest, StatisticsCountWhatRanWhenItRan) {
  config_.slowlog.threshold_us = 0;
  Restart();
  const auto row = [&](std::string_view name) -> const CommandStats& {
    const Command& command = *FindCommand(name);
    return service_->command_stats.Of(RowOf(command, command).number);
  };
  Send("MULTI");
  Send("SET a x");
  Send("INCR a");
  EXPECT_EQ(row("SET").calls, 0u);
  EXPECT_EQ(service_->stats.commands, 1u);
  Send("EXEC");
  EXPECT_EQ(row("SET").calls, 1u);
  EXPECT_EQ(row("INCR").calls, 1u);
  EXPECT_EQ(row("INCR").failed, 1u);
  EXPECT_EQ(row("EXEC").calls, 1u);
  EXPECT_EQ(service_->stats.commands, 4u);
  EXPECT_EQ(session_.commands, 4u);
  EXPECT_EQ(service_->stats.error_replies, 1u);
  EXPECT_EQ(service_->errors["ERR"], 1u);
  // All but EXEC itself.
  EXPECT_EQ(service_->slow_log.entries().size(), 3u);
  Send("MULTI");
  Send("GET");
  Send("EXEC");
  EXPECT_EQ(row("GET").rejected, 1u);
  EXPECT_EQ(row("EXEC").failed, 1u);
  EXPECT_EQ(service_->errors["EXECABORT"], 1u);
}

TEST_F(TransactionTest, ClientListAndInfoShowIt) {
  const auto shows = [&](std::string_view text) {
    return SendOther("CLIENT LIST ID 1").find(text) != std::string::npos;
  };
  EXPECT_TRUE(shows("flags=U db=0 sub=0 psub=0 ssub=0 multi=-1 watch=0 "));
  EXPECT_TRUE(shows("multi-mem=0 "));
  Send("WATCH a b");
  Send("MULTI");
  Send("SET a " + std::string(1000, 'x'));
  EXPECT_TRUE(shows("flags=xU db=0 sub=0 psub=0 ssub=0 multi=1 watch=2 "));
  EXPECT_FALSE(shows("multi-mem=0 "));
  EXPECT_GT(session_.memory_bytes(), 1000u);
  EXPECT_NE(SendOther("INFO clients")
                .find("watching_clients:1\r\ntotal_watched_keys:2\r\n"),
            std::string::npos);
  EXPECT_EQ(Send("EXEC"), "*1\r\n+OK\r\n");
  EXPECT_TRUE(shows("multi=-1 watch=0 "));
}

class WatchCommandTest : public TransactionTest {
 protected:
  // Whether an EXEC does nothing after `lines` of another client.
  bool Fails(const std::vector<std::string>& lines) {
    for (const std::string& line : lines) SendOther(line);
    const std::string reply = Exec({"PING"});
    EXPECT_TRUE(reply == "*1\r\n+PONG\r\n" || reply == "*-1\r\n") << reply;
    return reply == "*-1\r\n";
  }
};

TEST_F(WatchCommandTest, ExecDoesNothingWhenAWatchedKeyHasChanged) {
  Send("SET x 30");
  EXPECT_EQ(Send("WATCH a b x c"), "+OK\r\n");
  EXPECT_FALSE(Fails({}));
  for (const char* line :
       {"SET x 40", "SET a 1", "DEL x", "EXPIRE x 10", "FLUSHDB", "FLUSHALL",
        "SWAPDB 0 1", "RENAME x y", "GETDEL x", "PERSIST x", "GETEX x EX 9"}) {
    SCOPED_TRACE(line);
    Send("FLUSHALL");
    Send("SET x 30 EX 1000");
    Send("WATCH a b x c");
    EXPECT_TRUE(Fails({line}));
    // Neither is watched any more.
    SendOther("SET x 50");
    SendOther("SET a 50");
    EXPECT_FALSE(Fails({}));
  }
}

TEST_F(WatchCommandTest, WhatChangesNothingDoesNot) {
  Send("SET x 30");
  for (const char* line : {"GET x", "SET x 1 NX", "SET other 1", "DEL none",
                           "EXPIRE none 10", "PERSIST x", "TOUCH x"}) {
    Send("WATCH none x");
    EXPECT_FALSE(Fails({line})) << line;
  }
  Send("WATCH none");
  EXPECT_FALSE(Fails({"FLUSHALL"}));
  Send("WATCH none");
  EXPECT_TRUE(Fails({"SET none 1", "DEL none"}));
}

TEST_F(WatchCommandTest, OwnChangesBeforeMultiCountToo) {
  Send("SET x 30");
  Send("WATCH x");
  Send("SET x 40");
  EXPECT_TRUE(Fails({}));
  Send("WATCH x");
  EXPECT_EQ(Exec({"SET x 1"}), "*1\r\n+OK\r\n");
}

TEST_F(WatchCommandTest, UnwatchForgetsAndIsQueuedInMulti) {
  EXPECT_EQ(Send("UNWATCH"), "+OK\r\n");
  Send("WATCH x");
  SendOther("SET x 1");
  EXPECT_EQ(Send("UNWATCH"), "+OK\r\n");
  EXPECT_FALSE(Fails({}));
  Send("WATCH x");
  Send("MULTI");
  EXPECT_EQ(Send("UNWATCH"), kQueued);
  SendOther("SET x 2");
  EXPECT_EQ(Send("EXEC"), "*-1\r\n");
  EXPECT_EQ(Exec({"UNWATCH"}), "*1\r\n+OK\r\n");
}

TEST_F(WatchCommandTest, KeysBelongToTheDatabaseOfTheTime) {
  Send("SELECT 5");
  Send("SET x 30");
  Send("WATCH x");
  SendOther("SELECT 1");
  EXPECT_FALSE(Fails({"SET x 10"}));
  Send("WATCH x");
  Send("SELECT 1");
  EXPECT_TRUE(Fails({"SELECT 5", "SET x 10"}));
}

TEST_F(WatchCommandTest, ADeadlineThatPassesTouches) {
  Send("SET x 1 PX 10");
  Send("WATCH x");
  clock_.AdvanceMs(11);
  EXPECT_TRUE(Fails({}));
  // One that has passed before does not.
  Send("SET x 1 PX 10");
  clock_.AdvanceMs(11);
  Send("WATCH x");
  EXPECT_FALSE(Fails({"EXISTS x"}));
}

TEST_F(WatchCommandTest, ErrorsComeBeforeTheNilAndUnwatch) {
  Send("WATCH x");
  Send("MULTI");
  Send("NOPE");
  SendOther("SET x 1");
  EXPECT_EQ(Send("EXEC"), kPreviousErrors);
  EXPECT_FALSE(Fails({"SET x 2"}));
}

TEST_F(WatchCommandTest, InResp3TheNilIsNull) {
  Send("HELLO 3");
  Send("WATCH x");
  SendOther("SET x 1");
  Send("MULTI");
  EXPECT_EQ(Send("EXEC"), "_\r\n");
}

// Who hears that a key has changed waits with the one who changed it.
TEST_F(WatchCommandTest, TheNilWaitsForTheChange) {
  Send("WATCH x");
  Send("MULTI");
  const std::vector<std::string_view> set = {"SET", "x", "1"};
  std::string reply;
  const Executed changed =
      Execute(*service_, other_, set, false, &other_cold_, &reply);
  reply.clear();
  const Executed executed = Run({"EXEC"}, &reply);
  EXPECT_EQ(reply, "*-1\r\n");
  EXPECT_EQ(executed.seen, changed.seen);
  EXPECT_TRUE(store_->MustWait(executed.seen));
}

TEST_F(WatchCommandTest, WatchedKeysAreBounded) {
  const std::string large(60'000, 'k');
  std::string reply = "+OK\r\n";
  for (int i = 0; i < 1000 && reply == "+OK\r\n"; ++i) {
    reply = Send(fmt::format("WATCH {}{}", large, i));
  }
  EXPECT_TRUE(reply.starts_with("-ERR too many watched keys")) << reply;
  EXPECT_LE(session_.memory_bytes(), size_t{17} << 20);
  EXPECT_GT(session_.memory_bytes(), size_t{10} << 20);
  EXPECT_EQ(Send("UNWATCH"), "+OK\r\n");
  EXPECT_EQ(Send("WATCH " + large), "+OK\r\n");
}

// What limits.transaction_bytes and others forbid is refused before anything is
// changed.
class TransactionLimits : public TransactionTest {
 protected:
  static constexpr uint64_t kLimit = 20'000;

  TransactionLimits() {
    config_.limits.transaction_bytes = kLimit;
    config_.limits.value_bytes = 32 << 10;
    Send("SET old value");
  }

  // The answer to these after a first command that could run. Nothing may have
  // changed.
  std::string Refusal(const std::vector<std::string>& lines) {
    const Seq before = store_->last_seq();
    Send("MULTI");
    Send("SET old changed");
    for (const std::string& line : lines) Send(line);
    const std::string reply = Send("EXEC");
    EXPECT_EQ(store_->last_seq(), before);
    EXPECT_EQ(Send("GET old"), "$5\r\nvalue\r\n");
    EXPECT_EQ(session_.queued, nullptr);
    return reply;
  }
};

constexpr std::string_view kTooLarge =
    "-EXECABORT Transaction discarded because of: the words, new values and "
    "replies of the transaction take more than limits.transaction_bytes, which "
    "is 20000B; nothing was changed. Send it in parts\r\n";

TEST_F(TransactionLimits, OfWords) {
  Send("MULTI");
  std::string reply;
  for (int i = 0; i < 100 && !reply.starts_with('-'); ++i) {
    reply = Send("GET " + std::string(1000, 'k'));
    EXPECT_LE(session_.memory_bytes(), kLimit + 200);
  }
  EXPECT_EQ(reply,
            "-ERR the transaction's words take more than "
            "limits.transaction_bytes, which is 20000B; nothing was changed. "
            "Send it in parts\r\n");
  EXPECT_LT(session_.memory_bytes(), 200u);
  EXPECT_EQ(Send("EXEC"), kPreviousErrors);
}

TEST_F(TransactionLimits, OfValuesThatFewWordsMake) {
  EXPECT_EQ(Refusal({"SETRANGE a 19999 x"}), kTooLarge);
  EXPECT_EQ(
      Refusal({"SETRANGE a 9000 x", "SETRANGE b 9000 x", "PING", "APPEND b y"}),
      kTooLarge);
  Send("SETRANGE large 12000 x");
  EXPECT_EQ(Refusal({"RENAME large larger", "RENAME larger large"}), kTooLarge);
  EXPECT_EQ(Refusal({"EXPIRE large 100", "PERSIST large"}), kTooLarge);
  EXPECT_EQ(Refusal({"COPY large a", "MOVE large 1"}), kTooLarge);
  EXPECT_EQ(Refusal({"SETBIT a 159999 1"}), kTooLarge);
  EXPECT_EQ(Refusal({"BITFIELD a SET u1 159999 1"}), kTooLarge);
  EXPECT_EQ(Refusal({"BITOP NOT a large", "BITOP NOT b large"}), kTooLarge);
  EXPECT_EQ(Exec({"SETRANGE a 9000 x", "STRLEN a"}),
            "*2\r\n:9001\r\n:9001\r\n");
}

TEST_F(TransactionLimits, OfReplies) {
  Send("SETRANGE large 9000 x");
  EXPECT_EQ(Refusal({"GET large", "GET large", "GET large"}), kTooLarge);
  for (int i = 0; i < 30; ++i) {
    Send("SET " + std::string(1000, 'k') + std::to_string(i) + " v");
  }
  EXPECT_EQ(Refusal({"KEYS k*"}), kTooLarge);
  const std::string reply = Exec({"GET large", "GET large"});
  EXPECT_EQ(reply.size(), 4 + 2 * (7 + 9001 + 2u));
}

TEST_F(TransactionLimits, OfOneReplyToEverything) {
  config_.limits.transaction_bytes = 1 << 20;
  config_.limits.output_bytes = 10'000;
  Send("SETRANGE large 6000 x");
  EXPECT_EQ(Refusal({"GET large", "GET large"}),
            "-EXECABORT Transaction discarded because of: the reply takes "
            "12029 bytes or more, and limits.output_bytes is 10000B; nothing "
            "was changed. Ask for less at once\r\n");
  for (int i = 0; i < 30; ++i) {
    Send("SET " + std::string(1000, 'k') + std::to_string(i) + " v");
  }
  EXPECT_TRUE(
      Refusal({"KEYS *"})
          .starts_with(
              "-EXECABORT Transaction discarded because of: the reply takes "));
}

#ifdef KVD_PLANTED_BUGS
TEST_F(TransactionLimits, WouldChangeSomethingIfLookedAtAfterwards) {
  const ScopedPlantedBug planted(PlantedBug::kTransactionLimitAfterChange);
  Send("MULTI");
  Send("SETRANGE a 19999 x");
  EXPECT_EQ(Send("EXEC"), kTooLarge);
  EXPECT_EQ(Send("STRLEN a"), ":20000\r\n");
}
#endif

class TransactionsAtTheMemoryLimit : public TransactionTest {
 protected:
  TransactionsAtTheMemoryLimit() : TransactionTest(OneMebibyte()) {
    Send("SET old value");
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
};

TEST_F(TransactionsAtTheMemoryLimit, AreRefusedWholeIfOneNeedsMore) {
  const Seq before = store_->last_seq();
  const std::string reply = Exec({"SET old other", "GET old", "SET new v"});
  EXPECT_TRUE(
      reply.starts_with("-EXECABORT Transaction discarded because of: "
                        "OOM command not allowed when used memory > "))
      << reply;
  EXPECT_EQ(store_->last_seq(), before);
  EXPECT_EQ(Exec({"SET old other", "GET old"}), "*2\r\n+OK\r\n$5\r\nother\r\n");
  EXPECT_EQ(Exec({"GET old", "PING"}), "*2\r\n$5\r\nother\r\n+PONG\r\n");
}

// More than the rest of a segment has room for: the first attempt is undone,
// and a later one has the room.
TEST_F(TransactionTest, WhatFindsNoRoomIsUndoneAndRunsWholeLater) {
  for (int i = 0; i < 5; ++i) {
    Send({"SET", "filler", std::string(kSegmentBytes / 7, 'f')});
  }
  std::string reply;
  Run({"MULTI"}, &reply);
  for (const char* key : {"a", "b", "c"}) {
    Run({"SET", key, std::string(kSegmentBytes / 7, 'v')}, &reply);
  }
  const Seq before = store_->last_seq();
  reply.clear();
  WaitsFor waits_for = Run({"EXEC"}, &reply).waits_for;
  EXPECT_EQ(waits_for, WaitsFor::kRoom);
  EXPECT_EQ(store_->last_seq(), before);
  EXPECT_EQ(SendOther("EXISTS a b c"), ":0\r\n");
  EXPECT_GT(session_.undone_bytes, kSegmentBytes / 7);
  for (int i = 0; i < 10 && waits_for == WaitsFor::kRoom; ++i) {
    MakeDurable();
    waits_for = Run({"EXEC"}, &reply).waits_for;
  }
  EXPECT_EQ(waits_for, WaitsFor::kNothing);
  EXPECT_EQ(reply, "*3\r\n+OK\r\n+OK\r\n+OK\r\n");
  EXPECT_EQ(store_->last_seq(), before + 3);
  EXPECT_EQ(session_.undone_bytes, 0u);
}

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
