// SPDX-License-Identifier: MIT
//
// What clients of a kvd hear while its etcd is away or full, and that they wait
// no longer than etcd.timeout for that.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "etcd/engine/etcd_store.h"
#include "tests/daemon/server/server_host.h"
#include "tests/support/fake_etcd.h"
#include "tests/support/manual_clock.h"

namespace kvd {
namespace {

using etcd::Fate;

constexpr int64_t kTimeoutMs = 3000;
// Beyond the timeout, until clients hear of it.
constexpr int64_t kGraceMs = 100;

class Outage : public testing::Test {
 protected:
  Outage() : host_(clock_, OpenAs("one")) {}

  ServerHost::OpenStore OpenAs(const std::string& id) {
    return [this, id](Wake wake) {
      return std::make_unique<etcd::EtcdStore>(
          etcd_.Connect("one", wake),
          etcd::EtcdStoreOptions{.id = id,
                                 .nonce = id + std::to_string(++lives_),
                                 .timeout_ms = kTimeoutMs},
          clock_, wake);
    };
  }

  void Pass(int64_t ms) {
    for (int64_t i = 0; i < ms; i += kStepMs) {
      clock_.AdvanceMs(kStepMs);
      etcd_.Run();
      host_.Turn(3);
    }
  }
  void Send(int client, std::string_view inline_command) {
    host_.Send(client, std::string(inline_command) + "\r\n");
  }
  // What comes within that time; "" when nothing does.
  std::string Reply(int client, int64_t within_ms = kTimeoutMs + kGraceMs) {
    std::string reply;
    for (int64_t ms = 0; ms <= within_ms; ms += kStepMs) {
      reply = host_.Receive(client);
      if (!reply.empty()) break;
      Pass(kStepMs);
    }
    return reply;
  }
  std::string Call(std::string_view inline_command) {
    Send(0, inline_command);
    return Reply(0);
  }
  static testing::AssertionResult Begins(const std::string& reply,
                                         std::string_view with) {
    if (reply.starts_with(with)) return testing::AssertionSuccess();
    return testing::AssertionFailure() << reply << " instead of " << with;
  }

  static constexpr int64_t kStepMs = 10;

