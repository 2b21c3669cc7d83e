// SPDX-License-Identifier: MIT
#include "log/format/record.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/checksum.h"
#include "base/coding.h"
#include "base/limits.h"

namespace kvd {
namespace {

constexpr uint64_t kSeed = 42;

std::string Encode(const Record& record) {
  std::string bytes(RecordBytes(record.key.size(), record.value.size()), '\0');
  EncodeRecord(bytes.data(), record, kSeed);
  return bytes;
}

// As a writer with other ideas would leave it: the checksum holds.
std::string Resign(std::string bytes) {
  StoreLe<uint64_t>(bytes.data(),
                    Checksum(std::string_view(bytes).substr(8), kSeed));
  return bytes;
}

void ExpectSame(const Record& a, const Record& b) {
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.database, b.database);
  EXPECT_EQ(a.seq, b.seq);
  EXPECT_EQ(a.deadline_ms, b.deadline_ms);
  EXPECT_EQ(a.key, b.key);
  EXPECT_EQ(a.value, b.value);
}

const Record kPutRecord = {RecordKind::kPut,  3,     0x01020304050607,
                           1'700'000'000'123, "key", "value"};

TEST(Record, ComesBackAsItWasWritten) {
  using namespace std::string_view_literals;
  const std::string key_max(kKeyBytesMax, 'k');
  const std::string value(100'000, 'v');
  const std::vector<Record> records = {
      kPutRecord,
      {RecordKind::kPut, 15, kSeqMax, UINT64_MAX, key_max, value},
      {RecordKind::kPut, 0, 1, 0, "", ""},
      {RecordKind::kPut, 0, 1, 0, "\0\xff\n"sv, "\0\0"sv},
      {RecordKind::kDelete, 1, 2, 0, "key", ""},
      {RecordKind::kExpire, 2, 3, 0, "key", ""},
      {RecordKind::kFlush, 4, 5, 0, "", ""},
      {RecordKind::kSwap, 6, 7, 0, "", "\x0f\0"sv},
      {RecordKind::kNamespace, 0, 8, 0, "tenant", "\x10\0"sv},
  };
  for (const Record& record : records) {
    SCOPED_TRACE(static_cast<int>(record.kind));
    // What follows a record in its group is not its business.
    const std::string bytes = Encode(record) + "more";
    const auto back = DecodeRecord(bytes, kSeed);
    ASSERT_TRUE(back.has_value());
    ExpectSame(*back, record);
  }
}

TEST(Record, IsNothingWhenCutAnywhere) {
  const std::string bytes = Encode(kPutRecord);
  for (size_t cut = 0; cut < bytes.size(); ++cut) {
    EXPECT_FALSE(DecodeRecord(bytes.substr(0, cut), kSeed)) << cut;
  }
}

TEST(Record, IsNothingWithAnyBitFlipped) {
  const std::string good = Encode(kPutRecord);
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bytes = good + std::string(1000, 'x');
    bytes[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    EXPECT_FALSE(DecodeRecord(bytes, kSeed)) << "bit " << bit;
  }
}

TEST(Record, IsNothingUnderAnotherSeed) {
  EXPECT_FALSE(DecodeRecord(Encode(kPutRecord), kSeed + 1));
}

TEST(Record, ZerosAreNoRecord) {
  EXPECT_FALSE(DecodeRecord(std::string(4096, '\0'), kSeed));
  // Nor are they with a checksum that happens to hold: kind 0 is reserved.
  EXPECT_FALSE(DecodeRecord(Resign(std::string(32, '\0')), kSeed));
}

// The sizes are checked against what is there before anything follows them; no
// byte behind the end is read (AddressSanitizer watches).
TEST(Record, SizesBeyondTheBytesAreRefused) {
  std::string bytes = Encode(kPutRecord);
  for (uint32_t size : {6u, 1000u, 536'870'912u, 536'870'913u, UINT32_MAX}) {
    StoreLe<uint32_t>(bytes.data() + 24, size);
    const std::string exact = Resign(bytes);
    EXPECT_FALSE(DecodeRecord(exact, kSeed)) << size;
  }
  bytes = Encode(kPutRecord);
  StoreLe<uint16_t>(bytes.data() + 28, UINT16_MAX);
  EXPECT_FALSE(DecodeRecord(Resign(bytes), kSeed));
}

TEST(Record, FieldsThatMakeNoSenseAreRefused) {
  const auto with = [](const Record& record, size_t at, uint8_t byte) {
    std::string bytes = Encode(record);
    bytes[at] = static_cast<char>(byte);
    return Resign(std::move(bytes));
  };
  const Record flush = {RecordKind::kFlush, 0, 1, 0, "", ""};
  const Record swap = {RecordKind::kSwap,          0, 1, 0, "",
                       std::string_view("\1\0", 2)};
  const Record remove = {RecordKind::kDelete, 0, 1, 0, "k", ""};

  for (int kind = 0; kind < 256; ++kind) {
    const bool known = kind == static_cast<int>(RecordKind::kPut);
    EXPECT_EQ(
        DecodeRecord(with(kPutRecord, 15, static_cast<uint8_t>(kind)), kSeed)
            .has_value(),
        known)
        << kind;
  }
  EXPECT_FALSE(DecodeRecord(with(kPutRecord, 30, 16), kSeed)) << "database";
  EXPECT_FALSE(DecodeRecord(with(swap, 32, 16), kSeed)) << "swapped with 16";
  for (const Record& record : {flush, swap, remove}) {
    EXPECT_TRUE(DecodeRecord(with(record, 16, 0), kSeed));
    EXPECT_FALSE(DecodeRecord(with(record, 16, 1), kSeed)) << "deadline";
  }
}

}  // namespace
}  // namespace kvd
