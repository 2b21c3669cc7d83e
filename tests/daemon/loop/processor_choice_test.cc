// SPDX-License-Identifier: MIT
#include "daemon/loop/processor_choice.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <utility>

namespace kvd {
namespace {

constexpr int kWindowAtNewPlace =
    ProcessorChoice::kSettling + ProcessorChoice::kWindow;

// A machine on which a flush takes as long as it does on the loop's processor,
// where the loop is held as soon as the choice is made.
class ProcessorChoiceTest : public ::testing::Test {
 protected:
  void Flush(int count) {
    for (int i = 0; i < count; ++i) {
      ++flushes_on_[here_];
      choice_.Waited(here_, flush_ns_[here_]);
      if (choice_.processor() == here_) continue;
      here_ = choice_.processor();
      ++moves_;
    }
  }
  void FlushWindows(int count) { Flush(count * ProcessorChoice::kWindow); }
  int Moves() { return std::exchange(moves_, 0); }

  std::map<int, int64_t> flush_ns_ = {
      {0, 200'000}, {1, 100'000}, {2, 200'000}, {3, 200'000}};
  std::map<int, int> flushes_on_;
  int here_ = 0;
  int moves_ = 0;
  ProcessorChoice choice_{{0, 1, 2, 3}};
};

TEST_F(ProcessorChoiceTest, FindsTheOneThatIsClearlyQuicker) {
  FlushWindows(1000);
  flushes_on_.clear();
  FlushWindows(1000);
  EXPECT_EQ(here_, 1);
  EXPECT_GT(flushes_on_[1], 990 * ProcessorChoice::kWindow);
}

TEST_F(ProcessorChoiceTest, StaysWhereNoneIsClearlyQuicker) {
  flush_ns_[1] = 180'000;
  FlushWindows(ProcessorChoice::kTrialEveryMax);
  flushes_on_.clear();
  FlushWindows(ProcessorChoice::kTrialEveryMax);
  EXPECT_EQ(here_, 0);
  EXPECT_LE(flushes_on_[1] + flushes_on_[2] + flushes_on_[3],
            2 * kWindowAtNewPlace);
}

TEST_F(ProcessorChoiceTest, TrialsBecomeRareWhileTheyLose) {
  here_ = 1;
  FlushWindows(100);
  const int at_first = Moves();
  EXPECT_GE(at_first, 4);
  FlushWindows(2 * ProcessorChoice::kTrialEveryMax);
  Moves();
  FlushWindows(2 * ProcessorChoice::kTrialEveryMax);
  EXPECT_GE(Moves(), 2);
  EXPECT_EQ(here_, 1);
  FlushWindows(100);
  EXPECT_LT(Moves(), at_first);
}

TEST_F(ProcessorChoiceTest, BeginsWhereTheLoopIs) {
  EXPECT_EQ(choice_.processor(), -1);
  choice_.Waited(2, 100'000);
  EXPECT_EQ(choice_.processor(), 2);
}

// The loop was elsewhere when the flush ended: that tells nothing of here.
TEST_F(ProcessorChoiceTest, WaitsElsewhereDoNotCount) {
  here_ = 1;
  FlushWindows(1);
  for (int i = 0; i < 100 * ProcessorChoice::kWindow; ++i) {
    choice_.Waited(2, 1'000);
  }
  EXPECT_EQ(choice_.processor(), 1);
  FlushWindows(1000);
  EXPECT_EQ(here_, 1);
}

TEST_F(ProcessorChoiceTest, TriesSoonWhenFlushesHaveBecomeSlower) {
  here_ = 1;
  FlushWindows(2000);
  ASSERT_EQ(here_, 1);
  // Another program has come to this processor.
  flush_ns_[1] = 400'000;
  FlushWindows(4);
  EXPECT_NE(here_, 1);
  flushes_on_.clear();
  FlushWindows(100);
  EXPECT_LT(flushes_on_[1], 10 * ProcessorChoice::kWindow);
}

TEST_F(ProcessorChoiceTest, SlowerForEveryoneIsFoundOutOnce) {
  here_ = 1;
  FlushWindows(2000);
  for (auto& [processor, ns] : flush_ns_) ns *= 4;
  Moves();
  FlushWindows(3000);
  EXPECT_EQ(here_, 1);
  EXPECT_LT(Moves(), 40);
}

TEST_F(ProcessorChoiceTest, ChoosesNothingWhereTheLoopIsNotToBeHeld) {
  FlushWindows(1);
  choice_.GiveUp();
  for (int i = 0; i < 100 * ProcessorChoice::kWindow; ++i) {
    choice_.Waited(0, 200'000);
    ASSERT_EQ(choice_.processor(), -1);
  }
}

TEST(ProcessorChoiceOfOneTest, IsNone) {
  for (ProcessorChoice choice : {ProcessorChoice({}), ProcessorChoice({5})}) {
    for (int i = 0; i < 100 * ProcessorChoice::kWindow; ++i) {
      choice.Waited(5, 100'000 + i);
      ASSERT_EQ(choice.processor(), -1);
    }
  }
}

}  // namespace
}  // namespace kvd
