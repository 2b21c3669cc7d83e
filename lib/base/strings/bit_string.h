// SPDX-License-Identifier: MIT
//
// Strings as rows of bits. Bit 0 is the highest one of the first byte, as Redis
// has it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace kvd {

// Bits from the first to the last, both included; they must be there.
struct BitRange {
  uint64_t first;
  uint64_t last;
};

// How many of them are 1.
uint64_t CountBits(std::string_view bytes, BitRange range);
// The first of them that is `bit`.
std::optional<uint64_t> FindBit(std::string_view bytes, BitRange range,
                                bool bit);

enum class BitOp {
  kAnd,
  kOr,
  kXor,
  kNot,    // Of the first source.
  kDiff,   // In the first source and in no other one.
  kDiff1,  // In another source and not in the first one.
  kAndOr,  // In the first source and in another one.
  kOne,    // In exactly one source.
};

// Writes the combination of the sources, of which there is one at least.
// Shorter ones have zeros at their end.
void CombineBits(BitOp op, std::span<const std::string_view> sources,
                 std::span<char> result);

// A whole number in the middle of a string, the highest bit first.
struct BitField {
  static constexpr int kSignedBitsMax = 64;
  // So that each fits into an int64_t.
  static constexpr int kUnsignedBitsMax = 63;

  int64_t min() const;
  int64_t max() const;
  // What is behind the string's end counts as zeros.
  int64_t Load(std::string_view bytes) const;
  // The number's lowest bits. All of the field must be there.
  void Store(int64_t number, std::span<char> bytes) const;
  // The number that these lowest bits are.
  int64_t Wrapped(uint64_t number) const;

  bool is_signed;
  int bits;         // From 1.
  uint64_t offset;  // Of its highest bit.
};

}  // namespace kvd
