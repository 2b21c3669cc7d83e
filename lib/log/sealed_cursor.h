// SPDX-License-Identifier: MIT
//
// Reads sealed segments in small steps, one after the other, for work that goes
// on beside everything else: each step reads a piece of a file or hands out a
// few records. It verifies a segment as a whole before it hands out any.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "fs/file_system.h"
#include "log/manifest.h"
#include "log/segment_reader.h"

namespace kvd {

// Read at once from a file.
inline constexpr uint64_t kCursorReadBytes = 1 << 20;

// Thread: one at a time. Memory: one segment.
class SealedCursor {
 public:
  // `directory` outlives it. Steps hand out at most `records_max` records.
  SealedCursor(Directory& directory, const StoreUuid& uuid,
               std::vector<SealedSegment> segments, size_t records_max);

  // Goes on; afterwards records() has the next ones, or none when the step only
  // read. kCorruption, with path and offset, when the segment at hand is not
  // what was sealed; another code when it cannot be read.
  Result<void> Step();
  // Whether everything was handed out. Then Step() must not be called.
  bool done() const { return at_ == segments_.size(); }

  // Both are valid until the next Step().
  std::span<const Record> records() const { return records_; }
  std::span<const uint64_t> offsets() const { return offsets_; }
  // What the last step read from the disk.
  uint64_t bytes_read() const { return bytes_read_; }
  // The segment that the last step was about.
  const SealedSegment& segment() const { return segments_[current_]; }

 private:
  Result<void> Read();
  Result<void> Verify() const;
  Result<void> NextRecords();
  SegmentIdentity identity() const;
  std::string Path() const;

  Directory& directory_;
  StoreUuid uuid_;
  std::vector<SealedSegment> segments_;
  size_t records_max_;
  size_t at_ = 0;       // The segment to go on with.
  size_t current_ = 0;  // The one that records_ belong to.

  std::unique_ptr<File> file_;  // While it is being read.
  std::string bytes_;
  uint64_t bytes_filled_ = 0;
  std::unique_ptr<SegmentReader> reader_;  // Once all of it was verified.
  Group group_;
  size_t handed_out_ = 0;  // Of the group's records.

  std::span<const Record> records_;
  std::span<const uint64_t> offsets_;
  uint64_t bytes_read_ = 0;
};

}  // namespace kvd
