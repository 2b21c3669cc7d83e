// SPDX-License-Identifier: MIT
#include "fs/sync_choice.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace kvd {
namespace {

constexpr int64_t kUs = 1000;
constexpr int64_t kMs = 1000 * kUs;

// A disk on which writes take their time by their manner.
class SyncChoices : public ::testing::Test {
 protected:
  void Write(int64_t writes) {
    for (int64_t i = 0; i < writes; ++i) {
      const bool with_write = choice_.manner() == SyncManner::kWithWrite;
      const int64_t ns = with_write ? with_write_ns_ : after_write_ns_;
      total_ns_ += ns;
      (with_write ? with_write_ : after_write_) += 1;
      choice_.Took(ns);
    }
  }
  // Of `writes` from here on, how many are in that manner.
  int64_t AfterWriteOf(int64_t writes) {
    after_write_ = 0;
    Write(writes);
    return after_write_;
  }

  SyncChoice choice_;
  int64_t with_write_ns_ = 110 * kUs;
  int64_t after_write_ns_ = 130 * kUs;
  int64_t total_ns_ = 0;
  int64_t with_write_ = 0;
  int64_t after_write_ = 0;
};

constexpr int64_t kMany = 100 * SyncChoice::kTrialEveryMax;

TEST_F(SyncChoices, BeginsWithTheOneThatIsLessWork) {
  EXPECT_EQ(AfterWriteOf(SyncChoice::kTrialEveryMin), 0);
}

TEST_F(SyncChoices, TriesTheOtherRarelyWhereItKeepsLosing) {
  Write(2 * SyncChoice::kTrialEveryMax);
  EXPECT_GE(AfterWriteOf(kMany), 99 * 8);
  EXPECT_LE(after_write_, 102 * SyncChoice::kWindow);
}

TEST_F(SyncChoices, StaysUnlessTheOtherIsMuchQuicker) {
  after_write_ns_ = with_write_ns_ * 3 / 4;
  Write(2 * SyncChoice::kTrialEveryMax);
  EXPECT_LE(AfterWriteOf(kMany), 102 * SyncChoice::kWindow);
}

TEST_F(SyncChoices, ChangesWithinAFewWritesOnceTheyAreSlower) {
  Write(kMany);
  with_write_ns_ = 4 * kMs;
  // The rest of a window, a whole one, and a trial.
  const int64_t writes = 3 * SyncChoice::kWindow;
  Write(writes);
  EXPECT_EQ(AfterWriteOf(writes), writes);
}

TEST_F(SyncChoices, ATrialThatIsLostCostsLittle) {
  with_write_ns_ = 4 * kMs;
  Write(2 * SyncChoice::kTrialEveryMax);
  total_ns_ = 0;
  Write(kMany);
  EXPECT_LT(total_ns_, kMany * after_write_ns_ * 102 / 100);
}

TEST_F(SyncChoices, GoesBackWhenTheProcessorsAreFreeAgain) {
  with_write_ns_ = 4 * kMs;
  Write(kMany);
  with_write_ns_ = 110 * kUs;
  Write(2 * SyncChoice::kTrialEveryMax);
  EXPECT_LE(AfterWriteOf(kMany), 102 * SyncChoice::kWindow);
}

// One write in a hundred takes long, in both manners.
TEST_F(SyncChoices, OutliersDoNotKeepItFromTheBetterOne) {
  with_write_ns_ = 4 * kMs;
  int64_t after_write = 0;
  for (int i = 0; i < kMany; ++i) {
    after_write_ns_ = i % 100 == 0 ? 5 * kMs : 130 * kUs;
    after_write += AfterWriteOf(1);
  }
  EXPECT_GT(after_write, kMany * 95 / 100);
}

}  // namespace
}  // namespace kvd
