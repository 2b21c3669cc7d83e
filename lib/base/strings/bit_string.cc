// SPDX-License-Identifier: MIT
#include "base/strings/bit_string.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/coding.h"

namespace kvd {
namespace {

constexpr uint64_t kByteBits = 8;
constexpr size_t kWordBytes = sizeof(uint64_t);

uint8_t ByteAt(std::string_view bytes, uint64_t index) {
  return static_cast<uint8_t>(bytes[index]);
}

// The lowest bits.
constexpr uint64_t Mask(int bits) {
  return bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
}

uint64_t CountOnes(std::string_view bytes) {
  uint64_t ones = 0;
  size_t i = 0;
  for (; i + kWordBytes <= bytes.size(); i += kWordBytes) {
    ones += static_cast<uint64_t>(
        std::popcount(LoadLe<uint64_t>(bytes.data() + i)));
  }
  for (; i < bytes.size(); ++i) {
    ones += static_cast<uint64_t>(std::popcount(ByteAt(bytes, i)));
  }
  return ones;
}

// A piece of a source, small enough for the processor's nearest cache.
struct Block {
  static constexpr size_t kBytes = 4096;

  // The bytes from `at` on, zeros behind the end.
  void Load(std::string_view source, size_t at) {
    const std::string_view part =
        source.substr(std::min(at, source.size()), kBytes);
    char* const to = reinterpret_cast<char*>(words);
    if (!part.empty()) std::memcpy(to, part.data(), part.size());
    std::memset(to + part.size(), 0, kBytes - part.size());
  }

  // With a word of either block.
  template <typename Combine>
  void With(const Block& other, Combine combine) {
    for (size_t i = 0; i < std::size(words); ++i) {
      words[i] = combine(words[i], other.words[i]);
    }
  }

  uint64_t words[kBytes / kWordBytes];
};

// Each of a type of its own, so that the loops are compiled for each.
constexpr auto kAnd = [](uint64_t a, uint64_t b) { return a & b; };
constexpr auto kOr = [](uint64_t a, uint64_t b) { return a | b; };
constexpr auto kXor = [](uint64_t a, uint64_t b) { return a ^ b; };
constexpr auto kAndNot = [](uint64_t a, uint64_t b) { return a & ~b; };

// The block at `at` of a combination.
class BlockMaker {
 public:
  BlockMaker(std::span<const std::string_view> sources, size_t at)
      : sources_(sources), at_(at) {}

  const Block& Make(BitOp op) {
    result_.Load(sources_.front(), at_);
    switch (op) {
      case BitOp::kAnd:
        Fold(kAnd);
        break;
      case BitOp::kOr:
        Fold(kOr);
        break;
      case BitOp::kXor:
        Fold(kXor);
        break;
      case BitOp::kNot:
        result_.With(result_, [](uint64_t a, uint64_t) { return ~a; });
        break;
      case BitOp::kDiff:
        WithOthers(kAndNot);
        break;
      case BitOp::kDiff1:
        WithOthers([](uint64_t a, uint64_t b) { return b & ~a; });
        break;
      case BitOp::kAndOr:
        WithOthers(kAnd);
        break;
      case BitOp::kOne:
        KeepSingleOnes();
        break;
    }
    return result_;
  }

 private:
  template <typename Combine>
  void Fold(Combine combine) {
    for (const std::string_view source : sources_.subspan(1)) {
      next_.Load(source, at_);
      result_.With(next_, combine);
    }
  }

  // The first source with all of the others.
  template <typename Combine>
  void WithOthers(Combine combine) {
    const Block first = result_;
    result_ = {};
    Fold(kOr);
    const Block others = result_;
    result_ = first;
    result_.With(others, combine);
  }

  void KeepSingleOnes() {
    Block repeated = {};
    for (const std::string_view source : sources_.subspan(1)) {
      next_.Load(source, at_);
      for (size_t i = 0; i < std::size(next_.words); ++i) {
        repeated.words[i] |= result_.words[i] & next_.words[i];
      }
      result_.With(next_, kOr);
    }
    result_.With(repeated, kAndNot);
  }

