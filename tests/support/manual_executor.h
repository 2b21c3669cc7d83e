// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <deque>

#include "base/executor.h"

namespace kvd {

// Runs jobs when the test says so, on the test's thread. What was not run by
// the end is dropped, as by a crash. Thread: one.
class ManualExecutor final : public Executor {
 public:
  // With `auto_run` a job runs inside Post(), unless another one is running;
  // then it runs right after that one.
  explicit ManualExecutor(bool auto_run = false) : auto_run_(auto_run) {}

  void Post(Job job) override;

  void set_auto_run(bool auto_run) { auto_run_ = auto_run; }
  size_t pending() const { return jobs_.size(); }
  // Runs the oldest job; false when there is none.
  bool RunOne();
  // The same with the newest, for jobs that may run in any order.
  bool RunNewest();
  // Runs jobs, also those that they post, until none is left; returns how many.
  size_t RunAll();

 private:
  void Run(const Job& job);

  std::deque<Job> jobs_;
  bool auto_run_;
  bool running_ = false;
};

}  // namespace kvd
