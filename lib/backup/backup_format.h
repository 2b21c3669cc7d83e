// SPDX-License-Identifier: MIT
//
// Backups: the fixed parts of the file, to bytes and back. FORMAT.md.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kvd {

inline constexpr uint32_t kBackupVersion = 1;
inline constexpr size_t kBackupHeaderBytes = 128;
inline constexpr size_t kBackupBlockHeaderBytes = 40;
inline constexpr size_t kBackupEntryBytes = 32;
inline constexpr size_t kBackupTrailerBytes = 32;
// Of a block, as it was before compression.
inline constexpr size_t kBackupBlockBytesMax = size_t{1} << 20;

struct BackupHeader {
  std::array<uint8_t, 16> uuid = {};  // The store's.
  uint64_t revision = 0;
  bool incremental = false;
  uint64_t base_digest = 0;
  uint64_t base_revision = 0;
  uint64_t made_ms = 0;  // Since 1970.
  uint64_t manifest_bytes = 0;
  uint64_t segments = 0;

  bool operator==(const BackupHeader&) const = default;
};

// A segment that belongs to a backup, here or in its base.
struct BackupSegment {
  uint64_t id = 0;
  uint64_t bytes = 0;
  uint64_t checksum = 0;
  bool here = true;

  // Whether both are the same bytes, wherever they are.
  bool SameBytes(const BackupSegment& other) const {
    return id == other.id && bytes == other.bytes && checksum == other.checksum;
  }
  bool operator==(const BackupSegment&) const = default;
};

enum class BackupBlockKind : uint32_t { kManifest = 1, kList, kSegment };

struct BackupBlockHeader {
  BackupBlockKind kind = BackupBlockKind::kManifest;
  uint64_t segment = 0;
  uint64_t offset = 0;
  uint32_t bytes = 0;
  uint32_t payload_bytes = 0;
  uint64_t checksum = 0;
};

struct BackupTrailer {
  uint64_t bytes = 0;  // Before it.
  uint64_t digest = 0;
};

// kBackupHeaderBytes.
std::string EncodeBackupHeader(const BackupHeader& header);
enum class BackupHeaderOutcome {
  kHeader,
  kNoBackup,       // Something else.
  kDamaged,        // The magic of a backup, and not the rest.
  kUnknownFormat,  // Intact, of another version or with unknown features.
};
// Reads kBackupHeaderBytes.
BackupHeaderOutcome DecodeBackupHeader(std::string_view bytes,
                                       BackupHeader* header);
// What the checksums of blocks are seeded with.
uint64_t BackupSeed(std::string_view header_bytes);

// The header of a block, without its checksum …
std::string EncodeBackupBlockHeader(const BackupBlockHeader& header);
// … which this computes from that and the payload.
uint64_t BackupBlockChecksum(std::string_view header_bytes,
                             std::string_view payload, uint64_t seed);
// Reads kBackupBlockHeaderBytes; nothing if no block begins so. The checksum is
// the caller's to compare.
std::optional<BackupBlockHeader> DecodeBackupBlockHeader(
    std::string_view bytes);

void AppendBackupEntry(std::string* out, const BackupSegment& segment);
// Reads kBackupEntryBytes.
BackupSegment DecodeBackupEntry(std::string_view bytes);

std::string EncodeBackupTrailer(const BackupTrailer& trailer);
// Reads kBackupTrailerBytes; nothing if it is none, or damaged.
std::optional<BackupTrailer> DecodeBackupTrailer(std::string_view bytes);

}  // namespace kvd
