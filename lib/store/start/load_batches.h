// SPDX-License-Identifier: MIT
//
// What the start reads, batch by batch, segment after segment: the hint of a
// sealed segment where there is a good one, else the segment itself.
//
// A hint is believed only beside its segment, of which length and header are
// looked at: one that is missing, short or another one stops the start, hint or
// not. What the rest of such a segment holds is verified when it is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "fs/file_system.h"
#include "log/format/hint.h"
#include "log/format/manifest.h"
#include "log/read/chunk_reader.h"
#include "store/start/prepared_records.h"

namespace kvd {

// Of a hint, read at once: the more, the more of its keys meet in a bucket, but
// the more memory goes around, each page of which has to be found first.
inline constexpr uint64_t kHintBatchBytes = uint64_t{1} << 20;

enum class HintUse {
  kBelieve,      // Damage is found on the way; begin again with another use.
  kVerifyFirst,  // Every block, before any of it counts.
  kIgnore,
};

// A batch and what was prepared of it, to be used again and again. Thread: one
// at a time.
class LoadBatch {
 public:
  uint64_t number() const { return number_; }
  // Where it is from: an index into Manifest::sealed.
  size_t segment() const { return segment_; }
  bool from_hint() const { return from_hint_; }
  // Whether it is the last one of its segment; of all segments.
  bool ends_segment() const { return ends_segment_; }
  bool ends_log() const { return ends_log_; }
  // What is wrong with it, once decoded. No batch follows one that could not
  // even be read.
  const std::optional<Error>& error() const { return error_; }
  // Of a segment's records; meaningless from a hint.
  const SegmentTotals& totals() const { return log_.totals(); }
  const PreparedRecords& prepared() const { return prepared_; }
  PreparedRecords& prepared() { return prepared_; }

  // Verifies, hashes keys, and groups those of a hint in `space`.
  void Decode(uint64_t hash_seed, GroupingSpace* space);
  // Afterwards; keeps values as far as the budget goes.
  void MakeEntries(ValueBudget* budget, EntryHeap::Nursery* nursery);

 private:
  friend class LoadBatches;

  uint64_t number_ = 0;
  size_t segment_ = 0;
  uint32_t segment_id_ = 0;
  bool from_hint_ = false;
  bool ends_segment_ = false;
  bool ends_log_ = false;
  bool is_read_ = false;
  std::optional<Error> error_;
  LogChunk log_;
  HintBlocks hint_;
  PreparedRecords prepared_;
};

// Thread: one at a time. Directory and manifest outlive it.
class LoadBatches {
 public:
  LoadBatches(Directory& directory, const Manifest& manifest, HintUse hints)
      : directory_(directory), manifest_(manifest), hints_(hints) {}

  // Fills the next batch. False at the end of the log, or behind a batch that
  // could not be read.
  bool Next(LoadBatch* batch);

 private:
  void OpenSegment();
  bool OpenHint();
  Result<void> CheckSegment(const SealedSegment& segment);
  void FillFromHint(LoadBatch* batch);
  void FillFromSegment(LoadBatch* batch);

  Directory& directory_;
  const Manifest& manifest_;
  HintUse hints_;
  uint64_t next_number_ = 0;
  bool broken_ = false;

  // The segment at hand.
  size_t segment_ = 0;
  bool open_ = false;
  std::optional<HintReader> hint_;
  size_t next_block_ = 0;
  std::optional<ChunkReader> chunks_;
};

}  // namespace kvd
