// SPDX-License-Identifier: MIT
#include "daemon/host/processors.h"

#include <sched.h>

#include <algorithm>
#include <utility>

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

bool AllowProcessors(std::span<const int> processors) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int processor : processors) CPU_SET(processor, &set);
  return sched_setaffinity(0, sizeof set, &set) == 0;
}

bool ProcessorHold::Hold(int processor) {
  std::vector<int> allowed = AllowedProcessors();
  if (allowed != std::vector<int>{processor_}) before_ = std::move(allowed);
  if (std::ranges::find(before_, processor) == before_.end()) return false;
  if (!AllowProcessors(std::span(&processor, 1))) return false;
  processor_ = processor;
  return true;
}

void ProcessorHold::Release() {
  if (processor_ < 0) return;
  const std::vector<int> held = {std::exchange(processor_, -1)};
  if (AllowedProcessors() == held) (void)AllowProcessors(before_);
}

}  // namespace kvd
