// SPDX-License-Identifier: MIT
#include "log/write/gathering.h"

#include <algorithm>

namespace kvd {
namespace {

// What one flush counts for in the mean.
constexpr double kWeight = 1.0 / 16;
// Longer is too long, no matter how much; so it is at first.
constexpr double kPartMax = 2;

}  // namespace

void Gathering::Landed(int64_t now_ns, int64_t flush_ns, uint32_t landed,
                       uint32_t open) {
  if (awaited_ > 0) Add(kPartMax);
  landed_ns_ = now_ns;
  flush_ns_ = flush_ns;
  awaited_ = landed;
  // Alone, a writer has nobody to wait for.
  if (landed + open == 1) awaited_ = 0;
}

void Gathering::LastCame(int64_t now_ns) {
  const auto took_ns = static_cast<double>(now_ns - landed_ns_);
  Add(took_ns / static_cast<double>(std::max<int64_t>(flush_ns_, 1)));
}

bool Gathering::Waits(int64_t now_ns, int64_t open_since_ns) const {
  return awaited_ > 0 &&
         now_ns - std::max(open_since_ns, landed_ns_) < LimitNs();
}

int64_t Gathering::LimitNs() const {
  return part_ < 1 ? std::min(flush_ns_, kWaitNsMax)
                   : std::min(flush_ns_ / 2, kMomentNs);
}

void Gathering::Add(double part) {
  part_ += (std::min(part, kPartMax) - part_) * kWeight;
}

}  // namespace kvd
