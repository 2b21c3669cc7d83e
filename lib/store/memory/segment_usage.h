// SPDX-License-Identifier: MIT
//
// What each segment still holds: the figures by which compaction chooses.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/check.h"
#include "base/planted_bug.h"
#include "log/format/record.h"

namespace kvd {

struct SegmentUse {
  uint64_t live_bytes = 0;    // Records that a key points to.
  uint64_t dead_bytes = 0;    // All other records.
  uint64_t dead_puts = 0;     // Puts among the dead ones: what tombstones hide.
  uint64_t pinned_bytes = 0;  // Tombstones among the dead that compaction had
                              // to keep the last time.

  bool operator==(const SegmentUse&) const = default;
};

// Thread: loop.
class SegmentUsage {
 public:
  void AddLive(uint32_t segment, uint64_t bytes) {
    Of(segment).live_bytes += bytes;
    live_bytes_ += bytes;
  }
  // A record that never counts for a key: a tombstone, an old version.
  void AddDead(uint32_t segment, uint64_t bytes) {
    Of(segment).dead_bytes += bytes;
    dead_bytes_ += bytes;
  }
  // A flush or a swap. A swap's record is a byte longer; both count as much, so
  // that a segment's figures follow from how many such records it has,
  // whichever they are.
  void AddDatabaseChange(uint32_t segment) {
    AddDead(segment, RecordBytes(0, 0));
  }
  void AddDeadPut(uint32_t segment, uint64_t bytes) {
    AddDead(segment, bytes);
    ++Of(segment).dead_puts;
  }
  // A put whose key got a newer record.
  void Kill(uint32_t segment, uint64_t bytes) {
    SegmentUse& use = Of(segment);
    KVD_CHECK(use.live_bytes >= bytes);
    use.live_bytes -= bytes;
    live_bytes_ -= bytes;
    use.dead_bytes += bytes;
    dead_bytes_ += bytes;
    ++use.dead_puts;
  }

  // Take the same back.
  void TakeBackLive(uint32_t segment, uint64_t bytes) {
    Of(segment).live_bytes -= bytes;
    live_bytes_ -= bytes;
  }
  void TakeBackDead(uint32_t segment, uint64_t bytes) {
    Of(segment).dead_bytes -= bytes;
    dead_bytes_ -= bytes;
  }
  void TakeBackDatabaseChange(uint32_t segment) {
    TakeBackDead(segment, RecordBytes(0, 0));
  }
  void TakeBackKill(uint32_t segment, uint64_t bytes) {
    SegmentUse& use = Of(segment);
    use.live_bytes += bytes;
    live_bytes_ += bytes;
    use.dead_bytes -= bytes;
    dead_bytes_ -= bytes;
    --use.dead_puts;
  }

  // A tombstone that compaction kept.
  void AddPinned(uint32_t segment, uint64_t bytes) {
    AddDead(segment, bytes);
    Of(segment).pinned_bytes += bytes;
  }
  // They may be tried again.
  void UnpinAllBut(const std::vector<uint32_t>& segments) {
    for (auto& [segment, use] : uses_) {
      if (std::find(segments.begin(), segments.end(), segment) ==
          segments.end()) {
        use.pinned_bytes = 0;
      }
    }
  }
  // A live record was written anew elsewhere.
  void Move(uint32_t from, uint32_t to, uint64_t bytes) {
    SegmentUse& use = Of(from);
    KVD_CHECK(use.live_bytes >= bytes);
    use.live_bytes -= bytes;
    Of(to).live_bytes += bytes;
  }
  // A segment without live records is gone.
  void Forget(uint32_t segment) {
    const SegmentUse use = Find(segment);
    const bool planted = IsPlanted(PlantedBug::kBelieveVictims);
    KVD_CHECK(use.live_bytes == 0 || planted);
    live_bytes_ -= use.live_bytes;
    dead_bytes_ -= use.dead_bytes;
    recent_[segment % kRecent] = {};
    uses_.erase(segment);
  }
  SegmentUse Find(uint32_t segment) const {
    const auto found = uses_.find(segment);
    return found == uses_.end() ? SegmentUse{} : found->second;
  }

  uint64_t live_bytes() const { return live_bytes_; }
  uint64_t dead_bytes() const { return dead_bytes_; }
  const std::unordered_map<uint32_t, SegmentUse>& all() const { return uses_; }

 private:
  static constexpr size_t kRecent = 16;

  // Found earlier in the map, where references stay valid while it grows.
  struct Recent {
    uint32_t segment = 0;
    SegmentUse* use = nullptr;
  };

  // A put concerns the segment that is written and the one that its key stood
  // in before, which alternate, and there are few of the latter.
  SegmentUse& Of(uint32_t segment) {
    Recent& recent = recent_[segment % kRecent];
    if (recent.use == nullptr || recent.segment != segment) {
      recent = {segment, &uses_[segment]};
    }
    return *recent.use;
  }

  std::unordered_map<uint32_t, SegmentUse> uses_;
  std::array<Recent, kRecent> recent_ = {};
  uint64_t live_bytes_ = 0;
  uint64_t dead_bytes_ = 0;
};

}  // namespace kvd
