// SPDX-License-Identifier: MIT
#include "log/sealed_cursor.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/checksum.h"
#include "base/planted_bug.h"

namespace kvd {

SealedCursor::SealedCursor(Directory& directory, const StoreUuid& uuid,
                           std::vector<SealedSegment> segments,
                           size_t records_max)
    : directory_(directory),
      uuid_(uuid),
      segments_(std::move(segments)),
      records_max_(records_max) {}

SegmentIdentity SealedCursor::identity() const {
  const SealedSegment& segment = segments_[at_];
  return {uuid_, segment.id, segment.epoch, segment.kind};
}

std::string SealedCursor::Path() const {
  return fmt::format("{}/{}", directory_.path(),
                     SegmentName(segments_[at_].id));
}

Result<void> SealedCursor::Step() {
  KVD_CHECK(!done());
  current_ = at_;
  records_ = {};
  offsets_ = {};
  bytes_read_ = 0;
  if (reader_ == nullptr) return Read();
  return NextRecords();
}

Result<void> SealedCursor::Read() {
  const SealedSegment& segment = segments_[at_];
  if (file_ == nullptr) {
    KVD_TRY_ASSIGN(file_, directory_.Open(SegmentName(segment.id),
                                          Directory::OpenMode::kRead));
    bytes_.resize(segment.bytes);
    bytes_filled_ = 0;
  }
  const uint64_t wanted =
      std::min(kCursorReadBytes, segment.bytes - bytes_filled_);
  KVD_TRY_ASSIGN(const size_t got,
                 file_->ReadAt(bytes_filled_, std::span(bytes_).subspan(
                                                  bytes_filled_, wanted)));
  if (got < wanted) {
    return Fail(ErrorCode::kCorruption,
                "{}: {} bytes long, the MANIFEST says {}", Path(),
                bytes_filled_ + got, segment.bytes);
  }
  bytes_filled_ += got;
  bytes_read_ = got;
  if (bytes_filled_ < segment.bytes) return {};
  file_.reset();
  if (!IsPlanted(PlantedBug::kBelieveVictims)) KVD_TRY(Verify());
  reader_ = std::make_unique<SegmentReader>(bytes_, identity());
  group_ = {};
  handed_out_ = 0;
  return {};
}

Result<void> SealedCursor::Verify() const {
  SegmentHeader header;
  if (DecodeSegmentHeader(bytes_, &header) != HeaderOutcome::kHeader ||
      header.identity != identity()) {
    return Fail(ErrorCode::kCorruption,
                "{}: its header is not that of the segment which the MANIFEST "
                "names",
                Path());
  }
  if (Checksum(bytes_, 0) != segments_[at_].checksum) {
    return Fail(ErrorCode::kCorruption, "{}: wrong checksum of its {} bytes",
                Path(), bytes_.size());
  }
  return {};
}

Result<void> SealedCursor::NextRecords() {
  if (handed_out_ == group_.records.size()) {
    handed_out_ = 0;
    const bool at_end = reader_->offset() == segments_[at_].bytes;
    const bool whole = at_end || reader_->Next(&group_) == Found::kGroup;
    if (at_end || (!whole && IsPlanted(PlantedBug::kBelieveVictims))) {
      reader_.reset();
      bytes_ = {};
      group_ = {};
      ++at_;
      return {};
    }
    if (!whole) {
      return Fail(ErrorCode::kCorruption, "{}: damaged at offset {}", Path(),
                  reader_->offset());
    }
  }
  const size_t count =
      std::min(records_max_, group_.records.size() - handed_out_);
  records_ = std::span(group_.records).subspan(handed_out_, count);
  offsets_ = std::span(group_.offsets).subspan(handed_out_, count);
  handed_out_ += count;
  return {};
}

}  // namespace kvd
