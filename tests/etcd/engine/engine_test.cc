// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <string>

#include "tests/etcd/engine_host.h"
#include "tests/support/fake_etcd.h"

namespace kvd::etcd {
namespace {

TEST_F(EngineTest, WhatOneHasSetTheOtherReads) {
  Ready();
  ASSERT_TRUE(one_.Set("key", "value"));
  EXPECT_EQ(OutcomeOf(one_), Outcome::kCommitted);
  EXPECT_EQ(Get(two_, "key"), "value");
  ASSERT_TRUE(two_.Remove("key"));
  EXPECT_EQ(OutcomeOf(two_), Outcome::kCommitted);
  EXPECT_EQ(Get(two_, "key"), "(none)");
  EXPECT_EQ(Get(one_, "key"), "(none)");
}

TEST_F(EngineTest, OfTwoThatReadTheSameOneRunsAgain) {
  Ready();
  ASSERT_TRUE(one_.Increment("count"));
  ASSERT_TRUE(two_.Increment("count"));
  const Outcome first = OutcomeOf(one_);
  const Outcome second = OutcomeOf(two_);
  EXPECT_NE(first, second);
  Host& late = first == Outcome::kRefused ? one_ : two_;
  Until([&] { return late.Increment("count"); });
  EXPECT_EQ(OutcomeOf(late), Outcome::kCommitted);
  EXPECT_EQ(Get(one_, "count"), "2");
  EXPECT_EQ(Get(two_, "count"), "2");
}

TEST_F(EngineTest, CountersFromBothSidesAddUp) {
  Ready();
  int done = 0;
  for (int i = 0; i < 40; ++i) {
    for (Host* host : {&one_, &two_}) {
      for (Outcome outcome = Outcome::kNone; outcome != Outcome::kCommitted;) {
        Until([&] { return host->Increment("count"); });
        outcome = OutcomeOf(*host);
      }
      ++done;
    }
  }
  EXPECT_EQ(Get(one_, "count"), std::to_string(done));
}

TEST_F(EngineTest, AFlushTakesAllAndWhatIsSetBehindItStays) {
  Ready();
  ASSERT_TRUE(one_.Set("old", "1"));
  EXPECT_EQ(OutcomeOf(one_), Outcome::kCommitted);
  ASSERT_TRUE(one_.Flush());
  ASSERT_TRUE(one_.Set("new", "2"));
  EXPECT_EQ(OutcomeOf(one_), Outcome::kCommitted);
  EXPECT_EQ(Get(two_, "old"), "(none)");
  EXPECT_EQ(Get(two_, "new"), "2");
  EXPECT_EQ(Get(one_, "old"), "(none)");
  EXPECT_EQ(Get(one_, "new"), "2");
}

// The answer is lost, and nothing is done twice or forgotten.
TEST_F(EngineTest, ATxnWhoseAnswerIsLostIsAskedAfter) {
  Ready();
  for (const Fate& fate :
       {Fate::AnswerLost(), Fate::NeverDone(), Fate::AnswerLost(3000),
        Fate::Broken(0), Fate::Broken(500), Fate::Broken(std::nullopt)}) {
    const std::string before = Get(one_, "count");
    etcd_.NextTxn("one", fate);
    Until([&] { return one_.Increment("count"); });
    while (OutcomeOf(one_) == Outcome::kRefused) {
      Until([&] { return one_.Increment("count"); });
    }
    for (int i = 0; i < 5000; ++i) Pass();
    const int count = before == "(none)" ? 0 : std::stoi(before);
    EXPECT_EQ(Get(two_, "count"), std::to_string(count + 1));
    EXPECT_EQ(Get(one_, "count"), std::to_string(count + 1));
  }
}

}  // namespace
}  // namespace kvd::etcd
