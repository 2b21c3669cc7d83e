// SPDX-License-Identifier: MIT
//
// A random store that deletes, flushes, swaps and compacts; random damage to
// its directory; and what salvage makes of it, compared with what the store
// held. All out of one seed, so that a failure can be replayed.
#pragma once

#include <cstdint>
#include <string>

namespace kvd {

struct DamageFigures {
  uint64_t keys = 0;       // Of all stores.
  uint64_t intact = 0;     // Whose newest record was left intact.
  uint64_t salvaged = 0;   // Without the uncertain ones.
  uint64_t uncertain = 0;  // Named as such.
};

// Returns what is wrong, or "".
std::string RunDamage(uint64_t seed, DamageFigures* figures);

}  // namespace kvd
