// SPDX-License-Identifier: MIT
#include "store/background/compaction_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace kvd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

SegmentFacts Facts(uint64_t id, uint64_t bytes, uint64_t gain_bytes) {
  SegmentFacts facts;
  facts.id = id;
  facts.bytes = bytes;
  facts.gain_bytes = gain_bytes;
  facts.live_bytes = bytes - gain_bytes;
  facts.first_seq = 100 * id;
  facts.last_seq = 100 * id + 99;
  return facts;
}

PlanRules Rules(CompactionMode mode) {
  PlanRules rules;
  rules.mode = mode;
  rules.segment_bytes = 1 << 20;
  rules.space_bytes = UINT64_MAX;
  return rules;
}

constexpr uint64_t kFull = 1 << 20;

TEST(CompactionPlan, TakesWhatIsWorthItOldestFirst) {
  const std::vector<SegmentFacts> segments = {
      Facts(3, kFull, kFull / 2), Facts(1, kFull, kFull / 2),
      Facts(2, kFull, kFull / 10), Facts(4, kFull, 0)};
  EXPECT_THAT(ChooseVictims(segments, Rules(CompactionMode::kTimer)),
              ElementsAre(1, 3));
  EXPECT_THAT(ChooseVictims(segments, Rules(CompactionMode::kAsked)),
              ElementsAre(1, 2, 3));
}

TEST(CompactionPlan, AJobIsBounded) {
  std::vector<SegmentFacts> segments;
  for (uint64_t id = 1; id <= 100; ++id) {
    segments.push_back(Facts(id, kFull, kFull / 2));
  }
  EXPECT_EQ(ChooseVictims(segments, Rules(CompactionMode::kAsked)).size(),
            kSegmentsPerJob);
  // A larger one goes alone.
  segments = {Facts(1, 100 * kFull, kFull), Facts(2, kFull, kFull)};
  EXPECT_THAT(ChooseVictims(segments, Rules(CompactionMode::kAsked)),
              ElementsAre(1));
}

TEST(CompactionPlan, MergesSmallNeighbours) {
  std::vector<SegmentFacts> segments;
  for (uint64_t id = 1; id < kSmallSegmentsToMerge; ++id) {
    segments.push_back(Facts(id, 1000, 0));
  }
  EXPECT_THAT(ChooseVictims(segments, Rules(CompactionMode::kTimer)),
              IsEmpty());
  segments.push_back(Facts(kSmallSegmentsToMerge, 1000, 0));
  EXPECT_EQ(ChooseVictims(segments, Rules(CompactionMode::kTimer)).size(),
            kSmallSegmentsToMerge);
}

TEST(CompactionPlan, LeavesHistoryAndWhatIsExcludedAlone) {
  std::vector<SegmentFacts> segments = {
      Facts(1, kFull, kFull), Facts(2, kFull, kFull), Facts(3, kFull, kFull)};
  PlanRules rules = Rules(CompactionMode::kAsked);
  rules.history_bytes = kFull + 1;
  EXPECT_THAT(ChooseVictims(segments, rules), ElementsAre(1));
  segments[0].excluded = true;
  EXPECT_THAT(ChooseVictims(segments, rules), IsEmpty());
}

TEST(CompactionPlan, TakesWhatFitsOnTheDisk) {
  const std::vector<SegmentFacts> segments = {Facts(1, kFull, kFull / 10),
                                              Facts(2, kFull, kFull),
                                              Facts(3, kFull, kFull / 2)};
  PlanRules rules = Rules(CompactionMode::kAsked);
  rules.space_bytes = 0;
  EXPECT_THAT(ChooseVictims(segments, rules), ElementsAre(2));
  rules.mode = CompactionMode::kDanger;
  rules.space_bytes = OutputBytesMax(kFull / 2);
  EXPECT_THAT(ChooseVictims(segments, rules), ElementsAre(2, 3));
}

}  // namespace
}  // namespace kvd
