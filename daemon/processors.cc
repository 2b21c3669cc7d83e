// SPDX-License-Identifier: MIT
#include "daemon/processors.h"

#include <sched.h>

namespace kvd {

std::vector<int> AllowedProcessors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return {};
  std::vector<int> allowed;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &set)) allowed.push_back(i);
  }
  return allowed;
}

int CurrentProcessor() { return sched_getcpu(); }

bool MoveToProcessor(int processor) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return false;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(processor, &one);
  if (sched_setaffinity(0, sizeof one, &one) != 0) return false;
  (void)sched_setaffinity(0, sizeof allowed, &allowed);
  return true;
}

}  // namespace kvd
