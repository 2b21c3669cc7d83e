// SPDX-License-Identifier: MIT
#include "log/read/sealed_verifier.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/planted_bug.h"
#include "log/read/chunk_reader.h"

namespace kvd {

SealedVerifier::SealedVerifier(Directory& directory, const StoreUuid& uuid,
                               const SealedSegment& segment)
    : directory_(directory), uuid_(uuid), segment_(segment) {}

Result<void> SealedVerifier::Step() {
  KVD_CHECK(!done_);
  const uint64_t before = bytes_verified();
  Result<void> result = Read();
  bytes_read_ = bytes_verified() - before;
  if (!result) done_ = true;
  return result;
}

Result<void> SealedVerifier::Read() {
  if (!file_) {
    KVD_TRY_ASSIGN(file_, SealedFile::Open(directory_, uuid_, segment_));
  }
  chunk_.resize(std::min<uint64_t>(file_->bytes_left(), kChunkBytes));
  KVD_TRY(file_->Read(chunk_));
  if (file_->bytes_left() > 0) return {};
  done_ = true;
  if (!file_->sum_holds() && !IsPlanted(PlantedBug::kScrubBelieves)) {
    return Fail(ErrorCode::kCorruption, "{}: wrong checksum of its {} bytes",
                file_->path(), segment_.bytes);
  }
  return {};
}

}  // namespace kvd
