// SPDX-License-Identifier: MIT
//
// The longest common subsequence of two strings. Of several of the same length
// it is the one that Redis finds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace kvd {

// Bytes in a row that both strings have in the subsequence.
struct CommonRun {
  size_t in_a;  // Where it begins in either.
  size_t in_b;
  size_t size;
};

// What the functions below cost: so many steps, each for 64 pairs of bytes. A
// million take LcsSize() about two milliseconds, and LcsRuns() eight.
uint64_t LcsSteps(size_t a_size, size_t b_size);

size_t LcsSize(std::string_view a, std::string_view b);

// All of it, the last run first, in 8 bytes of memory a step.
std::vector<CommonRun> LcsRuns(std::string_view a, std::string_view b);

}  // namespace kvd
