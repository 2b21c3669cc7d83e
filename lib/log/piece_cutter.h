// SPDX-License-Identifier: MIT
//
// The sealed segments in pieces: whole commit groups, about a megabyte of them,
// which several threads may verify at once. Memory is bounded by the pieces in
// flight, whatever the segments' size, and a piece is still in the cache of the
// core that read it when its records are looked at.
//
// Only "all is well" is decided here, by the same rules as in log_reader.h.
// Whoever meets anything else asks CheckSealedSegment(), which says what it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/checksum.h"
#include "base/error.h"
#include "fs/file_system.h"
#include "log/manifest.h"
#include "log/segment_reader.h"

namespace kvd {

inline constexpr size_t kPieceBytes = size_t{1} << 20;

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

// A piece, to be used again and again. The records of a verified one are views
// into it. Thread: one at a time.
class LogPiece {
 public:
  uint64_t number() const { return number_; }
  // Where it is from: an index into Manifest::sealed.
  size_t segment() const { return segment_; }
  uint32_t segment_id() const { return static_cast<uint32_t>(identity_.id); }
  // Whether it is the last one of its segment; of all segments.
  bool ends_segment() const { return ends_segment_; }
  bool ends_log() const { return ends_log_; }
  // False once anything was wrong with it. No piece follows one that the cutter
  // found to be so.
  bool intact() const { return intact_; }
  // Why it could not be read, if that is what is wrong.
  const std::optional<Error>& error() const { return error_; }

  // Reads and verifies all groups. Nothing but the piece is used.
  void Verify();
  // All records, once verified.
  const Group& records() const { return group_; }
  const SegmentTotals& totals() const { return totals_; }

 private:
  friend class PieceCutter;

  std::string_view bytes() const { return {memory_.get(), size_}; }
  // Makes room for `capacity` bytes, of which the first `kept` stay.
  void Grow(size_t capacity, size_t kept);

  std::unique_ptr<char[]> memory_;
  size_t capacity_ = 0;
  size_t size_ = 0;
  uint64_t number_ = 0;
  size_t segment_ = 0;
  SegmentIdentity identity_;
  uint64_t base_ = 0;  // Where it begins in the segment.
  bool ends_segment_ = false;
  bool ends_log_ = false;
  bool intact_ = true;
  std::optional<Error> error_;
  Group group_;
  SegmentTotals totals_;
};

// Reads segment after segment, in the order of the MANIFEST. It looks at group
// headers alone, but it does sum up the whole.
// Thread: one at a time. Directory and manifest outlive it.
class PieceCutter {
 public:
  PieceCutter(Directory& directory, const Manifest& manifest)
      : directory_(directory), manifest_(manifest) {}

  // Fills the next piece. False at the end of the log, or behind a piece that
  // is not intact.
  bool Next(LogPiece* piece);

 private:
  bool Fill(LogPiece* piece);
  bool OpenSegment(LogPiece* piece);
  bool ReadUpTo(size_t size, LogPiece* piece);
  std::optional<size_t> Cut(const LogPiece& piece);

  Directory& directory_;
  const Manifest& manifest_;
  uint64_t next_number_ = 0;
  size_t next_segment_ = 0;
  bool broken_ = false;

  // The segment that is being cut.
  std::unique_ptr<File> file_;
  SegmentIdentity identity_;
  uint64_t seed_ = 0;
  uint64_t offset_ = 0;    // Where the next piece begins.
  uint64_t last_seq_ = 0;  // Of the group before it.
  std::optional<StreamingChecksum> checksum_;
  std::string rest_;  // What was read behind the last piece.
};

}  // namespace kvd
