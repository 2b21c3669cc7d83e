// SPDX-License-Identifier: MIT
//
// What the scrub is told and what it tells.
#pragma once

#include <cstdint>

namespace kvd {

struct ScrubOptions {
  int64_t interval_ms = 24 * 3600 * 1000;  // Between two rounds; 0 for never.
  uint64_t rate_bytes_per_s = 8 << 20;     // 0: no limit.

  bool operator==(const ScrubOptions&) const = default;
};

struct ScrubStatus {
  bool running = false;
  uint64_t rounds = 0;        // Ended ones.
  uint64_t bytes_done = 0;    // Of this round or the last one …
  uint64_t bytes_all = 0;     // … out of so many.
  int64_t last_ended_ms = 0;  // Wall clock; 0 for never.
  uint64_t errors = 0;        // Segments that it found damaged.
};

}  // namespace kvd
