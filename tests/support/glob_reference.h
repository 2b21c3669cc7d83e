// SPDX-License-Identifier: MIT
//
// What glob patterns mean, in the plainest way: the pattern is read anew at
// each place, and the last star takes a byte more when the rest does not fit.
// To compare odd patterns with.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace kvd {

class GlobReference {
 public:
  GlobReference(std::string_view pattern, bool ignore_case)
      : pattern_(pattern), ignore_case_(ignore_case) {}

  bool Matches(std::string_view text) const {
    constexpr size_t kNone = std::string_view::npos;
    size_t at = 0;
    size_t place = 0;
    size_t after_star = kNone;
    size_t star_place = 0;
    while (place < text.size()) {
      if (at < pattern_.size() && pattern_[at] == '*') {
        after_star = ++at;
        star_place = place;
      } else if (at < pattern_.size() && One(&at, Byte(text[place]))) {
        ++place;
      } else if (after_star == kNone) {
        return false;
      } else {
        at = after_star;
        place = ++star_place;
      }
    }
    while (at < pattern_.size() && pattern_[at] == '*') ++at;
    return at == pattern_.size();
  }

 private:
  unsigned Byte(char c) const {
    const auto byte = static_cast<unsigned char>(c);
    return ignore_case_ && byte >= 'A' && byte <= 'Z' ? byte + 32u : byte;
  }

  bool One(size_t* at, unsigned byte) const {
    const char c = pattern_[(*at)++];
    if (c == '?') return true;
    if (c == '[') return InClass(at, byte);
    const bool escapes = c == '\\' && *at < pattern_.size();
    return Byte(escapes ? pattern_[(*at)++] : c) == byte;
  }

  bool InClass(size_t* at, unsigned byte) const {
    const std::string_view rest = pattern_.substr(*at);
    const bool negated = rest.starts_with('^');
    bool in = false;
    size_t i = negated ? 1 : 0;
    for (; i < rest.size() && rest[i] != ']'; ++i) {
      if (rest[i] == '\\' && i + 1 < rest.size()) {
        in |= Byte(rest[++i]) == byte;
      } else if (i + 2 < rest.size() && rest[i + 1] == '-') {
        const unsigned one = Byte(rest[i]);
        const unsigned other = Byte(rest[i += 2]);
        in |= std::min(one, other) <= byte && byte <= std::max(one, other);
      } else {
        in |= Byte(rest[i]) == byte;
      }
    }
    *at += std::min(i + 1, rest.size());
    return in != negated;
  }

  std::string_view pattern_;
  bool ignore_case_;
};

}  // namespace kvd
