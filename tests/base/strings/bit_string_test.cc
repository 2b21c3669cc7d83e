// SPDX-License-Identifier: MIT
#include "base/strings/bit_string.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace kvd {
namespace {

bool BitAt(std::string_view bytes, uint64_t at) {
  return at / 8 < bytes.size() &&
         (static_cast<unsigned char>(bytes[at / 8]) >> (7 - at % 8) & 1) != 0;
}

std::string RandomBytes(std::mt19937* random, size_t size) {
  // Often all zeros or all ones for a while, as in bitmaps.
  std::string bytes(size, '\0');
  char c = 0;
  for (char& byte : bytes) {
    const unsigned kind = (*random)() % 8;
    if (kind == 0) c = static_cast<char>((*random)());
    if (kind == 1) c = '\0';
    if (kind == 2) c = '\xff';
    byte = c;
  }
  return bytes;
}

TEST(BitString, BitZeroIsTheHighestOfTheFirstByte) {
  EXPECT_EQ(FindBit("\x80", {0, 7}, true), 0u);
  EXPECT_EQ(FindBit("\x01", {0, 7}, true), 7u);
  EXPECT_EQ(FindBit("\xff\xf0", {0, 15}, false), 12u);
  EXPECT_EQ(FindBit("\xff\xf0", {0, 11}, false), std::nullopt);
  EXPECT_EQ(CountBits("foobar", {0, 47}), 26u);
  EXPECT_EQ(CountBits("\xff", {2, 4}), 3u);
}

TEST(BitString, CountsAndFindsWhatALoopDoes) {
  std::mt19937 random(20261130);
  for (int round = 0; round < 3000; ++round) {
    const std::string bytes = RandomBytes(&random, 1 + random() % 60);
    const uint64_t bits = 8 * bytes.size();
    BitRange range = {random() % bits, random() % bits};
    if (range.first > range.last) std::swap(range.first, range.last);
    uint64_t ones = 0;
    std::optional<uint64_t> first[2];
    for (uint64_t at = range.first; at <= range.last; ++at) {
      const bool bit = BitAt(bytes, at);
      ones += bit ? 1 : 0;
      if (!first[bit]) first[bit] = at;
    }
    EXPECT_EQ(CountBits(bytes, range), ones);
    EXPECT_EQ(FindBit(bytes, range, false), first[0]);
    EXPECT_EQ(FindBit(bytes, range, true), first[1]);
  }
}

bool Combined(BitOp op, const std::vector<std::string_view>& sources,
              uint64_t at) {
  const bool first = BitAt(sources[0], at);
  size_t ones = 0;
  for (const std::string_view source : sources) ones += BitAt(source, at);
  const bool other = ones > (first ? 1u : 0u);
  switch (op) {
    case BitOp::kAnd:
      return ones == sources.size();
    case BitOp::kOr:
      return ones > 0;
    case BitOp::kXor:
      return ones % 2 == 1;
    case BitOp::kNot:
      return !first;
    case BitOp::kDiff:
      return first && !other;
    case BitOp::kDiff1:
      return !first && other;
    case BitOp::kAndOr:
      return first && other;
    case BitOp::kOne:
      return ones == 1;
  }
  return false;
}

// Sizes around those of the blocks in which it is done.
TEST(BitString, CombinesSourcesOfDifferentSizes) {
  std::mt19937 random(20261130);
  for (const BitOp op :
       {BitOp::kAnd, BitOp::kOr, BitOp::kXor, BitOp::kNot, BitOp::kDiff,
        BitOp::kDiff1, BitOp::kAndOr, BitOp::kOne}) {
    for (const size_t largest : {1u, 7u, 8u, 9u, 100u, 4096u, 4097u, 9000u}) {
      const size_t count = op == BitOp::kNot ? 1 : 2 + random() % 3;
      std::vector<std::string> texts;
      for (size_t i = 0; i < count; ++i) {
        texts.push_back(RandomBytes(&random, random() % (largest + 1)));
      }
      texts[random() % count] = RandomBytes(&random, largest);
      const std::vector<std::string_view> sources(texts.begin(), texts.end());
      std::string result(largest, 'x');
      CombineBits(op, sources, result);
      uint64_t wrong = 0;
      for (uint64_t at = 0; at < 8 * largest; ++at) {
        if (BitAt(result, at) != Combined(op, sources, at)) ++wrong;
      }
      EXPECT_EQ(wrong, 0u) << static_cast<int>(op) << " " << largest;
    }
  }
}

TEST(BitField, HasTheBoundsOfItsBits) {
  EXPECT_EQ((BitField{false, 1, 0}.max()), 1);
  EXPECT_EQ((BitField{false, 63, 0}.max()), INT64_MAX);
  EXPECT_EQ((BitField{true, 1, 0}.min()), -1);
  EXPECT_EQ((BitField{true, 1, 0}.max()), 0);
  EXPECT_EQ((BitField{true, 8, 0}.min()), -128);
  EXPECT_EQ((BitField{true, 64, 0}.min()), INT64_MIN);
  EXPECT_EQ((BitField{true, 64, 0}.max()), INT64_MAX);
  EXPECT_EQ((BitField{true, 8, 0}.Wrapped(0x1ff)), -1);
  EXPECT_EQ((BitField{false, 8, 0}.Wrapped(0x1ff)), 0xff);
}

TEST(BitField, LoadsWhatItStoredAndTouchesNoOtherBit) {
  std::mt19937_64 random(20261130);
  for (int round = 0; round < 3000; ++round) {
    const bool is_signed = random() % 2 == 0;
    const int bits = 1 + static_cast<int>(random() % (is_signed ? 64 : 63));
    const BitField field = {is_signed, bits, random() % 60};
    std::string bytes(16, random() % 2 == 0 ? '\0' : '\xff');
    const std::string before = bytes;
    const int64_t number = field.Wrapped(random());
    field.Store(number, bytes);
    EXPECT_EQ(field.Load(bytes), number);
    for (uint64_t at = 0; at < 128; ++at) {
      if (at >= field.offset &&
          at < field.offset + static_cast<uint64_t>(bits)) {
        continue;
      }
      EXPECT_EQ(BitAt(bytes, at), BitAt(before, at));
    }
  }
}

TEST(BitField, LoadsZerosBehindTheEnd) {
  EXPECT_EQ((BitField{false, 8, 4}.Load("\xff")), 0xf0);
  EXPECT_EQ((BitField{true, 8, 0}.Load("")), 0);
  EXPECT_EQ((BitField{true, 16, 0}.Load("\x80")), -32768);
}

}  // namespace
}  // namespace kvd
