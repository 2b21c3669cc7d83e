// SPDX-License-Identifier: MIT
#include "store/start/load_batches.h"

#include <array>
#include <span>
#include <string_view>
#include <utility>

#include "log/format/segment.h"

namespace kvd {

void LoadBatch::Decode(uint64_t hash_seed, GroupingSpace* space) {
  if (!is_read_) return;
  if (from_hint_) {
    if (Result<void> taken = prepared_.Take(hint_); !taken) {
      error_ = taken.error();
      return;
    }
  } else {
    log_.Verify();
    if (log_.error()) {
      error_ = log_.error();
      return;
    }
    prepared_.Take(log_.records());
  }
  prepared_.Hash(hash_seed);
  if (from_hint_) prepared_.GroupByHash(space);
}

void LoadBatch::MakeEntries(ValueBudget* budget, EntryHeap::Nursery* nursery) {
  if (error_) return;
  prepared_.MakeEntries(segment_id_, from_hint_ ? nullptr : budget, nursery);
}

bool LoadBatches::Next(LoadBatch* batch) {
  if (broken_ || segment_ == manifest_.sealed.size()) return false;
  if (!open_) OpenSegment();
  batch->number_ = next_number_++;
  batch->segment_ = segment_;
  batch->segment_id_ = static_cast<uint32_t>(manifest_.sealed[segment_].id);
  batch->from_hint_ = hint_.has_value();
  batch->is_read_ = true;
  batch->error_.reset();
  batch->prepared_.changes.clear();
  batch->prepared_.hashes.clear();
  batch->prepared_.entries.clear();
  if (hint_) {
    FillFromHint(batch);
  } else {
    FillFromSegment(batch);
  }
  broken_ = batch->error_.has_value();
  batch->is_read_ = !broken_;
  batch->ends_log_ = false;
  if (batch->ends_segment_) {
    ++segment_;
    open_ = false;
    batch->ends_log_ = segment_ == manifest_.sealed.size();
  }
  return true;
}

void LoadBatches::OpenSegment() {
  open_ = true;
  hint_.reset();
  chunks_.reset();
  if (OpenHint()) return;
  hint_.reset();
  chunks_.emplace(directory_, manifest_.uuid,
                  std::span(&manifest_.sealed[segment_], 1));
}

// Whatever is wrong with hint or segment: reading the segment will tell.
bool LoadBatches::OpenHint() {
  if (hints_ == HintUse::kIgnore) return false;
  const SealedSegment& segment = manifest_.sealed[segment_];
  Result<HintReader> reader =
      HintReader::Open(directory_, manifest_.uuid, segment);
  if (!reader || !CheckSegment(segment)) return false;
  if (hints_ == HintUse::kVerifyFirst) {
    for (size_t block = 0; block < reader->blocks(); ++block) {
      if (!reader->ReadBlock(block, [](const HintEntry&) {})) return false;
    }
  }
  hint_.emplace(std::move(*reader));
  next_block_ = 0;
  return true;
}

// What can be told without reading all of it.
Result<void> LoadBatches::CheckSegment(const SealedSegment& segment) {
  const std::string name = SegmentName(segment.id);
  KVD_TRY_ASSIGN(const auto file,
                 directory_.Open(name, Directory::OpenMode::kRead));
  KVD_TRY_ASSIGN(const uint64_t bytes, file->Size());
  std::array<char, kSegmentHeaderBytes> start;
  KVD_TRY_ASSIGN(const size_t got, file->ReadAt(0, start));
  SegmentHeader header;
  const HeaderOutcome outcome =
      DecodeSegmentHeader(std::string_view(start.data(), got), &header);
  if (bytes < segment.bytes || outcome != HeaderOutcome::kHeader ||
      header.identity != manifest_.IdentityOf(segment)) {
    return Fail(ErrorCode::kCorruption, "{}/{}: not the segment that it was",
                directory_.path(), name);
  }
  return {};
}

void LoadBatches::FillFromHint(LoadBatch* batch) {
  batch->ends_segment_ = true;
  if (hint_->blocks() == 0) {
    batch->hint_ = HintBlocks();
    return;
  }
  Result<size_t> next =
      hint_->ReadBlocks(next_block_, kHintBatchBytes, &batch->hint_);
  if (!next) {
    batch->error_ = next.error();
    return;
  }
  next_block_ = *next;
  batch->ends_segment_ = next_block_ == hint_->blocks();
}

void LoadBatches::FillFromSegment(LoadBatch* batch) {
  chunks_->Next(&batch->log_);
  batch->ends_segment_ = batch->log_.ends_segment();
  batch->error_ = batch->log_.error();
}

}  // namespace kvd
