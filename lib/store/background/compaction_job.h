// SPDX-License-Identifier: MIT
//
// One compaction job's work on files, in steps that the maintenance thread
// takes one at a time: read the victims, write what is kept to new segments,
// make those durable, read them back for the index, remove the victims. What is
// kept is not decided here; between two steps the loop looks at the records
// that the last one handed out. A value goes in, values come out: it needs no
// daemon.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/error.h"
#include "fs/file_system.h"
#include "log/format/hint.h"
#include "log/format/manifest.h"
#include "log/format/place.h"
#include "log/format/segment_head.h"
#include "log/read/sealed_cursor.h"
#include "log/write/compacted_writer.h"
#include "store/background/shadowed_segments.h"

namespace kvd {

// What becomes of a record.
enum class Fate : uint8_t {
  kDrop,
  kKeep,
  kAskHints,  // A tombstone: stays unless hints say that it hides nothing.
};

// Records that the loop looks at in one go, at the most.
inline constexpr size_t kCompactionRecordsPerSlice = 256;

struct CompactionOrder {
  StoreUuid uuid = {};
  uint64_t epoch = 0;
  std::vector<SealedSegment> victims;
  uint64_t segment_bytes = 0;    // Of a new segment, about.
  uint64_t first_output_id = 0;  // Ids given to this job alone …
  uint64_t outputs_max = 0;      // … so many of them.
  SegmentHead head;              // Of the new segments, but for `output`.
  // Segments that stay and hold dead puts, in the order of their first_seq.
  std::vector<SealedSegment> hiding_places;
  bool write_hints = true;  // Of the new segments.
};

// Thread: one at a time; maintenance while a step runs, else the loop. Memory:
// some megabytes to read and write with, whatever the segments' size, and with
// write_hints the hint of the segment that is being written.
class CompactionJob {
 public:
  // `directory` outlives it.
  CompactionJob(Directory& directory, CompactionOrder order);

  // Reads on in the victims: records() has the next ones, or none.
  // kCorruption: the victim damaged() is not what was sealed. Records of it may
  // have come out before, so nothing but RemoveOutputs() may follow.
  Result<void> ReadVictims();
  bool read_all() const { return victims_.done(); }
  std::span<const Record> records() const { return victims_.records(); }
  uint64_t bytes_read() const { return victims_.bytes_read(); }
  uint64_t damaged() const { return victims_.segment().id; }
  // Whether the last error was met in reading that victim.
  bool victim_failed() const { return victim_failed_; }

  // Writes those of records() that stay.
  Result<void> Write(std::span<const Fate> fates);

  // Makes the new segments durable, bytes and names; then outputs() holds.
  Result<void> Finish();
  const std::vector<SealedSegment>& outputs() const { return outputs_; }

  // Reads on in the new segments: moved() has the next records, or none, and
  // where they are now. After an error that is not final it may be called
  // again, and no record comes out twice.
  Result<void> ReadOutputs();
  bool reread_all() const { return moved_ == nullptr || moved_->done(); }
  std::span<const Record> moved() const {
    return known_ ? std::span<const Record>() : moved_->records();
  }
  Place place_of_moved(size_t i) const;

  // Either, at the end: what is not needed any more, but for the files of the
  // victims `kept`. Best effort; the next start removes what is left.
  void RemoveVictims(std::span<const uint64_t> kept);
  void RemoveOutputs();

  const std::vector<SealedSegment>& victims() const { return order_.victims; }

 private:
  Result<void> Append(const Record& record);
  Result<void> FinishOutput(bool last);
  void RemoveSegment(uint64_t id);
  void BeginOutputs();

  Directory& directory_;
  CompactionOrder order_;
  SealedCursor victims_;
  ShadowedSegments hiding_places_;
  std::unique_ptr<CompactedWriter> writer_;
  std::unique_ptr<HintBuilder> hint_;  // Of what writer_ writes.
  uint64_t outputs_made_ = 0;
  std::vector<SealedSegment> outputs_;
  std::unique_ptr<SealedCursor> moved_;
  uint64_t handed_out_ = 0;  // Of the records that were moved …
  uint64_t passed_ = 0;      // … and how many of them this reading has seen.
  bool known_ = false;       // The last ones were handed out before.
  bool victim_failed_ = false;
};

}  // namespace kvd
