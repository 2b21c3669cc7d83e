// SPDX-License-Identifier: MIT
//
// Source: FIPS 180-4.
#include "daemon/script/sha1.h"

#include <bit>
#include <cstdint>
#include <cstring>

namespace kvd {
namespace {

constexpr size_t kBlockBytes = 64;
constexpr size_t kLengthBytes = 8;

using Digest = std::array<uint32_t, 5>;
constexpr Digest kFirstDigest = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
                                 0xc3d2e1f0};

uint32_t BigEndian(const unsigned char* at) {
  return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 |
         at[3];
}

// One of the four parts that the eighty rounds have.
struct Part {
  uint32_t mixed;
  uint32_t constant;
};

Part PartOf(int round, uint32_t b, uint32_t c, uint32_t d) {
  if (round < 20) return {(b & c) | (~b & d), 0x5a827999};
  if (round < 40) return {b ^ c ^ d, 0x6ed9eba1};
  if (round < 60) return {(b & c) | (b & d) | (c & d), 0x8f1bbcdc};
  return {b ^ c ^ d, 0xca62c1d6};
}

void AddBlock(Digest* digest, const unsigned char* block) {
  constexpr int kRounds = 80;
  uint32_t words[kRounds];
  for (int i = 0; i < 16; ++i) words[i] = BigEndian(block + 4 * i);
  for (int i = 16; i < kRounds; ++i) {
    words[i] = std::rotl(
        words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
  }
  auto [a, b, c, d, e] = *digest;
  for (int i = 0; i < kRounds; ++i) {
    const Part part = PartOf(i, b, c, d);
    const uint32_t next =
        std::rotl(a, 5) + part.mixed + e + part.constant + words[i];
    e = d;
    d = c;
    c = std::rotl(b, 30);
    b = a;
    a = next;
  }
  *digest = {(*digest)[0] + a, (*digest)[1] + b, (*digest)[2] + c,
             (*digest)[3] + d, (*digest)[4] + e};
}

// What is left behind the whole blocks, with a bit of one, zeros and the length
// in bits: one block or two.
void AddEnd(Digest* digest, std::string_view rest, uint64_t bytes) {
  unsigned char end[2 * kBlockBytes] = {};
  if (!rest.empty()) std::memcpy(end, rest.data(), rest.size());
  end[rest.size()] = 0x80;
  const bool fits = rest.size() + 1 + kLengthBytes <= kBlockBytes;
  const size_t size = fits ? kBlockBytes : 2 * kBlockBytes;
  const uint64_t bits = bytes * 8;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    end[size - 1 - i] = static_cast<unsigned char>(bits >> (8 * i));
  }
  for (size_t at = 0; at < size; at += kBlockBytes) AddBlock(digest, end + at);
}

Sha1Text TextOf(const Digest& digest) {
  Sha1Text text;
  for (size_t i = 0; i < text.size(); ++i) {
    const uint32_t digit = digest[i / 8] >> (28 - 4 * (i % 8)) & 0xf;
    text[i] = "0123456789abcdef"[digit];
  }
  return text;
}

}  // namespace

Sha1Text Sha1(std::string_view bytes) {
  Digest digest = kFirstDigest;
  std::string_view rest = bytes;
  while (rest.size() >= kBlockBytes) {
    AddBlock(&digest, reinterpret_cast<const unsigned char*>(rest.data()));
    rest.remove_prefix(kBlockBytes);
  }
  AddEnd(&digest, rest, bytes.size());
  return TextOf(digest);
}

}  // namespace kvd
