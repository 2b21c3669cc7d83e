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
  kNamespace = 6,
};

inline constexpr uint64_t kRecordHeaderBytes = 32;
inline constexpr int kInternalDatabases = 16;
// Of a record; the byte above is its kind.
inline constexpr uint64_t kSeqMax = (uint64_t{1} << 56) - 1;
inline constexpr size_t kNamespaceNameBytesMax = 255;

// A decoded record; key and value are views into the bytes it was read from.
struct Record {
  RecordKind kind = RecordKind::kPut;
  uint16_t database = 0;
  uint64_t seq = 0;
  uint64_t deadline_ms = 0;  // Since the epoch; 0 for none.
  std::string_view key;
  std::string_view value;
};

// The value of a swap, its other database, and of a namespace, its first one.
inline constexpr size_t kNumberBytes = 2;
class NumberValue {
 public:
  explicit NumberValue(uint16_t database);
  std::string_view view() const { return {bytes_, kNumberBytes}; }

 private:
  char bytes_[kNumberBytes];
};
// Of such a record.
uint16_t NumberIn(const Record& record);

constexpr uint64_t RecordBytes(size_t key_size, size_t value_size) {
  return kRecordHeaderBytes + key_size + value_size;
}

// Writes the record to `to`, which has room for RecordBytes().
void EncodeRecord(char* to, const Record& record, uint64_t seed);

// Reads the record at the start of `bytes`; nothing when it is cut short, its
// checksum is wrong or its fields make no sense.
std::optional<Record> DecodeRecord(std::string_view bytes, uint64_t seed);

}  // namespace kvd
