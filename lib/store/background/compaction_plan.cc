// SPDX-License-Identifier: MIT
#include "store/background/compaction_plan.h"

#include <algorithm>

namespace kvd {
namespace {

// Excludes those that hold any of the newest `history_bytes`.
void ProtectHistory(std::vector<SegmentFacts>* segments,
                    uint64_t history_bytes) {
  std::sort(segments->begin(), segments->end(),
            [](const SegmentFacts& a, const SegmentFacts& b) {
              return a.last_seq > b.last_seq;
            });
  uint64_t newer_bytes = 0;
  for (SegmentFacts& segment : *segments) {
    if (newer_bytes < history_bytes) segment.excluded = true;
    newer_bytes += segment.bytes;
  }
}

bool IsWorthIt(const SegmentFacts& segment, const PlanRules& rules) {
  const auto gain = static_cast<double>(segment.gain_bytes);
  const auto bytes = static_cast<double>(segment.bytes);
  switch (rules.mode) {
    case CompactionMode::kTimer:
      return gain > 0 && gain >= rules.min_dead_ratio * bytes;
    case CompactionMode::kAsked:
      return gain > 0;
    case CompactionMode::kDanger:
      return gain > 0 && gain >= kDangerDeadRatio * bytes;
  }
  return false;
}

bool IsSmall(const SegmentFacts& segment, const PlanRules& rules) {
  return segment.bytes < rules.segment_bytes / kSmallSegmentShare;
}

// Those worth it, and small ones when there are enough to merge.
std::vector<SegmentFacts> Candidates(const std::vector<SegmentFacts>& segments,
                                     const PlanRules& rules) {
  const auto small = std::count_if(
      segments.begin(), segments.end(),
      [&](const auto& s) { return !s.excluded && IsSmall(s, rules); });
  const size_t enough =
      rules.mode == CompactionMode::kAsked ? 2 : kSmallSegmentsToMerge;
  const bool merge = rules.mode != CompactionMode::kDanger &&
                     static_cast<size_t>(small) >= enough;
  std::vector<SegmentFacts> candidates;
  for (const SegmentFacts& segment : segments) {
    if (segment.excluded) continue;
    if (IsWorthIt(segment, rules) || (merge && IsSmall(segment, rules))) {
      candidates.push_back(segment);
    }
  }
  return candidates;
}

}  // namespace

uint64_t OutputBytesMax(uint64_t live_bytes) {
  // Headers of segments and groups, and tombstones that must stay.
  return live_bytes == 0 ? 0 : live_bytes + live_bytes / 16 + (64 << 10);
}

std::vector<uint64_t> ChooseVictims(std::vector<SegmentFacts> segments,
                                    const PlanRules& rules) {
  ProtectHistory(&segments, rules.history_bytes);
  std::vector<SegmentFacts> candidates = Candidates(segments, rules);
  std::sort(candidates.begin(), candidates.end(),
            [&](const SegmentFacts& a, const SegmentFacts& b) {
              if (rules.mode == CompactionMode::kDanger &&
                  a.live_bytes != b.live_bytes) {
                return a.live_bytes < b.live_bytes;
              }
              return a.first_seq < b.first_seq;
            });

  std::vector<uint64_t> victims;
  uint64_t bytes = 0;
  uint64_t live_bytes = 0;
  for (const SegmentFacts& segment : candidates) {
    if (!victims.empty() &&
        bytes + segment.bytes > kSegmentsPerJob * rules.segment_bytes) {
      break;
    }
    if (OutputBytesMax(live_bytes + segment.live_bytes) > rules.space_bytes) {
      continue;
    }
    victims.push_back(segment.id);
    bytes += segment.bytes;
    live_bytes += segment.live_bytes;
  }
  return victims;
}

}  // namespace kvd
