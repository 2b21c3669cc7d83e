// SPDX-License-Identifier: MIT
//
// Backups: any bytes are either refused or read to their end, in bounded
// memory. Checksums keep random changes from reaching what is behind them, so
// those of the header and of each block are put right first.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "backup/backup_reader.h"
#include "base/checksum.h"

namespace {

void PutRight(std::string* bytes, size_t at, uint64_t checksum) {
  std::memcpy(bytes->data() + at, &checksum, sizeof checksum);
}

void PutChecksumsRight(std::string* bytes) {
  const std::string_view view(*bytes);
  if (bytes->size() < kvd::kBackupHeaderBytes) return;
  const size_t fields = kvd::kBackupHeaderBytes - 8;
  PutRight(bytes, fields, kvd::Checksum(view.substr(0, fields), 0));
  const uint64_t seed = kvd::BackupSeed(view);
  size_t at = kvd::kBackupHeaderBytes;
  while (bytes->size() - at >= kvd::kBackupBlockHeaderBytes) {
    const auto front = view.substr(at, kvd::kBackupBlockHeaderBytes);
    const auto header = kvd::DecodeBackupBlockHeader(front);
    const size_t payload_at = at + kvd::kBackupBlockHeaderBytes;
    if (!header || header->payload_bytes > bytes->size() - payload_at) return;
    const auto payload = view.substr(payload_at, header->payload_bytes);
    PutRight(bytes, payload_at - 8,
             kvd::BackupBlockChecksum(front, payload, seed));
    at = payload_at + header->payload_bytes;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  PutChecksumsRight(&bytes);
  std::string_view rest = bytes;
  const auto reader =
      kvd::BackupReader::Open("backup", [&rest](std::span<char> out) {
        const size_t taken = std::min(out.size(), rest.size());
        std::memcpy(out.data(), rest.data(), taken);
        rest.remove_prefix(taken);
        return kvd::Result<size_t>(taken);
      });
  if (!reader) return 0;
  while (true) {
    const auto piece = (*reader)->Next();
    if (!piece || !*piece) return 0;
  }
}
