// SPDX-License-Identifier: MIT
#include "backup/backup_writer.h"

#include <zstd.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/coding.h"

namespace kvd {
namespace {

// Faster than a disk, and half the size for values that are text.
constexpr int kLevel = 3;

}  // namespace

void BackupWriter::FreeContext::operator()(ZSTD_CCtx_s* context) const {
  ZSTD_freeCCtx(context);
}

BackupWriter::BackupWriter(BackupHeader header, std::string_view manifest,
                           std::vector<BackupSegment> segments,
                           std::string* out)
    : segments_(std::move(segments)), zstd_(ZSTD_createCCtx()) {
  KVD_CHECK(zstd_ != nullptr);
  header.manifest_bytes = manifest.size();
  header.segments = segments_.size();
  const std::string encoded = EncodeBackupHeader(header);
  seed_ = BackupSeed(encoded);
  Emit(encoded, out);
  AppendParts(BackupBlockKind::kManifest, manifest, out);
  std::string list;
  for (const BackupSegment& segment : segments_) {
    AppendBackupEntry(&list, segment);
  }
  AppendParts(BackupBlockKind::kList, list, out);
  SkipAbsent();
}

BackupWriter::~BackupWriter() = default;

void BackupWriter::SkipAbsent() {
  while (at_ < segments_.size() && !segments_[at_].here) ++at_;
}

Result<void> BackupWriter::Append(std::string_view bytes, std::string* out) {
  KVD_CHECK(next() != nullptr &&
            offset_ + pending_.size() + bytes.size() <= next()->bytes);
  segment_checksum_.Update(bytes);
  while (!bytes.empty()) {
    const size_t taken =
        std::min(bytes.size(), kBackupBlockBytesMax - pending_.size());
    pending_.append(bytes.substr(0, taken));
    bytes.remove_prefix(taken);
    const bool ends = offset_ + pending_.size() == next()->bytes;
    if (pending_.size() < kBackupBlockBytesMax && !ends) continue;
    AppendBlock(BackupBlockKind::kSegment, next()->id, offset_, pending_, out);
    offset_ += pending_.size();
    pending_.clear();
  }
  if (offset_ < next()->bytes) return {};
  if (segment_checksum_.Digest() != next()->checksum) {
    return Fail(ErrorCode::kCorruption,
                "segment {} is damaged: its {} bytes are not those that were "
                "written",
                next()->id, next()->bytes);
  }
  segment_checksum_ = StreamingChecksum(0);
  offset_ = 0;
  ++at_;
  SkipAbsent();
  return {};
}

void BackupWriter::Finish(std::string* out) {
  KVD_CHECK(next() == nullptr);
  out->append(EncodeBackupTrailer({bytes_, digest_.Digest()}));
}

void BackupWriter::AppendParts(BackupBlockKind kind, std::string_view bytes,
                               std::string* out) {
  for (uint64_t offset = 0; offset < bytes.size();
       offset += kBackupBlockBytesMax) {
    AppendBlock(kind, 0, offset, bytes.substr(offset, kBackupBlockBytesMax),
                out);
  }
}

void BackupWriter::AppendBlock(BackupBlockKind kind, uint64_t segment,
                               uint64_t offset, std::string_view bytes,
                               std::string* out) {
  payload_.resize(ZSTD_compressBound(bytes.size()));
  const size_t size =
      ZSTD_compressCCtx(zstd_.get(), payload_.data(), payload_.size(),
                        bytes.data(), bytes.size(), kLevel);
  // It fails for lack of memory alone.
  KVD_CHECK(ZSTD_isError(size) == 0);
  payload_.resize(size);
  std::string header = EncodeBackupBlockHeader(
      {kind, segment, offset, static_cast<uint32_t>(bytes.size()),
       static_cast<uint32_t>(size)});
  AppendLe(&header, BackupBlockChecksum(header, payload_, seed_));
  Emit(header, out);
  Emit(payload_, out);
}

void BackupWriter::Emit(std::string_view bytes, std::string* out) {
  digest_.Update(bytes);
  bytes_ += bytes.size();
  out->append(bytes);
}

}  // namespace kvd
