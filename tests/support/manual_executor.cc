// SPDX-License-Identifier: MIT
#include "tests/support/manual_executor.h"

#include <utility>

namespace kvd {

void ManualExecutor::Post(Job job) {
  jobs_.push_back(std::move(job));
  if (auto_run_ && !running_) RunAll();
}

bool ManualExecutor::RunOne() {
  if (jobs_.empty()) return false;
  const Job job = std::move(jobs_.front());
  jobs_.pop_front();
  Run(job);
  return true;
}

bool ManualExecutor::RunNewest() {
  if (jobs_.empty()) return false;
  const Job job = std::move(jobs_.back());
  jobs_.pop_back();
  Run(job);
  return true;
}

void ManualExecutor::Run(const Job& job) {
  const bool was_running = std::exchange(running_, true);
  job();
  running_ = was_running;
}

size_t ManualExecutor::RunAll() {
  size_t count = 0;
  while (RunOne()) ++count;
  return count;
}

}  // namespace kvd