  const std::span<const std::string_view> sources_;
  const size_t at_;
  Block result_;
  Block next_;
};

}  // namespace

uint64_t CountBits(std::string_view bytes, BitRange range) {
  const uint64_t first = range.first / kByteBits;
  const uint64_t last = range.last / kByteBits;
  const auto before = static_cast<int>(range.first % kByteBits);
  const auto behind = static_cast<int>(kByteBits - 1 - range.last % kByteBits);
  uint64_t ones = CountOnes(bytes.substr(first, last - first + 1));
  const unsigned outside_first = ByteAt(bytes, first) & ~(0xffu >> before);
  const unsigned outside_last =
      ByteAt(bytes, last) & static_cast<unsigned>(Mask(behind));
  ones -= static_cast<uint64_t>(std::popcount(outside_first));
  return ones - static_cast<uint64_t>(std::popcount(outside_last));
}

std::optional<uint64_t> FindBit(std::string_view bytes, BitRange range,
                                bool bit) {
  // Where no bit of a word is the one wanted.
  const uint64_t none = bit ? 0 : ~uint64_t{0};
  for (uint64_t at = range.first; at <= range.last;) {
    const uint64_t byte = at / kByteBits;
    if (at % kByteBits == 0 && byte + kWordBytes <= bytes.size() &&
        LoadLe<uint64_t>(bytes.data() + byte) == none) {
      at += kWordBytes * kByteBits;
      continue;
    }
    const unsigned wanted = (ByteAt(bytes, byte) ^ static_cast<uint8_t>(none)) &
                            (0xffu >> (at % kByteBits));
    if (wanted != 0) {
      const uint64_t found =
          byte * kByteBits +
          static_cast<uint64_t>(std::countl_zero(static_cast<uint8_t>(wanted)));
      return found <= range.last ? std::optional(found) : std::nullopt;
    }
    at = (byte + 1) * kByteBits;
  }
  return std::nullopt;
}

void CombineBits(BitOp op, std::span<const std::string_view> sources,
                 std::span<char> result) {
  for (size_t at = 0; at < result.size(); at += Block::kBytes) {
    BlockMaker maker(sources, at);
    std::memcpy(&result[at], maker.Make(op).words,
                std::min(Block::kBytes, result.size() - at));
  }
}

int64_t BitField::min() const {
  return is_signed ? static_cast<int64_t>(~Mask(bits - 1)) : 0;
}

int64_t BitField::max() const {
  return static_cast<int64_t>(Mask(is_signed ? bits - 1 : bits));
}

int64_t BitField::Load(std::string_view bytes) const {
  uint64_t number = 0;
  uint64_t at = offset;
  for (int left = bits; left > 0;) {
    const int in_byte = static_cast<int>(kByteBits - at % kByteBits);
    const int taken = std::min(in_byte, left);
    const uint64_t byte = at / kByteBits;
    const uint64_t value = byte < bytes.size() ? ByteAt(bytes, byte) : 0;
    number = number << taken | (value >> (in_byte - taken) & Mask(taken));
    at += static_cast<uint64_t>(taken);
    left -= taken;
  }
  return Wrapped(number);
}

void BitField::Store(int64_t number, std::span<char> bytes) const {
  uint64_t at = offset;
  for (int left = bits; left > 0;) {
    const int in_byte = static_cast<int>(kByteBits - at % kByteBits);
    const int taken = std::min(in_byte, left);
    const int shift = in_byte - taken;
    left -= taken;
    const uint64_t part = static_cast<uint64_t>(number) >> left & Mask(taken);
    char& byte = bytes[at / kByteBits];
    byte =
        static_cast<char>((static_cast<uint64_t>(static_cast<uint8_t>(byte)) &
                           ~(Mask(taken) << shift)) |
                          part << shift);
    at += static_cast<uint64_t>(taken);
  }
}

int64_t BitField::Wrapped(uint64_t number) const {
  number &= Mask(bits);
  const bool negative = is_signed && (number >> (bits - 1) & 1) != 0;
  return static_cast<int64_t>(negative ? number | ~Mask(bits) : number);
}

}  // namespace kvd
