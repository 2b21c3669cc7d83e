// SPDX-License-Identifier: MIT
#include "daemon/state/command_stats.h"

#include <utility>

namespace kvd {

void CommandStats::Settle() {
  if (untimed_ > 0) times().run_ns.Add(last_ns_, std::exchange(untimed_, 0));
}

}  // namespace kvd
