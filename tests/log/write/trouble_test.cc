// SPDX-License-Identifier: MIT
#include "log/write/trouble.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>

#include "log/write/prepare_segment.h"

namespace kvd {
namespace {

const Error kFull(ErrorCode::kNoSpace, "full");
const Error kNoFiles(ErrorCode::kResources, "no files");

class TroubleTest : public testing::Test {
 protected:
  // What was said since the last call: w for a warning, i for information.
  std::string Said() { return std::exchange(said_, {}); }

  std::string said_;
  const LogSink log_ = [this](Severity severity, const std::string&) {
    said_ += severity == Severity::kWarning ? 'w' : 'i';
  };
};

TEST_F(TroubleTest, IsSaidOnceAndOnceMoreAtTheEnd) {
  Trouble trouble(log_, "over");
  trouble.End();
  EXPECT_EQ(Said(), "");
  EXPECT_FALSE(trouble);
  trouble.Note(kNoFiles);
  EXPECT_FALSE(trouble.needs_room());
  trouble.Note(kFull);
  EXPECT_TRUE(trouble.needs_room());
  EXPECT_EQ(Said(), "w");
  trouble.End();
  EXPECT_EQ(Said(), "i");
  EXPECT_FALSE(trouble);
  EXPECT_FALSE(trouble.needs_room());
}

TEST_F(TroubleTest, WhatIsForgottenWasNotOver) {
  Trouble trouble(log_, "over");
  trouble.Note(kFull);
  EXPECT_TRUE(trouble.Forget());
  EXPECT_FALSE(trouble.Forget());
  EXPECT_EQ(Said(), "w");
}

TEST_F(TroubleTest, ADiskIsFullForSegmentsOfThatSizeAndMore) {
  SupplyTrouble trouble(log_);
  EXPECT_FALSE(trouble.IsFullFor(UINT64_MAX - 1));
  trouble.SegmentFailed(kFull, 1000, 0);
  EXPECT_EQ(Said(), "w");
  trouble.SegmentFailed(kFull, 2000, 0);
  EXPECT_EQ(Said(), "");
  EXPECT_FALSE(trouble.IsFullFor(999));
  EXPECT_TRUE(trouble.IsFullFor(1000));
  EXPECT_FALSE(trouble.WouldFit(kDiskReserveBytes + 999));
  EXPECT_TRUE(trouble.WouldFit(kDiskReserveBytes + 1000));
  trouble.FoundRoom();
  trouble.FoundRoom();
  EXPECT_EQ(Said(), "i");
  EXPECT_FALSE(trouble.IsFullFor(1000));
}

// Whoever lacks descriptors is not told to free space.
TEST_F(TroubleTest, AShortageIsNotAFullDisk) {
  SupplyTrouble trouble(log_);
  trouble.SegmentFailed(kNoFiles, 1000, 0);
  EXPECT_TRUE(trouble.HasShortage());
  EXPECT_FALSE(trouble.IsFullFor(1000));
  EXPECT_EQ(Said(), "w");
  trouble.SegmentFailed(kFull, 1000, 0);
  EXPECT_FALSE(trouble.HasShortage());
  EXPECT_TRUE(trouble.IsFullFor(1000));
  EXPECT_EQ(Said(), "iw");
}

TEST_F(TroubleTest, IsTriedAgainAfterAWhile) {
  SupplyTrouble trouble(log_);
  EXPECT_EQ(trouble.retry_at_ms(), 0);
  trouble.SegmentFailed(kNoFiles, 1000, 5);
  EXPECT_EQ(trouble.retry_at_ms(), 5 + kDiskFullRetryMs);
  trouble.ManifestFailed(kFull, 7);
  EXPECT_EQ(trouble.retry_at_ms(), 7 + kDiskFullRetryMs);
  EXPECT_TRUE(trouble.ManifestNeedsRoom());
  trouble.NoRoomFor(1000, 9);
  EXPECT_EQ(trouble.retry_at_ms(), 9 + kDiskFullRetryMs);
}

}  // namespace
}  // namespace kvd
