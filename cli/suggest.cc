// SPDX-License-Identifier: MIT
#include "cli/suggest.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace kvctl {
namespace {

constexpr size_t kSlipsMax = 2;

// The optimal string alignment distance.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> slips(a.size() + 1,
                                         std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) slips[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) slips[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = a[i - 1] == b[j - 1] ? 0 : 1;
      slips[i][j] = std::min({slips[i - 1][j] + 1, slips[i][j - 1] + 1,
                              slips[i - 1][j - 1] + changed});
      const bool swapped =
          i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) {
        slips[i][j] = std::min(slips[i][j], slips[i - 2][j - 2] + 1);
      }
    }
  }
  return slips[a.size()][b.size()];
}

}  // namespace

std::string_view Nearest(std::string_view word,
                         std::span<const std::string> candidates) {
  std::string_view best;
  size_t best_slips = kSlipsMax + 1;
  for (const std::string& candidate : candidates) {
    // Also keeps the table small when the word is a whole file.
    if (word.size() > candidate.size() + kSlipsMax) continue;
    const size_t slips = Distance(word, candidate);
    if (slips < best_slips && slips * 2 <= candidate.size()) {
      best = candidate;
      best_slips = slips;
    }
  }
  return best;
}

}  // namespace kvctl
