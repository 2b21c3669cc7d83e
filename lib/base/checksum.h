// SPDX-License-Identifier: MIT
//
// XXH3-64, the one checksum of kvd's files and the hash of its index.
// Source: https://github.com/Cyan4973/xxHash, specification "XXH3 64 bits".
#pragma once

// Inlined: most of what is hashed is a few dozen bytes long.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstdint>
#include <string_view>

namespace kvd {

inline uint64_t Checksum(std::string_view bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

// The checksum of bytes that arrive in pieces: equal to Checksum() of their
// concatenation.
class StreamingChecksum {
 public:
  explicit StreamingChecksum(uint64_t seed) {
    XXH3_INITSTATE(&state_);
    XXH3_64bits_reset_withSeed(&state_, seed);
  }
  void Update(std::string_view bytes) {
    XXH3_64bits_update(&state_, bytes.data(), bytes.size());
  }
  uint64_t Digest() const { return XXH3_64bits_digest(&state_); }

 private:
  XXH3_state_t state_;
};

}  // namespace kvd