  int lives_ = 0;
  ManualClock clock_;
  etcd::FakeEtcd etcd_{clock_};
  ServerHost host_;
};

#define EXPECT_BEGINS(reply, with) EXPECT_TRUE(Begins(reply, with))

TEST_F(Outage, AStartWithoutEtcdSaysSoAndServesWhenItComes) {
  etcd_.SetQuorum(false);
  host_.Start();
  EXPECT_BEGINS(Call("GET key"), "-LOADING");
  EXPECT_BEGINS(Call("SET key 1"), "-LOADING");
  etcd_.SetQuorum(true);
  Pass(kTimeoutMs);
  EXPECT_EQ(Call("SET key 1"), "+OK\r\n");
  EXPECT_EQ(Call("GET key"), "$1\r\n1\r\n");
}

TEST_F(Outage, WithoutAQuorumReadsAreRefusedInTimeAndResume) {
  host_.Start();
  ASSERT_EQ(Call("SET key 1"), "+OK\r\n");
  etcd_.SetQuorum(false);
  EXPECT_BEGINS(Call("GET key"), "-TRYAGAIN");
  EXPECT_BEGINS(Call("GET key"), "-TRYAGAIN");
  etcd_.SetQuorum(true);
  Pass(kTimeoutMs);
  EXPECT_EQ(Call("GET key"), "$1\r\n1\r\n");
}

TEST_F(Outage, WhatNobodyCanKnowIsSaidInTimeAndOthersAreRefused) {
  host_.Start();
  ASSERT_EQ(Call("SET key 1"), "+OK\r\n");
  etcd_.SetQuorum(false);
  Send(0, "SET key 2");
  Pass(kStepMs);
  Send(1, "SET key 3");
  Send(2, "GET key");
  Send(3, "EVAL \"return redis.call('incr', 'key')\" 1 key");
  EXPECT_BEGINS(Reply(0), "-UNKNOWN");
  EXPECT_BEGINS(Reply(1), "-TRYAGAIN");
  EXPECT_BEGINS(Reply(2), "-TRYAGAIN");
  EXPECT_BEGINS(Reply(3), "-");
  // A later command waits for the timeout again, and no longer.
  EXPECT_BEGINS(Call("SET key 4"), "-TRYAGAIN");
  etcd_.SetQuorum(true);
  Pass(kTimeoutMs);
  EXPECT_EQ(Call("SET key 5"), "+OK\r\n");
  EXPECT_EQ(Call("GET key"), "$1\r\n5\r\n");
}

// Only what changes something has to wait for a fence.
TEST_F(Outage, ReadsGoOnWhileChangesWaitForAFence) {
  host_.Start();
  ASSERT_EQ(Call("SET key 1"), "+OK\r\n");
  for (int i = 0; i < 20; ++i) etcd_.NextTxn("one", Fate::NeverDone());
  Send(0, "SET key 2");
  EXPECT_BEGINS(Reply(0), "-UNKNOWN");
  Send(0, "SET key 3");
  Send(1, "EVAL \"return redis.call('incr', KEYS[1])\" 1 key");
  for (int i = 0; i < 5; ++i) {
    Send(2, "GET key");
    EXPECT_EQ(Reply(2), "$1\r\n1\r\n");
  }
  EXPECT_BEGINS(Reply(0), "-TRYAGAIN");
  EXPECT_BEGINS(Reply(1), "-TRYAGAIN");
}

TEST_F(Outage, ATxnWithoutAnAnswerIsAskedAfterBeforeAnybodyHears) {
  host_.Start();
  ASSERT_EQ(Call("SET count 1"), "+OK\r\n");
  etcd_.NextTxn("one", Fate::AnswerLost());
  EXPECT_EQ(Call("INCR count"), ":2\r\n");
  etcd_.NextTxn("one", Fate::NeverDone());
  EXPECT_EQ(Call("INCR count"), ":3\r\n");
  EXPECT_EQ(Call("GET count"), "$1\r\n3\r\n");
}

TEST_F(Outage, AFullEtcdRefusesChangesAndReadsGoOn) {
  host_.Start();
  ASSERT_EQ(Call("SET key 1"), "+OK\r\n");
  etcd_.state().set_no_space(true);
  EXPECT_BEGINS(Call("SET key 2"), "-DISKFULL");
  EXPECT_EQ(Call("GET key"), "$1\r\n1\r\n");
  // After a restart, too, and for a Txn of which nobody knows.
  host_.Kill();
  host_.Start();
  EXPECT_EQ(Call("GET key"), "$1\r\n1\r\n");
  EXPECT_BEGINS(Call("SET key 3"), "-DISKFULL");
  EXPECT_BEGINS(Call("EVAL \"return redis.call('incr', KEYS[1])\" 1 key"),
                "-DISKFULL etcd has no space left (NOSPACE)");
  EXPECT_EQ(Call("GET key"), "$1\r\n1\r\n");
  etcd_.state().set_no_space(false);
  Pass(kTimeoutMs);
  EXPECT_EQ(Call("SET key 4"), "+OK\r\n");
}

// What was done is not denied, and not done twice.
TEST_F(Outage, AnEtcdThatIsFullWithATxn) {
  host_.Start();
  ASSERT_EQ(Call("SET count 1"), "+OK\r\n");
  etcd_.state().FillWithNext();
  EXPECT_EQ(Call("INCR count"), ":2\r\n");
  EXPECT_BEGINS(Call("INCR count"), "-DISKFULL");
  etcd_.state().set_no_space(false);
  EXPECT_EQ(Call("INCR count"), ":3\r\n");
  EXPECT_EQ(Call("GET count"), "$1\r\n3\r\n");

  // Where that cannot be looked up, nobody knows at first.
  etcd_.state().FillWithNext();
  etcd_.NextRange("one", Fate::Refused());
  EXPECT_BEGINS(Call("INCR count"), "-UNKNOWN");
  etcd_.state().set_no_space(false);
  Pass(kTimeoutMs);
  EXPECT_EQ(Call("INCR count"), ":5\r\n");
}

// A read and a change that finds nothing, in one piece, while etcd is away.
TEST_F(Outage, AChangeBehindAReadThatIsRefusedIsAnsweredToo) {
  host_.Start();
  ASSERT_EQ(Call("SET a 1"), "+OK\r\n");
  etcd_.SetQuorum(false);
  Send(0, "GET a\r\nDEL b");
  std::string replies = Reply(0);
  EXPECT_BEGINS(replies, "-TRYAGAIN");
  replies.erase(0, replies.find("\r\n") + 2);
  if (replies.empty()) replies = Reply(0);
  EXPECT_BEGINS(replies, "-TRYAGAIN");
}

TEST_F(Outage, AFullEtcdAndATxnOfWhichNobodyKnows) {
  host_.Start();
  ASSERT_EQ(Call("SET key 1"), "+OK\r\n");
  etcd_.NextTxn("one", Fate::NeverDone());
  Send(0, "SET key 2");
  Pass(kStepMs);
  etcd_.state().set_no_space(true);
  EXPECT_BEGINS(Reply(0), "-UNKNOWN");
  EXPECT_EQ(Call("GET key"), "$1\r\n1\r\n");
  EXPECT_BEGINS(Call("SET key 3"), "-DISKFULL");
}

TEST_F(Outage, HistoryThatIsCompactedWhileKeysAreLoaded) {
  host_.Start();
  for (int i = 0; i < 300; ++i) {
    ASSERT_EQ(Call("SET key:" + std::to_string(i) + " 1"), "+OK\r\n");
  }
  host_.Kill();
  host_.Start();
  for (int i = 0; i < 4; ++i) etcd_.NextRange("one", Fate::Answered(50, 100));
  for (int i = 0; i < 20; ++i) {
    etcd_.Put("other", "1");
    ASSERT_TRUE(etcd_.Compact(etcd_.state().revision()).ok());
    Pass(kStepMs);
  }
  EXPECT_EQ(Call("GET key:299"), "$1\r\n1\r\n");
  EXPECT_EQ(Call("DBSIZE"), ":300\r\n");
}

// The watch cannot go on: everything is loaded anew.
TEST_F(Outage, HistoryThatIsCompactedUnderABrokenWatch) {
  host_.Start();
  ASSERT_EQ(Call("MSET a 1 b 2"), "+OK\r\n");
  etcd_.BreakWatches();
  etcd_.Delete("kvd/0/0/a");
  etcd_.Put("kvd/0/0/b", "03");
  ASSERT_TRUE(etcd_.Compact(etcd_.state().revision()).ok());
  etcd_.ResumeWatches();
  Pass(10 * kStepMs);
  EXPECT_EQ(Call("GET a"), "$-1\r\n");
  EXPECT_EQ(Call("GET b"), "$1\r\n3\r\n");
  EXPECT_EQ(Call("SET c 4"), "+OK\r\n");
}

TEST_F(Outage, AWatchThatSaysNothingHoldsNoReadForEver) {
  host_.Start();
  ASSERT_EQ(Call("SET key 1"), "+OK\r\n");
  etcd_.HoldWatches("one", true);
  EXPECT_EQ(Call("SET key 2"), "+OK\r\n");
  EXPECT_BEGINS(Call("GET key"), "-TRYAGAIN");
  etcd_.HoldWatches("one", false);
  EXPECT_EQ(Call("GET key"), "$1\r\n2\r\n");
}

// What was changed here is there before what others have changed.
TEST_F(Outage, AWatchThatSaysNothingHoldsNobodyForEver) {
  host_.Start();
  ASSERT_EQ(Call("MSET key 1 other 1"), "+OK\r\n");
  Pass(kStepMs);
  etcd_.HoldWatches("one", true);
  etcd_.NextRange("one", Fate::Answered(0, 2 * kStepMs));
  Send(1, "MGET key other");
  Pass(kStepMs);
  EXPECT_EQ(Call("SET key 2"), "+OK\r\n");
  EXPECT_BEGINS(Reply(1), "-TRYAGAIN");
  EXPECT_BEGINS(Call("SET key 3"), "-TRYAGAIN");
  etcd_.HoldWatches("one", false);
  EXPECT_EQ(Call("MGET key other"), "*2\r\n$1\r\n2\r\n$1\r\n1\r\n");
  EXPECT_EQ(Call("SET key 4"), "+OK\r\n");
}

TEST_F(Outage, TwoKvdsWithOneIdDoNotGoOn) {
  host_.Start();
  ASSERT_EQ(Call("SET key 1"), "+OK\r\n");
  ServerHost other(clock_, OpenAs("one"));
  other.Start();
  for (int i = 0; i < 100; ++i) {
    Pass(kStepMs);
    other.Turn();
  }
  Send(0, "SET key 2");
  Pass(10 * kStepMs);
  ASSERT_TRUE(host_.store().failure());
  const std::string& why = host_.store().failure()->message();
  EXPECT_NE(why.find("another kvd writes to etcd"), std::string::npos) << why;
  EXPECT_FALSE(other.store().failure());
}

TEST_F(Outage, AnEndIsSilentWhereCommandsAre) {
  host_.Start();
  ASSERT_EQ(Call("SET key 1"), "+OK\r\n");
  for (const int client : {1, 2, 3}) {
    Send(client, "PING");
    EXPECT_EQ(Reply(client), "+PONG\r\n");
  }
  etcd_.NextTxn("one", Fate::Answered(10 * kStepMs));
  Send(0, "SET key 2");
  Pass(kStepMs);
  // They wait for that one.
  Send(1, "CLIENT REPLY OFF");
  Send(1, "SET key 3");
  Send(2, "CLIENT REPLY SKIP");
  Send(2, "SET key 3");
  Send(3, "SET key 3");
  Pass(kStepMs);
  etcd_.Put("kvd/s/one", "another 1 1");
  Pass(20 * kStepMs);
  ASSERT_TRUE(host_.store().failure());
  EXPECT_BEGINS(host_.Receive(0), "-IOERR outcome unknown");
  EXPECT_EQ(host_.Receive(1) + host_.Receive(2), "");
  EXPECT_BEGINS(host_.Receive(3), "-IOERR kvd ends");
}

TEST_F(Outage, AStopDoesNotWaitForEtcd) {
  host_.Start();
  ASSERT_EQ(Call("SET key 1"), "+OK\r\n");
  etcd_.SetQuorum(false);
  Send(0, "SET key 2");
  Pass(kTimeoutMs / 2 + 2 * kStepMs);
  host_.store().Stop();
  EXPECT_TRUE(host_.store().stopped());
  Pass(kStepMs);
  EXPECT_BEGINS(host_.Receive(0), "-UNKNOWN");
}

}  // namespace
}  // namespace kvd
