// SPDX-License-Identifier: MIT
#include "base/strings/base64.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace kvd {
namespace {

constexpr char kBase64Digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// The values of the digits, 64 for what is none.
constexpr std::array<uint8_t, 256> kBase64Values = [] {
  std::array<uint8_t, 256> values = {};
  values.fill(64);
  for (uint8_t i = 0; i < 64; ++i) {
    values[static_cast<unsigned char>(kBase64Digits[i])] = i;
  }
  return values;
}();

}  // namespace

std::string Base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      const size_t at = i + j;
      group = group << 8 |
              (at < bytes.size() ? static_cast<unsigned char>(bytes[at]) : 0u);
    }
    const size_t digits = std::min<size_t>(bytes.size() - i, 3) + 1;
    for (size_t j = 0; j < 4; ++j) {
      out.push_back(j < digits ? kBase64Digits[group >> (18 - 6 * j) & 63]
                               : '=');
    }
  }
  return out;
}

std::optional<std::string> FromBase64(std::string_view text) {
  if (text.size() % 4 != 0) return {};
  const size_t padding =
      text.ends_with("==") ? 2 : (text.ends_with('=') ? 1 : 0);
  const std::string_view digits = text.substr(0, text.size() - padding);
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  uint32_t group = 0;
  size_t bits = 0;
  for (const char c : digits) {
    const uint8_t value = kBase64Values[static_cast<unsigned char>(c)];
    if (value > 63) return {};
    group = group << 6 | value;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push_back(static_cast<char>(group >> bits & 255));
  }
  // Bits of the last digit that belong to no byte are zero: then there is one
  // text for each value.
  if ((group & ((1u << bits) - 1)) != 0) return {};
  return bytes;
}

}  // namespace kvd
