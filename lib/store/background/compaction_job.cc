// SPDX-License-Identifier: MIT
#include "store/background/compaction_job.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/planted_bug.h"

namespace kvd {

CompactionJob::CompactionJob(Directory& directory, CompactionOrder order)
    : directory_(directory),
      order_(std::move(order)),
      victims_(directory, order_.uuid, order_.victims,
               kCompactionRecordsPerSlice),
      hiding_places_(directory, order_.uuid, std::move(order_.hiding_places)) {}

Result<void> CompactionJob::ReadVictims() {
  Result<void> read = victims_.Step();
  victim_failed_ = !read;
  return read;
}

Result<void> CompactionJob::Write(std::span<const Fate> fates) {
  const std::span<const Record> records = victims_.records();
  KVD_CHECK(fates.size() == records.size());
  for (size_t i = 0; i < records.size(); ++i) {
    const bool stays =
        fates[i] == Fate::kKeep || (fates[i] == Fate::kAskHints &&
                                    hiding_places_.MayHoldPutBelow(records[i]));
    if (stays) KVD_TRY(Append(records[i]));
  }
  return {};
}

Result<void> CompactionJob::Append(const Record& record) {
  const uint64_t bytes = RecordBytes(record.key.size(), record.value.size());
  if (writer_ && !writer_->Fits(bytes, order_.segment_bytes)) {
    KVD_TRY(FinishOutput(/*last=*/false));
  }
  if (!writer_) {
    KVD_CHECK(outputs_made_ < order_.outputs_max);
    order_.head.output = static_cast<uint32_t>(outputs_made_);
    KVD_TRY_ASSIGN(writer_,
                   CompactedWriter::Create(
                       directory_,
                       {order_.uuid, order_.first_output_id + outputs_made_++,
                        order_.epoch, SegmentKind::kCompacted},
                       order_.head));
    if (order_.write_hints) hint_ = std::make_unique<HintBuilder>();
  }
  KVD_TRY_ASSIGN(const uint64_t offset, writer_->Append(record));
  if (hint_) hint_->Add(record, offset);
  return {};
}

Result<void> CompactionJob::FinishOutput(bool last) {
  KVD_TRY_ASSIGN(SealedSegment sealed, writer_->Finish(last));
  writer_.reset();
  // The segment is worth as much without one.
  if (hint_) (void)hint_->Write(directory_, order_.uuid, sealed);
  hint_.reset();
  outputs_.push_back(sealed);
  return {};
}

Result<void> CompactionJob::Finish() {
  if (writer_) KVD_TRY(FinishOutput(/*last=*/true));
  if (outputs_.empty()) return {};
  if (!IsPlanted(PlantedBug::kCompactedNameNotSynced)) {
    KVD_TRY(directory_.Sync());
  }
  BeginOutputs();
  return {};
}

void CompactionJob::BeginOutputs() {
  passed_ = 0;
  moved_ = std::make_unique<SealedCursor>(directory_, order_.uuid, outputs_,
                                          kCompactionRecordsPerSlice);
}

Result<void> CompactionJob::ReadOutputs() {
  if (Result<void> read = moved_->Step(); !read) {
    known_ = true;
    // Slices of the same bytes are the same.
    if (!IsFinal(read.error())) BeginOutputs();
    return read;
  }
  known_ = passed_ < handed_out_;
  passed_ += moved_->records().size();
  handed_out_ = std::max(handed_out_, passed_);
  return {};
}

Place CompactionJob::place_of_moved(size_t i) const {
  return {static_cast<uint32_t>(moved_->segment().id),
          static_cast<uint32_t>(moved_->offsets()[i])};
}

void CompactionJob::RemoveVictims(std::span<const uint64_t> kept) {
  for (const SealedSegment& victim : order_.victims) {
    const bool is_kept =
        std::find(kept.begin(), kept.end(), victim.id) != kept.end();
    if (!is_kept) RemoveSegment(victim.id);
  }
}

void CompactionJob::RemoveOutputs() {
  writer_.reset();
  hint_.reset();
  for (uint64_t i = 0; i < outputs_made_; ++i) {
    RemoveSegment(order_.first_output_id + i);
  }
}

void CompactionJob::RemoveSegment(uint64_t id) {
  (void)directory_.Remove(SegmentName(id));
  (void)directory_.Remove(HintName(id));
}

}  // namespace kvd
