// SPDX-License-Identifier: MIT
#include "log/format/record.h"

#include <cstring>

#include "base/check.h"
#include "base/checksum.h"
#include "base/coding.h"
#include "base/limits.h"
#include "base/planted_bug.h"

namespace kvd {
namespace {

// Field offsets; FORMAT.md, "Record".
constexpr size_t kSeqAt = 8;
constexpr size_t kDeadlineAt = 16;
constexpr size_t kValueSizeAt = 24;
constexpr size_t kKeySizeAt = 28;
constexpr size_t kDatabaseAt = 30;
constexpr size_t kKindAt = 31;

bool MakesSense(const Record& record) {
  switch (record.kind) {
    case RecordKind::kPut:
      return true;
    case RecordKind::kDelete:
    case RecordKind::kExpire:
      return record.value.empty() && record.deadline_ms == 0;
    case RecordKind::kFlush:
      return record.key.empty() && record.value.empty() &&
             record.deadline_ms == 0;
    case RecordKind::kSwap:
      return record.key.empty() && record.value.size() == 1 &&
             static_cast<uint8_t>(record.value[0]) < kInternalDatabases &&
             record.deadline_ms == 0;
  }
  return false;
}

}  // namespace

void EncodeRecord(char* to, const Record& record, uint64_t seed) {
  KVD_CHECK(record.key.size() <= kKeyBytesMax);
  KVD_CHECK(record.value.size() <= kValueBytesMax);
  KVD_CHECK(record.database < kInternalDatabases);

  StoreLe<uint64_t>(to + kSeqAt, record.seq);
  StoreLe<uint64_t>(to + kDeadlineAt, record.deadline_ms);
  StoreLe<uint32_t>(to + kValueSizeAt,
                    static_cast<uint32_t>(record.value.size()));
  StoreLe<uint16_t>(to + kKeySizeAt, static_cast<uint16_t>(record.key.size()));
  StoreLe<uint8_t>(to + kDatabaseAt, record.database);
  StoreLe<uint8_t>(to + kKindAt, static_cast<uint8_t>(record.kind));
  char* body = to + kRecordHeaderBytes;
  if (!record.key.empty()) {
    std::memcpy(body, record.key.data(), record.key.size());
  }
  if (!record.value.empty()) {
    std::memcpy(body + record.key.size(), record.value.data(),
                record.value.size());
  }
  const uint64_t size = RecordBytes(record.key.size(), record.value.size());
  StoreLe<uint64_t>(to, Checksum({to + kSeqAt, size - kSeqAt}, seed));
}

std::optional<Record> DecodeRecord(std::string_view bytes, uint64_t seed) {
  if (bytes.size() < kRecordHeaderBytes) return std::nullopt;
  const char* from = bytes.data();
  const uint64_t value_size = LoadLe<uint32_t>(from + kValueSizeAt);
  const uint64_t key_size = LoadLe<uint16_t>(from + kKeySizeAt);
  if (value_size > kValueBytesMax) return std::nullopt;
  const uint64_t size = RecordBytes(key_size, value_size);
  if (size > bytes.size()) return std::nullopt;
  if (LoadLe<uint64_t>(from) !=
          Checksum({from + kSeqAt, size - kSeqAt}, seed) &&
      !IsPlanted(PlantedBug::kSkipRecordChecksum)) {
    return std::nullopt;
  }

  Record record;
  record.kind = static_cast<RecordKind>(from[kKindAt]);
  record.database = LoadLe<uint8_t>(from + kDatabaseAt);
  record.seq = LoadLe<uint64_t>(from + kSeqAt);
  record.deadline_ms = LoadLe<uint64_t>(from + kDeadlineAt);
  record.key = bytes.substr(kRecordHeaderBytes, key_size);
  record.value = bytes.substr(kRecordHeaderBytes + key_size, value_size);
  if (record.database >= kInternalDatabases || !MakesSense(record)) {
    return std::nullopt;
  }
  return record;
}

}  // namespace kvd
