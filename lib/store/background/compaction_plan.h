// SPDX-License-Identifier: MIT
//
// Which segments compaction takes next: a pure function of what is known about
// them. One job takes a bounded number of bytes, so that the disk needs room
// for a few segments at once, never for the store a second time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kvd {

// What the choice depends on; of one sealed segment.
struct SegmentFacts {
  uint64_t id = 0;
  uint64_t bytes = 0;       // Of the file.
  uint64_t live_bytes = 0;  // Of records that a key points to.
  // Of records that would not be written again. Tombstones that had to be kept
  // the last time do not count.
  uint64_t gain_bytes = 0;
  uint64_t first_seq = 0;
  uint64_t last_seq = 0;
  bool excluded = false;  // Damaged, or not part of this run.
};

enum class CompactionMode {
  kTimer,   // What is worth it.
  kAsked,   // Everything with anything to gain.
  kDanger,  // The disk is (nearly) full: whatever gives room.
};

struct PlanRules {
  CompactionMode mode = CompactionMode::kTimer;
  double min_dead_ratio = 0.4;  // For kTimer.
  uint64_t segment_bytes = 0;   // As new segments are made.
  uint64_t history_bytes = 0;   // The newest so many bytes stay untouched.
  uint64_t space_bytes = 0;     // What new segments may take.
};

// A job's victims together have about as many bytes as so many new segments.
inline constexpr uint64_t kSegmentsPerJob = 8;
// A segment below this share of a new one is small; small ones are merged when
// there are so many of them.
inline constexpr uint64_t kSmallSegmentShare = 4;
inline constexpr size_t kSmallSegmentsToMerge = 4;
// In danger a segment is worth it from this dead share on.
inline constexpr double kDangerDeadRatio = 0.05;

// The ids of the next job's victims; empty when there is nothing worth doing or
// no space for it. Oldest first, except in danger: older puts are then gone
// before the tombstones that hide them are looked at.
std::vector<uint64_t> ChooseVictims(std::vector<SegmentFacts> segments,
                                    const PlanRules& rules);

// At least what a job's new segments take, for records of `live_bytes`.
uint64_t OutputBytesMax(uint64_t live_bytes);

}  // namespace kvd
