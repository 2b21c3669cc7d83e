// SPDX-License-Identifier: MIT
#include "backup/backup_reader.h"

#include <zstd.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace kvd {

void BackupReader::FreeContext::operator()(ZSTD_DCtx_s* context) const {
  ZSTD_freeDCtx(context);
}

BackupReader::BackupReader(std::string name, Source source)
    : name_(std::move(name)),
      source_(std::move(source)),
      zstd_(ZSTD_createDCtx()) {
  KVD_CHECK(zstd_ != nullptr);
}

BackupReader::~BackupReader() = default;

Result<std::unique_ptr<BackupReader>> BackupReader::Open(std::string name,
                                                         Source source) {
  std::unique_ptr<BackupReader> reader(
      new BackupReader(std::move(name), std::move(source)));
  KVD_TRY(reader->ReadFront());
  return reader;
}

uint64_t BackupReader::segment_bytes() const {
  uint64_t bytes = 0;
  for (const BackupSegment& segment : segments_) {
    if (segment.here) bytes += segment.bytes;
  }
  return bytes;
}

tl::unexpected<Error> BackupReader::Damaged(std::string_view what) const {
  return Fail(ErrorCode::kCorruption,
              "{}: damaged at byte {}: {}\n  Nothing of it is used. Take "
              "another copy of it, or another backup.",
              name_, bytes_, what);
}

// --- Bytes ------------------------------------------------------------------

Result<void> BackupReader::Fill(std::span<char> out) {
  size_t filled = 0;
  while (filled < out.size()) {
    KVD_TRY_ASSIGN(const size_t got, source_(out.subspan(filled)));
    if (got == 0) return Damaged("it ends here, and is cut");
    filled += got;
  }
  return {};
}

// Reads `bytes` into taken_, of those that the digest covers.
Result<void> BackupReader::Take(size_t bytes) {
  taken_.resize(bytes);
  KVD_TRY(Fill(taken_));
  digest_.Update(taken_);
  bytes_ += bytes;
  return {};
}

Result<void> BackupReader::ReadBlock(BackupBlockKind kind, uint64_t segment,
                                     uint64_t offset, uint64_t bytes_max) {
  KVD_TRY(Take(kBackupBlockHeaderBytes));
  const std::string front = taken_;
  const auto header = DecodeBackupBlockHeader(front);
  // Lengths are believed only as far as memory goes: the checksum comes later.
  const uint64_t most = std::min<uint64_t>(bytes_max, kBackupBlockBytesMax);
  if (!header || header->bytes == 0 || header->bytes > most ||
      header->payload_bytes > ZSTD_compressBound(kBackupBlockBytesMax)) {
    return Damaged("no block begins here");
  }
  KVD_TRY(Take(header->payload_bytes));
  if (BackupBlockChecksum(front, taken_, seed_) != header->checksum) {
    return Damaged("the block that ends here has a wrong checksum");
  }
  if (header->kind != kind || header->segment != segment ||
      header->offset != offset) {
    return Damaged("the block that ends here belongs elsewhere");
  }
  block_.resize(header->bytes);
  const size_t size = ZSTD_decompressDCtx(
      zstd_.get(), block_.data(), block_.size(), taken_.data(), taken_.size());
  if (ZSTD_isError(size) != 0 || size != block_.size()) {
    return Damaged("the block that ends here cannot be decompressed");
  }
  return {};
}

// --- The front --------------------------------------------------------------

Result<void> BackupReader::ReadFront() {
  taken_.resize(kBackupHeaderBytes);
  size_t got = 0;
  while (got < taken_.size()) {
    KVD_TRY_ASSIGN(const size_t more, source_(std::span(taken_).subspan(got)));
    if (more == 0) break;
    got += more;
  }
  taken_.resize(got);
  switch (DecodeBackupHeader(taken_, &header_)) {
    case BackupHeaderOutcome::kNoBackup:
      return Fail(ErrorCode::kInvalid, "{}: this is no backup of kvd", name_);
    case BackupHeaderOutcome::kDamaged:
      return Damaged("the header is cut, or has a wrong checksum");
    case BackupHeaderOutcome::kUnknownFormat:
      return Fail(ErrorCode::kFormat,
                  "{}: a backup of another format than {}\n  Use the version "
                  "of kvd that made it, or a newer one.",
                  name_, kBackupVersion);
    case BackupHeaderOutcome::kHeader:
      break;
  }
  digest_.Update(taken_);
  bytes_ = taken_.size();
  seed_ = BackupSeed(taken_);
  KVD_TRY(ReadParts(BackupBlockKind::kManifest, header_.manifest_bytes,
                    &manifest_));
  if (header_.segments > UINT64_MAX / kBackupEntryBytes) {
    return Damaged("there are too many segments");
  }
  std::string list;
  KVD_TRY(ReadParts(BackupBlockKind::kList,
                    header_.segments * kBackupEntryBytes, &list));
  for (size_t at = 0; at < list.size(); at += kBackupEntryBytes) {
    segments_.push_back(DecodeBackupEntry(
        std::string_view(list).substr(at, kBackupEntryBytes)));
    if (segments_.back().bytes == 0) return Damaged("an empty segment");
    if (!segments_.back().here && !header_.incremental) {
      return Damaged("a segment is missing, and there is no base");
    }
  }
  return {};
}

Result<void> BackupReader::ReadParts(BackupBlockKind kind, uint64_t bytes,
                                     std::string* out) {
  while (out->size() < bytes) {
    KVD_TRY(ReadBlock(kind, 0, out->size(), bytes - out->size()));
    out->append(block_);
  }
  return {};
}

// --- Segments ---------------------------------------------------------------

Result<std::optional<BackupReader::Piece>> BackupReader::Next() {
  while (at_ < segments_.size() && !segments_[at_].here) ++at_;
  if (at_ == segments_.size()) {
    KVD_TRY(ReadTrailer());
    return std::optional<Piece>();
  }
  const BackupSegment& segment = segments_[at_];
  KVD_TRY(ReadBlock(BackupBlockKind::kSegment, segment.id, offset_,
                    segment.bytes - offset_));
  segment_checksum_.Update(block_);
  const Piece piece{&segment, offset_, block_};
  offset_ += block_.size();
  if (offset_ == segment.bytes) {
    if (segment_checksum_.Digest() != segment.checksum) {
      return Damaged(
          fmt::format("segment {} has a wrong checksum", segment.id));
    }
    segment_checksum_ = StreamingChecksum(0);
    offset_ = 0;
    ++at_;
  }
  return std::optional<Piece>(piece);
}

Result<void> BackupReader::ReadTrailer() {
  std::string trailer(kBackupTrailerBytes, '\0');
  KVD_TRY(Fill(trailer));
  const auto decoded = DecodeBackupTrailer(trailer);
  if (!decoded || decoded->bytes != bytes_ ||
      decoded->digest != digest_.Digest()) {
    return Damaged("the end is missing, or does not fit what is before it");
  }
  char beyond = 0;
  KVD_TRY_ASSIGN(const size_t more, source_(std::span(&beyond, 1)));
  if (more != 0) return Damaged("something follows its end");
  return {};
}

}  // namespace kvd
