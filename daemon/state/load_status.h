// SPDX-License-Identifier: MIT
//
// How far the opening of the store is, for whoever asks meanwhile.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "store/store.h"

namespace kvd {

// Thread: loop.
struct LoadStatus {
  int64_t started_ms = 0;       // Monotonic.
  int64_t started_wall_ms = 0;  // Since the epoch.
  LoadProgress progress = {};

  // 0 … 100; 0 while it is not known how much there is to load.
  double PercentDone() const;
  // Nothing before the first part is loaded.
  std::optional<int64_t> SecondsLeft(int64_t now_ms) const;
  // "42% done, about 8 s left".
  std::string Text(int64_t now_ms) const;
};

}  // namespace kvd
