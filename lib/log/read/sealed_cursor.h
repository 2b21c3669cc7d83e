// SPDX-License-Identifier: MIT
//
// Reads sealed segments in small steps, one after the other, for work that goes
// on beside everything else: each step reads some of a file or hands out a few
// records. Records come out as soon as their chunk of the segment is verified;
// whether the segment is what was sealed is known at its end alone. So nothing
// that cannot be taken back may follow from records before done().
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "fs/file_system.h"
#include "log/format/manifest.h"
#include "log/read/chunk_reader.h"

namespace kvd {

// Thread: one at a time. Memory: a chunk and its records, some megabytes; a
// group and its records when that is larger.
class SealedCursor {
 public:
  // `directory` outlives it. Steps hand out at most `records_max` records.
  SealedCursor(Directory& directory, const StoreUuid& uuid,
               std::vector<SealedSegment> segments, size_t records_max);
  SealedCursor(const SealedCursor&) = delete;
  SealedCursor& operator=(const SealedCursor&) = delete;

  // Goes on; afterwards records() has the next ones, or none. Reads at most
  // kChunkBytes. kCorruption, with path and as a rule the offset, when the
  // segment at hand is not what was sealed: what it handed out were records of
  // it, but maybe not all of them. Another code when it cannot be read. After
  // an error it must not be called.
  Result<void> Step();
  // Whether everything was handed out, and every segment is what was sealed.
  // Then Step() must not be called.
  bool done() const { return at_ == segments_.size(); }

  // Both are valid until the next Step().
  std::span<const Record> records() const { return records_; }
  std::span<const uint64_t> offsets() const { return offsets_; }
  // What the last step read from the disk.
  uint64_t bytes_read() const { return bytes_read_; }
  // The segment that the last step was about.
  const SealedSegment& segment() const { return segments_[current_]; }

  uint64_t memory_bytes() const;

 private:
  Result<void> Read();
  Result<void> CheckTotals() const;
  void HandOut();
  void EndSegment();

  Directory& directory_;
  StoreUuid uuid_;
  std::vector<SealedSegment> segments_;
  size_t records_max_;
  size_t at_ = 0;       // The segment to go on with.
  size_t current_ = 0;  // The one that records_ belong to.

  // The segment that is being read.
  std::optional<ChunkReader> reader_;
  LogChunk chunk_;
  size_t handed_out_ = 0;  // Of the chunk's records.
  bool read_all_ = false;
  SegmentTotals totals_;

  std::span<const Record> records_;
  std::span<const uint64_t> offsets_;
  uint64_t bytes_read_ = 0;
};

}  // namespace kvd
