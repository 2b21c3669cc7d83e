// SPDX-License-Identifier: MIT
//
// Little-endian integers in byte strings. Every integer that kvd stores goes
// through here, so that a data directory does not depend on the machine.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/check.h"

namespace kvd {

static_assert(std::endian::native == std::endian::little,
              "kvd stores little-endian integers by copying them");

template <typename T>
concept UnsignedInteger = std::is_unsigned_v<T>;

// Reads an integer from `from`, which has sizeof(T) bytes.
template <UnsignedInteger T>
T LoadLe(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

// Writes an integer to `to`, which has room for sizeof(T) bytes.
template <UnsignedInteger T>
void StoreLe(char* to, T value) {
  std::memcpy(to, &value, sizeof(T));
}

template <UnsignedInteger T>
void AppendLe(std::string* out, T value) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(T));
}

// Whether all bytes are zero; also of none.
inline bool IsZero(std::string_view bytes) {
  return bytes.empty() ||
         (bytes.front() == '\0' &&
          std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

// Rounds up to a multiple of `alignment`, a power of two.
constexpr uint64_t AlignUp(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}

// Rounds down to a multiple of `alignment`, a power of two.
constexpr uint64_t AlignDown(uint64_t value, uint64_t alignment) {
  return value & ~(alignment - 1);
}

}  // namespace kvd
