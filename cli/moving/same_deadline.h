// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <cstdlib>
#include <optional>

namespace kvctl {

// What a deadline that was computed from PTTL may be off by.
inline constexpr int64_t kDeadlineSlackMs = 2000;

// Whether two deadlines are the same. Not `exact`: one of them was computed
// from a time to live.
inline bool SameDeadline(std::optional<int64_t> a, std::optional<int64_t> b,
                         bool exact) {
  if (!a || !b) return a == b;
  return *a == *b || (!exact && std::abs(*a - *b) <= kDeadlineSlackMs);
}

}  // namespace kvctl
