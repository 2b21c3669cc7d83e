// SPDX-License-Identifier: MIT
//
// One change in the log: the bytes of a record. FORMAT.md, "Record".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace kvd {

enum class RecordKind : uint8_t {
  kPut = 1,
  kDelete = 2,
  kExpire = 3,
  kFlush = 4,
  kSwap = 5,
};

inline constexpr uint64_t kRecordHeaderBytes = 32;
inline constexpr int kInternalDatabases = 16;

// A decoded record; key and value are views into the bytes it was read from.
struct Record {
  RecordKind kind = RecordKind::kPut;
  uint8_t database = 0;
  uint64_t seq = 0;
  uint64_t deadline_ms = 0;  // Since the epoch; 0 for none.
  std::string_view key;
  std::string_view value;
};

constexpr uint64_t RecordBytes(size_t key_size, size_t value_size) {
  return kRecordHeaderBytes + key_size + value_size;
}

// Writes the record to `to`, which has room for RecordBytes().
void EncodeRecord(char* to, const Record& record, uint64_t seed);

// Reads the record at the start of `bytes`; nothing when it is cut short, its
// checksum is wrong or its fields make no sense.
std::optional<Record> DecodeRecord(std::string_view bytes, uint64_t seed);

}  // namespace kvd
