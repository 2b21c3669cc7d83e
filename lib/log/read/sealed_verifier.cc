// SPDX-License-Identifier: MIT
#include "log/read/sealed_verifier.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/planted_bug.h"
#include "log/format/segment.h"
#include "log/read/chunk_reader.h"

namespace kvd {

SealedVerifier::SealedVerifier(Directory& directory, const StoreUuid& uuid,
                               const SealedSegment& segment)
    : directory_(directory), uuid_(uuid), segment_(segment) {}

std::string SealedVerifier::Path() const {
  return fmt::format("{}/{}", directory_.path(), SegmentName(segment_.id));
}

Result<void> SealedVerifier::Step() {
  KVD_CHECK(!done_);
  bytes_read_ = 0;
  Result<void> result = Read();
  if (!result) done_ = true;
  return result;
}

Result<void> SealedVerifier::Read() {
  if (file_ == nullptr) {
    KVD_TRY_ASSIGN(file_, directory_.Open(SegmentName(segment_.id),
                                          Directory::OpenMode::kRead));
  }
  piece_.resize(std::min<uint64_t>(segment_.bytes - offset_, kChunkBytes));
  KVD_TRY_ASSIGN(bytes_read_, file_->ReadAt(offset_, piece_));
  if (bytes_read_ < piece_.size()) {
    return Fail(ErrorCode::kCorruption,
                "{}: {} bytes long, the MANIFEST says {}", Path(),
                offset_ + bytes_read_, segment_.bytes);
  }
  if (offset_ == 0) {
    SegmentHeader header;
    const SegmentIdentity expected{uuid_, segment_.id, segment_.epoch,
                                   segment_.kind};
    if (DecodeSegmentHeader(piece_, &header) != HeaderOutcome::kHeader ||
        header.identity != expected) {
      return Fail(ErrorCode::kCorruption,
                  "{}: its header is not that of the segment which the "
                  "MANIFEST names",
                  Path());
    }
  }
  checksum_.Update(piece_);
  offset_ += bytes_read_;
  if (offset_ < segment_.bytes) return {};
  done_ = true;
  if (checksum_.Digest() != segment_.checksum &&
      !IsPlanted(PlantedBug::kScrubBelieves)) {
    return Fail(ErrorCode::kCorruption, "{}: wrong checksum of its {} bytes",
                Path(), segment_.bytes);
  }
  return {};
}

}  // namespace kvd
