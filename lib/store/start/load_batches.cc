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

bool LoadBatches::Next(LoadBatch* piece) {
  if (broken_ || segment_ == manifest_.sealed.size()) return false;
  if (!open_) OpenSegment();
  piece->number_ = next_number_++;
  piece->segment_ = segment_;
  piece->segment_id_ = static_cast<uint32_t>(manifest_.sealed[segment_].id);
  piece->from_hint_ = hint_.has_value();
  piece->is_read_ = true;
  piece->error_.reset();
  piece->prepared_.changes.clear();
  piece->prepared_.hashes.clear();
  piece->prepared_.entries.clear();
  if (hint_) {
    FillFromHint(piece);
  } else {
    FillFromSegment(piece);
  }
  broken_ = piece->error_.has_value();
  piece->is_read_ = !broken_;
  piece->ends_log_ = false;
  if (piece->ends_segment_) {
    ++segment_;
    open_ = false;
    piece->ends_log_ = segment_ == manifest_.sealed.size();
  }
  return true;
}

void LoadBatches::OpenSegment() {
  open_ = true;
  hint_.reset();
  cutter_.reset();
  if (OpenHint()) return;
  hint_.reset();
  cutter_.emplace(directory_, manifest_.uuid,
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

void LoadBatches::FillFromHint(LoadBatch* piece) {
  piece->ends_segment_ = true;
  if (hint_->blocks() == 0) {
    piece->hint_ = HintBlocks();
    return;
  }
  Result<size_t> next =
      hint_->ReadBlocks(next_block_, kHintBatchBytes, &piece->hint_);
  if (!next) {
    piece->error_ = next.error();
    return;
  }
  next_block_ = *next;
  piece->ends_segment_ = next_block_ == hint_->blocks();
}

void LoadBatches::FillFromSegment(LoadBatch* piece) {
  cutter_->Next(&piece->log_);
  piece->ends_segment_ = piece->log_.ends_segment();
  piece->error_ = piece->log_.error();
}

}  // namespace kvd
