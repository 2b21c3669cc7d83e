// SPDX-License-Identifier: MIT
#include "etcd/choice.h"

namespace kvd::etcd {

std::optional<size_t> Choose(std::span<const Candidate> candidates,
                             size_t current) {
  std::optional<size_t> best;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const size_t at = (current + i) % candidates.size();
    if (!candidates[at].usable) continue;
    if (!best || candidates[at].blamed_ms < candidates[*best].blamed_ms) {
      best = at;
    }
  }
  return best;
}

}  // namespace kvd::etcd
