// SPDX-License-Identifier: MIT
//
// One random life of a store after another: operations, faults, crashes, all
// out of one seed, so that a failure can be replayed.
#pragma once

#include <cstdint>
#include <string>

namespace kvd {

// Returns what is wrong, or "". The same seed does the same. Adds the lives to
// `*lives`.
std::string RunRandomly(uint64_t seed, uint64_t* lives);

}  // namespace kvd
