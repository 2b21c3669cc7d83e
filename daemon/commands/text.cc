// SPDX-License-Identifier: MIT
#include "daemon/commands/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace kvd {
namespace {

// A long double in plain decimal notation has 4,933 digits before the point.
constexpr size_t kFloatBytesMax = 5 * 1024;

template <typename T>
std::optional<T> ParseWhole(std::string_view text) {
  T value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end) return std::nullopt;
  const size_t first_digit = text[0] == '-' ? 1 : 0;
  if (text[first_digit] == '0' && text.size() > 1) return std::nullopt;
  return value;
}

}  // namespace

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

std::string Escaped(std::string_view text) {
  constexpr std::string_view kSpecial = "\\\"\n\r\t\a\b";
  constexpr std::string_view kLetters = "\\\"nrtab";
  std::string escaped = "\"";
  for (const char c : text) {
    const size_t special = kSpecial.find(c);
    if (special != kSpecial.npos) {
      escaped += '\\';
      escaped += kLetters[special];
    } else if (c >= ' ' && c <= '~') {
      escaped += c;
    } else {
      constexpr char kDigits[] = "0123456789abcdef";
      const auto byte = static_cast<unsigned char>(c);
      escaped += "\\x";
      escaped += kDigits[byte >> 4];
      escaped += kDigits[byte & 15];
    }
  }
  return escaped + '"';
}

std::optional<int64_t> ParseInteger(std::string_view text) {
  return ParseWhole<int64_t>(text);
}

std::optional<uint64_t> ParseUnsigned(std::string_view text) {
  return ParseWhole<uint64_t>(text);
}

std::optional<long double> ParseFloat(std::string_view text) {
  if (text.empty() || text.size() >= kFloatBytesMax ||
      std::isspace(static_cast<unsigned char>(text[0]))) {
    return std::nullopt;
  }
  const std::string copy(text);
  char* end = nullptr;
  errno = 0;
  const long double value = std::strtold(copy.c_str(), &end);
  if (end != copy.c_str() + copy.size() || std::isnan(value)) {
    return std::nullopt;
  }
  // Too large or too small; of those that only lose digits there is a value.
  if (errno == ERANGE && (std::isinf(value) || value == 0)) return std::nullopt;
  return value;
}

std::string FormatFloat(long double value) {
  char digits[kFloatBytesMax];
  const int size = std::snprintf(digits, sizeof(digits), "%.17Lf", value);
  std::string text(digits, static_cast<size_t>(size));
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  if (text == "-0") text = "0";
  return text;
}

std::string HumanBytes(uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"B", "K", "M", "G", "T"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  if (unit == 0) return fmt::format("{}B", bytes);
  return fmt::format("{:.2f}{}", value, kUnits[unit]);
}

}  // namespace kvd
