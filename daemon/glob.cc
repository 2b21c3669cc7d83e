// SPDX-License-Identifier: MIT
#include "daemon/glob.h"

#include <cstddef>
#include <utility>

namespace kvd {
namespace {

unsigned char Fold(char c, bool ignore_case) {
  const auto byte = static_cast<unsigned char>(c);
  return ignore_case && byte >= 'A' && byte <= 'Z'
             ? static_cast<unsigned char>(byte - 'A' + 'a')
             : byte;
}

// Matches one byte against the class that begins behind `[` at pattern[*at];
// moves *at behind it. A class without an end ends with the pattern.
bool ClassMatches(std::string_view pattern, size_t* at, char c,
                  bool ignore_case) {
  size_t i = *at;
  const bool negated = i < pattern.size() && pattern[i] == '^';
  if (negated) ++i;
  const unsigned char byte = Fold(c, ignore_case);
  bool matches = false;
  for (; i < pattern.size() && pattern[i] != ']'; ++i) {
    if (pattern[i] == '\\' && i + 1 < pattern.size()) {
      ++i;
      matches |= Fold(pattern[i], ignore_case) == byte;
    } else if (i + 2 < pattern.size() && pattern[i + 1] == '-') {
      unsigned char low = Fold(pattern[i], ignore_case);
      unsigned char high = Fold(pattern[i + 2], ignore_case);
      if (low > high) std::swap(low, high);
      matches |= low <= byte && byte <= high;
      i += 2;
    } else {
      matches |= Fold(pattern[i], ignore_case) == byte;
    }
  }
  *at = i < pattern.size() ? i + 1 : i;
  return matches != negated;
}

// Matches one byte against the pattern's element at *at, not a star; moves *at
// behind the element.
bool ElementMatches(std::string_view pattern, size_t* at, char c,
                    bool ignore_case) {
  switch (pattern[*at]) {
    case '?':
      ++*at;
      return true;
    case '[':
      ++*at;
      return ClassMatches(pattern, at, c, ignore_case);
    case '\\':
      if (*at + 1 < pattern.size()) ++*at;
      break;
    default:
      break;
  }
  return Fold(pattern[(*at)++], ignore_case) == Fold(c, ignore_case);
}

}  // namespace

bool GlobMatches(std::string_view pattern, std::string_view text,
                 bool ignore_case) {
  // Only the last star need ever be reconsidered: whatever an earlier one could
  // take more of, the last one can take as well. So there is no recursion.
  constexpr size_t kNoStar = static_cast<size_t>(-1);
  size_t at = 0;
  size_t position = 0;
  size_t after_star = kNoStar;
  size_t star_position = 0;
  while (position < text.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      after_star = ++at;
      star_position = position;
      continue;
    }
    if (at < pattern.size() &&
        ElementMatches(pattern, &at, text[position], ignore_case)) {
      ++position;
      continue;
    }
    if (after_star == kNoStar) return false;
    at = after_star;
    position = ++star_position;
  }
  while (at < pattern.size() && pattern[at] == '*') ++at;
  return at == pattern.size();
}

}  // namespace kvd
