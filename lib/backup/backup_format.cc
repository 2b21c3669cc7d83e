// SPDX-License-Identifier: MIT
#include "backup/backup_format.h"

#include <cstring>

#include "base/checksum.h"
#include "base/coding.h"

namespace kvd {
namespace {

constexpr std::string_view kMagic = "kvdbkup\n";
constexpr std::string_view kBlockMagic = "KVDB";
constexpr std::string_view kTrailerMagic = "kvdbend\n";

// Where the header's fields end and its checksum begins.
constexpr size_t kHeaderFieldsBytes = kBackupHeaderBytes - 8;
constexpr size_t kBlockFieldsBytes = kBackupBlockHeaderBytes - 8;
constexpr size_t kTrailerFieldsBytes = kBackupTrailerBytes - 8;

}  // namespace

std::string EncodeBackupHeader(const BackupHeader& header) {
  std::string out(kMagic);
  AppendLe<uint32_t>(&out, kBackupVersion);
  AppendLe<uint32_t>(&out, header.incremental ? 1 : 0);
  AppendLe<uint64_t>(&out, 0);
  out.append(reinterpret_cast<const char*>(header.uuid.data()),
             header.uuid.size());
  AppendLe(&out, header.revision);
  AppendLe(&out, header.base_digest);
  AppendLe(&out, header.base_revision);
  AppendLe(&out, header.made_ms);
  AppendLe(&out, header.manifest_bytes);
  AppendLe(&out, header.segments);
  out.resize(kHeaderFieldsBytes, '\0');
  AppendLe(&out, Checksum(out, 0));
  return out;
}

BackupHeaderOutcome DecodeBackupHeader(std::string_view bytes,
                                       BackupHeader* header) {
  if (!bytes.starts_with(kMagic)) return BackupHeaderOutcome::kNoBackup;
  if (bytes.size() < kBackupHeaderBytes ||
      LoadLe<uint64_t>(&bytes[kHeaderFieldsBytes]) !=
          Checksum(bytes.substr(0, kHeaderFieldsBytes), 0)) {
    return BackupHeaderOutcome::kDamaged;
  }
  if (LoadLe<uint32_t>(&bytes[8]) != kBackupVersion ||
      LoadLe<uint32_t>(&bytes[12]) > 1 || LoadLe<uint64_t>(&bytes[16]) != 0 ||
      !IsZero(bytes.substr(88, kHeaderFieldsBytes - 88))) {
    return BackupHeaderOutcome::kUnknownFormat;
  }
  header->incremental = LoadLe<uint32_t>(&bytes[12]) == 1;
  std::memcpy(header->uuid.data(), &bytes[24], header->uuid.size());
  header->revision = LoadLe<uint64_t>(&bytes[40]);
  header->base_digest = LoadLe<uint64_t>(&bytes[48]);
  header->base_revision = LoadLe<uint64_t>(&bytes[56]);
  header->made_ms = LoadLe<uint64_t>(&bytes[64]);
  header->manifest_bytes = LoadLe<uint64_t>(&bytes[72]);
  header->segments = LoadLe<uint64_t>(&bytes[80]);
  return BackupHeaderOutcome::kHeader;
}

uint64_t BackupSeed(std::string_view header_bytes) {
  return LoadLe<uint64_t>(&header_bytes[kHeaderFieldsBytes]);
}

std::string EncodeBackupBlockHeader(const BackupBlockHeader& header) {
  std::string out(kBlockMagic);
  AppendLe(&out, static_cast<uint32_t>(header.kind));
  AppendLe(&out, header.segment);
  AppendLe(&out, header.offset);
  AppendLe(&out, header.bytes);
  AppendLe(&out, header.payload_bytes);
  return out;
}

uint64_t BackupBlockChecksum(std::string_view header_bytes,
                             std::string_view payload, uint64_t seed) {
  StreamingChecksum checksum(seed);
  checksum.Update(header_bytes.substr(0, kBlockFieldsBytes));
  checksum.Update(payload);
  return checksum.Digest();
}

std::optional<BackupBlockHeader> DecodeBackupBlockHeader(
    std::string_view bytes) {
  if (!bytes.starts_with(kBlockMagic)) return std::nullopt;
  BackupBlockHeader header;
  header.kind = static_cast<BackupBlockKind>(LoadLe<uint32_t>(&bytes[4]));
  header.segment = LoadLe<uint64_t>(&bytes[8]);
  header.offset = LoadLe<uint64_t>(&bytes[16]);
  header.bytes = LoadLe<uint32_t>(&bytes[24]);
  header.payload_bytes = LoadLe<uint32_t>(&bytes[28]);
  header.checksum = LoadLe<uint64_t>(&bytes[kBlockFieldsBytes]);
  return header;
}

void AppendBackupEntry(std::string* out, const BackupSegment& segment) {
  AppendLe(out, segment.id);
  AppendLe(out, segment.bytes);
  AppendLe(out, segment.checksum);
  AppendLe<uint64_t>(out, segment.here ? 1 : 0);
}

BackupSegment DecodeBackupEntry(std::string_view bytes) {
  BackupSegment segment;
  segment.id = LoadLe<uint64_t>(&bytes[0]);
  segment.bytes = LoadLe<uint64_t>(&bytes[8]);
  segment.checksum = LoadLe<uint64_t>(&bytes[16]);
  segment.here = LoadLe<uint64_t>(&bytes[24]) == 1;
  return segment;
}

std::string EncodeBackupTrailer(const BackupTrailer& trailer) {
  std::string out(kTrailerMagic);
  AppendLe(&out, trailer.bytes);
  AppendLe(&out, trailer.digest);
  AppendLe(&out, Checksum(out, 0));
  return out;
}

std::optional<BackupTrailer> DecodeBackupTrailer(std::string_view bytes) {
  if (bytes.size() != kBackupTrailerBytes ||
      !bytes.starts_with(kTrailerMagic) ||
      LoadLe<uint64_t>(&bytes[kTrailerFieldsBytes]) !=
          Checksum(bytes.substr(0, kTrailerFieldsBytes), 0)) {
    return std::nullopt;
  }
  return BackupTrailer{LoadLe<uint64_t>(&bytes[8]),
                       LoadLe<uint64_t>(&bytes[16])};
}

}  // namespace kvd
