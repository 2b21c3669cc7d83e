// SPDX-License-Identifier: MIT
#include "log/read/sealed_cursor.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/planted_bug.h"
#include "log/read/damage.h"

namespace kvd {

SealedCursor::SealedCursor(Directory& directory, const StoreUuid& uuid,
                           std::vector<SealedSegment> segments,
                           size_t records_max)
    : directory_(directory),
      uuid_(uuid),
      segments_(std::move(segments)),
      records_max_(records_max) {}

Result<void> SealedCursor::Step() {
  KVD_CHECK(!done());
  current_ = at_;
  records_ = {};
  offsets_ = {};
  bytes_read_ = 0;
  if (handed_out_ < chunk_.records().records.size()) {
    HandOut();
  } else if (read_all_) {
    EndSegment();
  } else {
    return Read();
  }
  return {};
}

Result<void> SealedCursor::Read() {
  if (!reader_) {
    reader_.emplace(directory_, uuid_, std::span(segments_).subspan(at_, 1));
  }
  handed_out_ = 0;
  const Filled filled = reader_->Step(&chunk_);
  KVD_CHECK(filled != Filled::kNothing);
  bytes_read_ = reader_->bytes_read();
  if (filled == Filled::kPartly) return {};
  chunk_.Verify();
  totals_.Add(chunk_.totals());
  read_all_ = chunk_.ends_segment();
  if (IsPlanted(PlantedBug::kBelieveVictims)) {
    read_all_ |= !chunk_.intact();
    return {};
  }
  if (!chunk_.intact()) return Unexpected(*chunk_.error());
  return read_all_ ? CheckTotals() : Result<void>();
}

// Before the last chunk is handed out: who has all records may believe them.
Result<void> SealedCursor::CheckTotals() const {
  const SealedSegment& sealed = segment();
  if (totals_.AreThoseOf(sealed)) return {};
  return Fail(ErrorCode::kCorruption,
              "{}: holds {} records, {} to {}; the MANIFEST says {}, {} to "
              "{}",
              SegmentPath(directory_, sealed.id), totals_.records,
              totals_.first_seq, totals_.last_seq, sealed.records,
              sealed.first_seq, sealed.last_seq);
}

void SealedCursor::HandOut() {
  const Group& group = chunk_.records();
  const size_t count =
      std::min(records_max_, group.records.size() - handed_out_);
  records_ = std::span(group.records).subspan(handed_out_, count);
  offsets_ = std::span(group.offsets).subspan(handed_out_, count);
  handed_out_ += count;
}

void SealedCursor::EndSegment() {
  reader_.reset();
  chunk_ = LogChunk();
  handed_out_ = 0;
  read_all_ = false;
  totals_ = {};
  ++at_;
}

uint64_t SealedCursor::memory_bytes() const {
  return chunk_.memory_bytes() + (reader_ ? reader_->memory_bytes() : 0);
}

}  // namespace kvd
