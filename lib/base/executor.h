// SPDX-License-Identifier: MIT
//
// Where slow work runs: a thread in the daemon, by hand in tests, which then
// decide when and in which order jobs of different executors finish.
#pragma once

#include <functional>
#include <thread>

#include "base/mailbox.h"

namespace kvd {

// Asks the loop to look at its mailboxes. Thread: any; may be called more often
// than needed.
using Wake = std::function<void()>;

using Job = std::function<void()>;

class Executor {
 public:
  virtual ~Executor() = default;
  // Runs `job` later, after all jobs posted before it.
  virtual void Post(Job job) = 0;
};

// One thread that runs jobs in order. The destructor runs what was posted and
// joins.
class ThreadExecutor final : public Executor {
 public:
  // `name` is the thread's name in ps and gdb; at most 15 characters.
  explicit ThreadExecutor(const char* name);
  ~ThreadExecutor() override;
  void Post(Job job) override;

 private:
  Mailbox<Job> jobs_;
  std::thread thread_;
};

}  // namespace kvd
