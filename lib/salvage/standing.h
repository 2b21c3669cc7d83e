// SPDX-License-Identifier: MIT
//
// Which of the segments that were found count. The MANIFEST says so; without it
// the heads of the segments do: FORMAT.md, "Head and end".
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "log/format/manifest.h"
#include "log/format/segment_head.h"
#include "salvage/survey.h"

namespace kvd {

enum class Standing {
  kCounts,
  // Replaced by a compaction of which nothing proves that it was installed:
  // it may have left out what a change that is lost has made dead.
  kDoubtful,
  kOut,  // Replaced, or never in use.
};

// A segment that ought to be there, and of which no file was found.
struct MissingSegment {
  uint64_t id = 0;
  std::optional<SealedSegment> sealed;  // By the MANIFEST.
  bool live = false;                    // By the MANIFEST.
  std::optional<HintOrigin> hint;       // Of a hint that is still there.
  // It held no change behind this one; UINT64_MAX when nothing says so.
  uint64_t last_seq_max = UINT64_MAX;
};

struct Standings {
  std::vector<Standing> of;  // By the survey's segments.
  std::vector<MissingSegment> missing;
  // Ids that are out of use for certain, by the newest head of a log segment;
  // empty where the MANIFEST rules.
  std::vector<IdRange> retired;
};

Standings JudgeSegments(const Survey& survey);

// Whether a damaged compacted segment may be one whose compaction a crash has
// cut short: all that it was to replace is still there.
bool StillHasVictims(const Survey& survey, const Standings& standings,
                     const FoundSegment& segment);

}  // namespace kvd
