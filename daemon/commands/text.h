// SPDX-License-Identifier: MIT
//
// Words of commands: in any case, and as numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kvd {

inline char ToUpper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

// Whether `word` is `upper`, an upper-case text, in any case.
inline bool IsWord(std::string_view word, std::string_view upper) {
  if (word.size() != upper.size()) return false;
  for (size_t i = 0; i < word.size(); ++i) {
    if (ToUpper(word[i]) != upper[i]) return false;
  }
  return true;
}

// Whether two words are the same in any case.
inline bool SameWord(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (ToUpper(a[i]) != ToUpper(b[i])) return false;
  }
  return true;
}

std::string LowerCase(std::string_view text);

// As much of a client's word as an error reply or the log repeats. Source:
// Redis.
inline constexpr size_t kQuotedBytesMax = 128;
inline std::string_view Quoted(std::string_view word) {
  return word.substr(0, kQuotedBytesMax);
}

// In quotes, with what does not print as C writes it. Source: sdscatrepr() of
// Redis.
std::string Escaped(std::string_view text);

// A number written the one way that it prints: no sign +, no spaces, no leading
// zeros. Source: string2ll() of Redis.
std::optional<int64_t> ParseInteger(std::string_view text);
// The same without a sign, up to 64 bits.
std::optional<uint64_t> ParseUnsigned(std::string_view text);
// All of `text` as strtold() reads it, without blanks before it: "inf" and hex
// digits are numbers. Not "nan", and nothing that a long double cannot hold.
// Source: string2ld() of Redis.
std::optional<long double> ParseFloat(std::string_view text);
// Without exponent and trailing zeros, 17 digits after the point at most.
std::string FormatFloat(long double value);

// "512B", "1.50M". Source: bytesToHuman() of Redis.
std::string HumanBytes(uint64_t bytes);

}  // namespace kvd
