// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace kvd::etcd {

struct Candidate {
  bool usable = false;    // Connected, and not excluded by who asks.
  int64_t blamed_ms = 0;  // When it last failed, 0 once it has answered.
};

// The endpoint for the next request: the current one while nothing speaks
// against it, else the one after it whose failure is longest ago. Nothing if
// none is usable.
std::optional<size_t> Choose(std::span<const Candidate> candidates,
                             size_t current);

}  // namespace kvd::etcd
