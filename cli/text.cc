// SPDX-License-Identifier: MIT
#include "cli/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>

namespace kvctl {
namespace {

// The size of the well-formed character that `bytes` begins with, or 0. The
// bounds of the second byte keep out overlong forms, surrogates and what is
// beyond U+10FFFF (Unicode 15, table 3-7).
size_t CharacterBytes(std::string_view bytes) {
  const auto at = [&](size_t i) {
    return static_cast<unsigned char>(i < bytes.size() ? bytes[i] : 0);
  };
  const unsigned char lead = at(0);
  if (lead < 0x80) return bytes.empty() ? 0 : 1;
  const size_t size = lead < 0xc2   ? 0
                      : lead < 0xe0 ? 2
                      : lead < 0xf0 ? 3
                      : lead < 0xf5 ? 4
                                    : 0;
  if (size == 0) return 0;
  const unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (at(1) < low || at(1) > high) return 0;
  for (size_t i = 2; i < size; ++i) {
    if (at(i) < 0x80 || at(i) > 0xbf) return 0;
  }
  return size;
}

// U+0080 to U+009F: terminals take them for control sequences.
bool IsC1Control(std::string_view character) {
  return character.size() == 2 && character[0] == '\xc2' &&
         static_cast<unsigned char>(character[1]) < 0xa0;
}

void AppendEscaped(std::string* out, char c) {
  switch (c) {
    case '\n':
      out->append("\\n");
      break;
    case '\r':
      out->append("\\r");
      break;
    case '\t':
      out->append("\\t");
      break;
    case '\\':
      out->append("\\\\");
      break;
    default:
      fmt::format_to(std::back_inserter(*out), "\\x{:02x}",
                     static_cast<unsigned char>(c));
  }
}

}  // namespace

bool IsUtf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t size = CharacterBytes(bytes);
    if (size == 0) return false;
    bytes.remove_prefix(size);
  }
  return true;
}

std::string Escape(std::string_view bytes, bool keep_lines) {
  std::string out;
  while (!bytes.empty()) {
    const size_t size = CharacterBytes(bytes);
    const char c = bytes[0];
    const bool kept_line = keep_lines && (c == '\n' || c == '\t');
    const bool control = size == 1 && (c < ' ' || c == 0x7f);
    const bool backslash = c == '\\' && !keep_lines;
    if (size == 0 || backslash || (control && !kept_line)) {
      AppendEscaped(&out, c);
      bytes.remove_prefix(1);
      continue;
    }
    const std::string_view character = bytes.substr(0, size);
    if (IsC1Control(character)) {
      for (const char part : character) AppendEscaped(&out, part);
    } else {
      out.append(character);
    }
    bytes.remove_prefix(size);
  }
  return out;
}

std::string Quote(std::string_view bytes) {
  std::string out = "\"";
  for (const char c : Escape(bytes)) {
    if (c == '"') out.push_back('\\');
    out.push_back(c);
  }
  out.push_back('"');
  return out;
}

std::string Hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out.push_back(kDigits[byte >> 4]);
    out.push_back(kDigits[byte & 15]);
  }
  return out;
}

std::string Grouped(int64_t number) {
  const std::string digits = std::to_string(number);
  std::string grouped;
  for (size_t i = 0; i < digits.size(); ++i) {
    const bool starts_group = (digits.size() - i) % 3 == 0;
    if (starts_group && i > 0 && digits[i - 1] != '-') grouped.push_back(',');
    grouped.push_back(digits[i]);
  }
  return grouped;
}

std::string HumanBytes(int64_t bytes) {
  constexpr std::array<const char*, 6> kUnits = {"KiB", "MiB", "GiB",
                                                 "TiB", "PiB", "EiB"};
  // Below this one decimal digit is shown.
  constexpr double kExactBelow = 10;
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double amount = static_cast<double>(bytes);
  size_t unit = 0;
  amount /= 1024;
  // 1023.5 would be printed as 1024.
  while (amount >= 1023.5 && unit + 1 < kUnits.size()) {
    amount /= 1024;
    ++unit;
  }
  return amount < kExactBelow ? fmt::format("{:.1f} {}", amount, kUnits[unit])
                              : fmt::format("{:.0f} {}", amount, kUnits[unit]);
}

std::string PrefixPattern(std::string_view prefix) {
  std::string pattern;
  for (const char c : prefix) {
    if (std::string_view("*?[]\\^-").find(c) != std::string_view::npos) {
      pattern.push_back('\\');
    }
    pattern.push_back(c);
  }
  pattern.push_back('*');
  return pattern;
}

}  // namespace kvctl
