// SPDX-License-Identifier: MIT
#include "log/write/zeroing_choice.h"

#include <gtest/gtest.h>

namespace kvd {
namespace {

TEST(ZeroingChoice, PaysForGroupsBelowTheLimit) {
  ZeroingChoice choice(SyncMode::kAlways);
  EXPECT_EQ(choice.limit(), kZeroingLimitDefault);
  EXPECT_TRUE(choice.PaysFor(kZeroingLimitDefault - 1));
  EXPECT_FALSE(choice.PaysFor(kZeroingLimitDefault));
  choice.set_limit(1000);
  EXPECT_TRUE(choice.PaysFor(999));
  EXPECT_FALSE(choice.PaysFor(1000));
}

TEST(ZeroingChoice, NeverPaysWhereNobodyWaitsForAFlush) {
  for (const SyncMode sync : {SyncMode::kInterval, SyncMode::kNever}) {
    ZeroingChoice choice(sync);
    EXPECT_FALSE(choice.PaysFor(0));
    EXPECT_FALSE(choice.TakeTrial());
  }
}

TEST(ZeroingChoice, TriesOnce) {
  ZeroingChoice choice(SyncMode::kAlways);
  EXPECT_TRUE(choice.TakeTrial());
  EXPECT_FALSE(choice.TakeTrial());
}

TEST(ZeroingChoice, FollowsTheUsualSizeUntilALull) {
  ZeroingChoice choice(SyncMode::kAlways);
  EXPECT_EQ(choice.usual_group_bytes(), 0u);
  // Two large groups are half of what kUsualBytes holds.
  choice.NoteGroup(1 << 20);
  choice.NoteGroup(1 << 20);
  EXPECT_GT(choice.usual_group_bytes(), uint64_t{1 << 20} / 3);
  // Small ones count by their number.
  choice.NoteGroup(100);
  EXPECT_GT(choice.usual_group_bytes(), uint64_t{1 << 20} / 3);
  for (int i = 0; i < 10 * static_cast<int>(kUsualGroups); ++i) {
    choice.NoteGroup(100);
  }
  EXPECT_LT(choice.usual_group_bytes(), 1000u);

  choice.NoteGroup(8 << 20);
  EXPECT_GE(choice.usual_group_bytes(), uint64_t{8 << 20} - 1);
  choice.NoteLull();
  EXPECT_EQ(choice.usual_group_bytes(), 0u);
}

}  // namespace
}  // namespace kvd
