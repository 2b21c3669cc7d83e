// SPDX-License-Identifier: MIT
//
// The decimal number and line end after a RESP type byte: the innermost loop of
// both parsers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

namespace kvd {

enum class NumberLineOutcome { kNumber, kNeedMore, kInvalid };

struct NumberLine {
  NumberLineOutcome outcome;
  int64_t number;
  size_t bytes;  // Looked at; with kNumber the line with its end.
};

// The longest line: the lowest number and CR LF.
inline constexpr size_t kNumberLineBytesMax = 22;

// Reads a line from the start of `rest`. Strict: no sign but one '-', no
// leading zero, no space, CR LF at the end. Bytes that cannot become a number
// are refused at once, so at most kNumberLineBytesMax bytes are ever read
// again.
inline NumberLine ReadNumberLine(std::string_view rest) {
  using enum NumberLineOutcome;
  // Negative numbers reach one further, so digits count downwards.
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  const size_t size = rest.size();
  size_t at = 0;
  const bool negative = size > 0 && rest[0] == '-';
  if (negative) at = 1;
  const size_t first_digit = at;
  int64_t number = 0;
  for (; at < size; ++at) {
    const unsigned digit = static_cast<unsigned char>(rest[at]) - '0';
    if (digit > 9) break;
    const bool leading_zero = number == 0 && at > first_digit;
    if (leading_zero || number < kMin / 10 ||
        number * 10 < kMin + static_cast<int64_t>(digit)) {
      return {kInvalid, 0, at};
    }
    number = number * 10 - static_cast<int64_t>(digit);
  }
  const bool no_value = at == first_digit || (negative && number == 0) ||
                        (!negative && number == kMin);
  if (at == size) {
    const bool hopeless = no_value && at > first_digit;
    return {hopeless ? kInvalid : kNeedMore, 0, at};
  }
  if (no_value || rest[at] != '\r') return {kInvalid, 0, at};
  if (at + 1 == size) return {kNeedMore, 0, at};
  if (rest[at + 1] != '\n') return {kInvalid, 0, at};
  return {kNumber, negative ? number : -number, at + 2};
}

}  // namespace kvd
