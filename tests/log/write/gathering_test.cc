// SPDX-License-Identifier: MIT
#include "log/write/gathering.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace kvd {
namespace {

constexpr int64_t kUs = 1000;

// Writers who come back one by one after each flush, and groups that leave when
// they need not wait any more, as the log's do.
class GatheringTest : public ::testing::Test {
 protected:
  // One flush, and how long its writers take until the last one is back.
  void Round() {
    now_ns_ += flush_ns_;
    gathering_.Landed(now_ns_, flush_ns_, landed_, open_);
    for (uint32_t i = 1; i <= landed_; ++i) {
      const int64_t came_ns = now_ns_ + return_ns_ * i / landed_;
      if (gathering_.Came()) gathering_.LastCame(came_ns);
    }
  }
  void Rounds(int rounds) {
    for (int i = 0; i < rounds; ++i) Round();
  }
  // How long a group that has records since the flush ended waits for one more.
  int64_t WaitNs() {
    now_ns_ += flush_ns_;
    gathering_.Landed(now_ns_, flush_ns_, landed_, open_);
    int64_t ns = 0;
    while (gathering_.Waits(now_ns_ + ns, now_ns_)) ns += kUs;
    return ns;
  }

  Gathering gathering_;
  int64_t now_ns_ = 1'000'000 * kUs;
  int64_t flush_ns_ = 300 * kUs;
  int64_t return_ns_ = 150 * kUs;
  uint32_t landed_ = 1;
  uint32_t open_ = 1;
};

constexpr int kMany = 100;

TEST_F(GatheringTest, WaitsForAMomentBeforeItKnows) {
  EXPECT_EQ(WaitNs(), Gathering::kMomentNs);
}

TEST_F(GatheringTest, WaitsForAFlushWhereWritersComeBackWithinOne) {
  Rounds(kMany);
  EXPECT_EQ(WaitNs(), flush_ns_);
}

TEST_F(GatheringTest, WaitsForAMomentWhereTheyTakeLonger) {
  return_ns_ = 400 * kUs;
  Rounds(kMany);
  EXPECT_EQ(WaitNs(), Gathering::kMomentNs);
}

TEST_F(GatheringTest, WritersWhoStayAwayAreFoundOut) {
  Rounds(kMany);
  int rounds = 0;
  while (WaitNs() > Gathering::kMomentNs) ASSERT_LT(++rounds, 20);
}

TEST_F(GatheringTest, OnePauseOfTheWritersChangesNothing) {
  Rounds(kMany);
  return_ns_ = 1'000'000 * kUs;
  Round();
  EXPECT_EQ(WaitNs(), flush_ns_);
}

TEST_F(GatheringTest, WaitsForNoMoreThanHalfAShortFlushBeforeItKnows) {
  flush_ns_ = 10 * kUs;
  EXPECT_EQ(WaitNs(), flush_ns_ / 2);
}

TEST_F(GatheringTest, SpinsForNoLongerThanTheLimit) {
  flush_ns_ = 8'000 * kUs;
  Rounds(kMany);
  EXPECT_EQ(WaitNs(), Gathering::kWaitNsMax);
}

TEST_F(GatheringTest, WaitsForNobodyWhenAllAreBack) {
  Rounds(kMany);
  Round();
  EXPECT_FALSE(gathering_.Waits(now_ns_, now_ns_));
}

TEST_F(GatheringTest, OneWriterAloneWaitsForNobody) {
  open_ = 0;
  Rounds(kMany);
  EXPECT_EQ(WaitNs(), 0);
}

// A flush without records, that only declares.
TEST_F(GatheringTest, NobodyIsExpectedAfterAnEmptyFlush) {
  landed_ = 0;
  EXPECT_EQ(WaitNs(), 0);
}

}  // namespace
}  // namespace kvd
