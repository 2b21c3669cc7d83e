// SPDX-License-Identifier: MIT
#include "log/write/gathering.h"

#include <algorithm>

namespace kvd {

void Gathering::Landed(int64_t now_ns, int64_t flush_ns, uint32_t landed,
                       uint32_t open) {
  landed_ns_ = now_ns;
  wait_ns_ = std::min(flush_ns, kWaitNsMax);
  // Alone, a writer has nobody to wait for.
  awaited_ = landed + open == 1 ? 0 : landed;
}

bool Gathering::Waits(int64_t now_ns, int64_t open_since_ns) const {
  return awaited_ > 0 &&
         now_ns - std::max(open_since_ns, landed_ns_) < wait_ns_;
}

}  // namespace kvd
