// SPDX-License-Identifier: MIT
//
// WATCH and UNWATCH: an EXEC after a change of a watched key does nothing.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/daemon/transactions/transaction_rig.h"

namespace kvd {
namespace {

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

}  // namespace
}  // namespace kvd
