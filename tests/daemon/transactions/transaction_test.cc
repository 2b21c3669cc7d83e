// SPDX-License-Identifier: MIT
//
// MULTI, EXEC and DISCARD: what EXEC runs happens together, or not at all.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>

#include "tests/daemon/transactions/transaction_rig.h"

namespace kvd {
namespace {

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

}  // namespace
}  // namespace kvd
