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
constexpr size_t kKindAndSeqAt = 8;
constexpr int kKindShift = 56;
constexpr size_t kDeadlineAt = 16;
constexpr size_t kValueSizeAt = 24;
constexpr size_t kKeySizeAt = 28;
constexpr size_t kDatabaseAt = 30;

bool IsNamespace(const Record& record) {
  return record.database == 0 && !record.key.empty() &&
         record.key.size() <= kNamespaceNameBytesMax &&
         record.value.size() == kNumberBytes && record.deadline_ms == 0;
}

bool MakesSense(const Record& record) {
  if (record.kind == RecordKind::kNamespace) return IsNamespace(record);
  if (record.database >= kInternalDatabases) return false;
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
      return record.key.empty() && record.value.size() == kNumberBytes &&
             NumberIn(record) < kInternalDatabases && record.deadline_ms == 0;
    case RecordKind::kNamespace:
      break;
  }
  return false;
}

}  // namespace

NumberValue::NumberValue(uint16_t database) {
  StoreLe<uint16_t>(bytes_, database);
}

uint16_t NumberIn(const Record& record) {
  return LoadLe<uint16_t>(record.value.data());
}

void EncodeRecord(char* to, const Record& record, uint64_t seed) {
  KVD_CHECK(record.key.size() <= kKeyBytesMax);
  KVD_CHECK(record.value.size() <= kValueBytesMax);
  KVD_CHECK(record.seq <= kSeqMax);

  StoreLe<uint64_t>(
      to + kKindAndSeqAt,
      static_cast<uint64_t>(record.kind) << kKindShift | record.seq);
  StoreLe<uint64_t>(to + kDeadlineAt, record.deadline_ms);
  StoreLe<uint32_t>(to + kValueSizeAt,
                    static_cast<uint32_t>(record.value.size()));
  StoreLe<uint16_t>(to + kKeySizeAt, static_cast<uint16_t>(record.key.size()));
  StoreLe<uint16_t>(to + kDatabaseAt, record.database);
  char* body = to + kRecordHeaderBytes;
  if (!record.key.empty()) {
    std::memcpy(body, record.key.data(), record.key.size());
  }
  if (!record.value.empty()) {
    std::memcpy(body + record.key.size(), record.value.data(),
                record.value.size());
  }
  const uint64_t size = RecordBytes(record.key.size(), record.value.size());
  StoreLe<uint64_t>(to,
                    Checksum({to + kKindAndSeqAt, size - kKindAndSeqAt}, seed));
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
          Checksum({from + kKindAndSeqAt, size - kKindAndSeqAt}, seed) &&
      !IsPlanted(PlantedBug::kSkipRecordChecksum)) {
    return std::nullopt;
  }

  Record record;
  const uint64_t kind_and_seq = LoadLe<uint64_t>(from + kKindAndSeqAt);
  record.kind = static_cast<RecordKind>(kind_and_seq >> kKindShift);
  record.seq = kind_and_seq & kSeqMax;
  record.database = LoadLe<uint16_t>(from + kDatabaseAt);
  record.deadline_ms = LoadLe<uint64_t>(from + kDeadlineAt);
  record.key = bytes.substr(kRecordHeaderBytes, key_size);
  record.value = bytes.substr(kRecordHeaderBytes + key_size, value_size);
  if (!MakesSense(record)) return std::nullopt;
  return record;
}

}  // namespace kvd
