// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "log/format/manifest.h"

namespace kvd {

// Segments whose files a backup still has to read: compaction may replace them,
// and then their files stay until the backup ends. Thread: loop.
class SegmentPins {
 public:
  // Nothing is pinned before.
  void Pin(std::span<const SealedSegment> segments) {
    for (const SealedSegment& segment : segments) pinned_.insert(segment.id);
  }
  // The ids of those `victims` whose files must stay for now.
  std::vector<uint64_t> Keep(std::span<const SealedSegment> victims) {
    std::vector<uint64_t> kept;
    for (const SealedSegment& victim : victims) {
      if (!pinned_.contains(victim.id)) continue;
      kept.push_back(victim.id);
      kept_bytes_ += victim.bytes;
    }
    kept_.insert(kept_.end(), kept.begin(), kept.end());
    return kept;
  }
  // Nothing is pinned any more. The ids of the files that were kept, which are
  // the caller's to remove.
  std::vector<uint64_t> Release() {
    pinned_.clear();
    kept_bytes_ = 0;
    return std::exchange(kept_, {});
  }
  // Of files that nothing but a pin keeps.
  uint64_t kept_bytes() const { return kept_bytes_; }

 private:
  std::set<uint64_t> pinned_;
  std::vector<uint64_t> kept_;
  uint64_t kept_bytes_ = 0;
};

}  // namespace kvd
