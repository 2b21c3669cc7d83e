// SPDX-License-Identifier: MIT
//
// Batches that etcd refuses as somebody else was quicker: how their commands
// run again.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/planted_bug.h"
#include "tests/etcd/engine_host.h"
#include "tests/support/fake_etcd.h"

namespace kvd::etcd {
namespace {

class EngineRefusals : public EngineTest {
 protected:
  // Clients of one kvd that count up one key, each so often.
  struct Crowd {
    Host* host;
    std::vector<int> left;
    std::vector<bool> in_batch = std::vector<bool>(left.size());
    int counted_before = 0;  // By all, when its batch was refused last.
    bool was_refused = false;
  };
  static constexpr int kClients = 8;
  static constexpr int kTimes = 25;

  void Settle(Crowd& crowd) {
    const Outcome outcome = crowd.host->batches().TakeOutcome();
    if (outcome == Outcome::kNone) return;
    for (size_t i = 0; i < crowd.left.size(); ++i) {
      if (!crowd.in_batch[i]) continue;
      crowd.in_batch[i] = false;
      if (outcome == Outcome::kRefused) continue;
      --crowd.left[i];
      ++counted_;
    }
    if (outcome == Outcome::kRefused) {
      // Somebody was quicker, each time.
      EXPECT_TRUE(!crowd.was_refused || counted_ > crowd.counted_before);
      crowd.was_refused = true;
      crowd.counted_before = counted_;
    }
  }
  void Send(Crowd& crowd) {
    for (size_t i = 0; i < crowd.left.size(); ++i) {
      if (crowd.in_batch[i] || crowd.left[i] == 0) continue;
      crowd.in_batch[i] = crowd.host->Increment("count");
    }
  }
  // What the counter is when all have counted.
  std::string CountFromBothSides() {
    Ready();
    const std::vector<int> left(kClients, kTimes);
    Crowd crowds[] = {{&one_, left}, {&two_, left}};
    for (int i = 0; i < 20'000 && counted_ < 2 * kClients * kTimes; ++i) {
      for (Crowd& crowd : crowds) {
        Settle(crowd);
        Send(crowd);
      }
      Pass();
    }
    EXPECT_EQ(counted_, 2 * kClients * kTimes);
    return Get(one_, "count");
  }
  // What the Txns of a host that were done have put, by the last letter.
  std::vector<std::string> Puts(const std::string& host) const {
    std::vector<std::string> puts;
    for (const TxnRecord& txn : etcd_.history()) {
      if (txn.client != host || !txn.succeeded) continue;
      puts.emplace_back();
      for (const Op& op : txn.request.then) {
        if (op.key.find("/s/") == std::string::npos)
          puts.back() += op.key.back();
      }
    }
    return puts;
  }

  int counted_ = 0;
};

TEST_F(EngineRefusals, CrowdsFromBothSidesAddUp) {
  EXPECT_EQ(CountFromBothSides(), std::to_string(2 * kClients * kTimes));
}

#ifdef KVD_PLANTED_BUGS
TEST_F(EngineRefusals, WhatABatchKeepsOfItsReadsIsSeen) {
  const ScopedPlantedBug planted(PlantedBug::kRefusedKeepsReads);
  EXPECT_NE(CountFromBothSides(), std::to_string(2 * kClients * kTimes));
}
#endif

// First what has read nothing, then the others, each in a Txn of its own.
TEST_F(EngineRefusals, ARefusedBatchRunsAgainInParts) {
  Ready();
  ASSERT_TRUE(two_.Increment("x"));
  ASSERT_TRUE(one_.Increment("x"));
  ASSERT_TRUE(one_.Increment("y"));
  ASSERT_TRUE(one_.Set("z", "1"));
  two_.store().Pump();
  EXPECT_EQ(OutcomeOf(one_), Outcome::kRefused);
  EXPECT_EQ(OutcomeOf(two_), Outcome::kCommitted);
  const size_t before = Puts("one").size();

  Until([&] { return one_.Set("z", "1"); });
  EXPECT_FALSE(one_.Increment("x"));
  EXPECT_FALSE(one_.Increment("y"));
  EXPECT_EQ(OutcomeOf(one_), Outcome::kCommitted);
  EXPECT_TRUE(one_.Increment("x"));
  EXPECT_FALSE(one_.Increment("y"));
  EXPECT_EQ(OutcomeOf(one_), Outcome::kCommitted);
  EXPECT_TRUE(one_.Increment("y"));
  EXPECT_EQ(OutcomeOf(one_), Outcome::kCommitted);
  const std::vector<std::string> puts = Puts("one");
  EXPECT_EQ(std::vector<std::string>(
                puts.begin() + static_cast<ptrdiff_t>(before), puts.end()),
            (std::vector<std::string>{"z", "x", "y"}));
  // As before from now on.
  EXPECT_TRUE(one_.Increment("x"));
  EXPECT_TRUE(one_.Increment("y"));
  EXPECT_EQ(OutcomeOf(one_), Outcome::kCommitted);
  EXPECT_EQ(Get(two_, "x"), "3");
}

// Nothing but commands that have read: nobody waits for a first part.
TEST_F(EngineRefusals, WithoutAFirstPartTheRestGoesOn) {
  Ready();
  ASSERT_TRUE(two_.Increment("x"));
  ASSERT_TRUE(one_.Increment("x"));
  two_.store().Pump();
  EXPECT_EQ(OutcomeOf(one_), Outcome::kRefused);
  EXPECT_EQ(OutcomeOf(two_), Outcome::kCommitted);
  Until([&] { return one_.Increment("x"); });
  EXPECT_EQ(OutcomeOf(one_), Outcome::kCommitted);
  EXPECT_EQ(Get(two_, "x"), "2");
}

}  // namespace
}  // namespace kvd::etcd
