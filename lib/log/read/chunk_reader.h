// SPDX-License-Identifier: MIT
//
// Sealed segments in chunks: whole commit groups, about a megabyte of them,
// which several threads may verify at once. Memory is bounded by the chunks in
// flight, whatever the segments' size, and a chunk is still in the cache of the
// core that read it when its records are looked at.
//
// The rules are those of sealed_walk.h, which also tells what can be read
// behind damage and what a person can do. Here the first damage is the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "fs/file_system.h"
#include "log/format/manifest.h"
#include "log/read/sealed_file.h"
#include "log/read/segment_reader.h"

namespace kvd {

inline constexpr size_t kChunkBytes = size_t{1} << 20;

// What a part of a segment holds, to be added up and compared with the
// MANIFEST.
struct SegmentTotals {
  uint64_t records = 0;
  uint64_t first_seq = 0;  // The lowest; 0 when there are no records.
  uint64_t last_seq = 0;   // The highest.

  void Add(const Record& record);
  void Add(const SegmentTotals& part);
  bool AreThoseOf(const SealedSegment& segment) const;
};

// A chunk, to be used again and again. The records of a verified one are views
// into it. Thread: one at a time.
class LogChunk {
 public:
  uint64_t number() const { return number_; }
  // Where it is from: an index into the segments that the reader was given.
  size_t segment() const { return segment_; }
  uint32_t segment_id() const { return static_cast<uint32_t>(identity_.id); }
  // Whether it is the last one of its segment; of all segments.
  bool ends_segment() const { return ends_segment_; }
  bool ends_log() const { return ends_log_; }
  // False once anything was wrong with it. No chunk follows one that the
  // reader found to be so.
  bool intact() const { return !error_; }
  // What is wrong with it: kCorruption, with path and as a rule the offset, or
  // why it could not be read.
  const std::optional<Error>& error() const { return error_; }

  // Reads and verifies all groups, once. Nothing but the chunk is used.
  void Verify();
  // All records, once verified.
  const Group& records() const { return group_; }
  const SegmentTotals& totals() const { return totals_; }

  uint64_t memory_bytes() const;

 private:
  friend class ChunkReader;

  std::string_view bytes() const { return {memory_.get(), size_}; }
  // Makes it empty, to become the chunk of that number.
  void Start(uint64_t number);
  // Makes room for `capacity` bytes; those that there are stay.
  void Grow(size_t capacity);

  std::unique_ptr<char[]> memory_;
  size_t capacity_ = 0;
  size_t size_ = 0;
  uint64_t number_ = 0;
  size_t segment_ = 0;
  SegmentIdentity identity_;
  std::string path_;
  uint64_t base_ = 0;  // Where it begins in the segment.
  bool ends_segment_ = false;
  bool ends_log_ = false;
  bool sum_holds_ = true;  // That of the segment which it ends.
  std::optional<Error> error_;
  Group group_;
  SegmentTotals totals_;
};

enum class Filled {
  kChunk,    // It is there; whether it is intact it says itself.
  kPartly,   // Its one group is a large one: go on with the same chunk.
  kNothing,  // The end of the segments, or behind a chunk that is not intact.
};

// Reads segment after segment, in the order given. It looks at group headers
// alone, but it does sum up the whole.
// Thread: one at a time. Memory: what it read behind the last chunk.
class ChunkReader {
 public:
  // Directory and segments outlive it.
  ChunkReader(Directory& directory, const StoreUuid& uuid,
              std::span<const SealedSegment> segments)
      : directory_(directory), uuid_(uuid), segments_(segments) {}

  // Goes on filling the next chunk, with at most kChunkBytes from the disk.
  Filled Step(LogChunk* chunk);
  // Fills the next chunk. False for Filled::kNothing.
  bool Next(LogChunk* chunk);

  // What the last Step() read from the disk.
  uint64_t bytes_read() const { return bytes_read_; }
  uint64_t memory_bytes() const { return rest_.capacity(); }

 private:
  Result<void> Fill(LogChunk* chunk);
  Result<void> OpenSegment();
  Result<void> Begin(LogChunk* chunk);
  Result<void> ReadOn(LogChunk* chunk);
  Result<size_t> Cut(const LogChunk& chunk);
  bool Continues(const GroupHeader& header);
  void End(size_t size, LogChunk* chunk);
  // The one that is being cut.
  const SealedSegment& segment() const { return segments_[next_segment_ - 1]; }

  Directory& directory_;
  StoreUuid uuid_;
  std::span<const SealedSegment> segments_;
  uint64_t next_number_ = 0;
  size_t next_segment_ = 0;
  bool broken_ = false;
  uint64_t bytes_read_ = 0;

  // The segment that is being cut.
  std::optional<SealedFile> file_;
  uint64_t seed_ = 0;
  uint64_t offset_ = 0;    // Where the next chunk begins, …
  size_t wanted_ = 0;      // … and how much of it to read; 0 between two.
  uint64_t last_seq_ = 0;  // Of the group before it.
  std::string rest_;       // What was read behind the last chunk.
};

}  // namespace kvd
