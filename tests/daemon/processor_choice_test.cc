// SPDX-License-Identifier: MIT
#include "daemon/processor_choice.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <optional>
#include <utility>

namespace kvd {
namespace {

constexpr int kWindowAtNewPlace =
    ProcessorChoice::kSettling + ProcessorChoice::kWindow;

// A machine on which a flush takes as long as it does on the loop's processor,
// and a scheduler that moves the loop only where it is told to.
class ProcessorChoiceTest : public ::testing::Test {
 protected:
  void Flush(int count) {
    for (int i = 0; i < count; ++i) {
      ++flushes_on_[here_];
      if (const auto to = choice_.Waited(here_, flush_ns_[here_])) {
        here_ = *to;
        ++moves_;
      }
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

TEST_F(ProcessorChoiceTest, ReturnsFromWhereTheSchedulerPutIt) {
  here_ = 1;
  FlushWindows(4);
  here_ = 2;
  Flush(kWindowAtNewPlace);
  EXPECT_EQ(here_, 1);
}

TEST_F(ProcessorChoiceTest, StaysWhereTheSchedulerPutItIfThatDoesNoHarm) {
  FlushWindows(4);
  here_ = 2;
  Flush(3 * kWindowAtNewPlace);
  EXPECT_EQ(here_, 2);
  EXPECT_EQ(Moves(), 0);
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

TEST_F(ProcessorChoiceTest, AMoveThatIsNotMadeDoesNoHarm) {
  for (int i = 0; i < 1000 * ProcessorChoice::kWindow; ++i) {
    moves_ += choice_.Waited(0, 100'000).has_value() ? 1 : 0;
  }
  const int wanted = Moves();
  EXPECT_GT(wanted, 0);
  EXPECT_LT(wanted, 20);
}

TEST(ProcessorChoiceOfOneTest, NeverMoves) {
  for (ProcessorChoice choice : {ProcessorChoice({}), ProcessorChoice({5})}) {
    for (int i = 0; i < 100 * ProcessorChoice::kWindow; ++i) {
      EXPECT_EQ(choice.Waited(5, 100'000 + i), std::nullopt);
    }
  }
}

}  // namespace
}  // namespace kvd
