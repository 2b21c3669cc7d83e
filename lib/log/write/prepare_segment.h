// SPDX-License-Identifier: MIT
//
// Makes the file of a segment that groups will enter: its space is taken, and
// bytes and name are durable, before the MANIFEST names it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/error.h"
#include "fs/file_system.h"

namespace kvd {

// Left free on the disk: for the MANIFEST, and so that a store which is opened
// on a full disk finds room for one small segment, for removals alone.
inline constexpr uint64_t kDiskReserveBytes = 2 << 20;
inline constexpr uint64_t kManifestReserveBytes = 256 << 10;

struct SegmentOrder {
  uint64_t id = 0;
  uint64_t bytes = 0;
  uint64_t bytes_min = 0;  // For a disk that has no room for more.
  // What may be made out of the reserve when there is no room for that either;
  // 0 for nothing.
  uint64_t bytes_from_reserve = 0;
  bool zeroed = true;
  bool tries_zeros = false;  // If there is time to find the zeroing limit.
};

struct PreparedSegment {
  uint64_t id = 0;
  uint64_t capacity = 0;
  uint64_t free_disk_bytes = 0;  // That are left beside it.
  bool zeroed = false;
  bool from_reserve = false;
  std::unique_ptr<File> file;
  std::optional<uint64_t> zeroing_limit;  // If it was asked for, and is told.
};

// kNoSpace, or what the disk said, when there is no such segment; then nothing
// is left of it. Thread: slow work.
Result<PreparedSegment> PrepareSegment(Directory& directory,
                                       const SegmentOrder& order);

}  // namespace kvd
