// SPDX-License-Identifier: MIT
//
// Where slow work runs: on a thread in the daemon. Tests run jobs by hand and
// so decide when, and in which order, jobs of different executors finish.
#pragma once

#include <functional>
#include <thread>
#include <type_traits>
#include <utility>

#include "base/mailbox.h"

namespace kvd {

// Asks the loop to look at its mailboxes. Thread: any; may be called more often
// than needed.
class Wake {
 public:
  // `event_fd`: an eventfd; to signal it does the same as the call, so that the
  // kernel can wake the loop directly. It must outlive this. -1: there is none.
  template <typename Call>
  requires std::is_invocable_r_v<void, const Call&> Wake(Call call,
                                                         int event_fd = -1)
      : call_(std::move(call)), event_fd_(event_fd) {}

  void operator()() const { call_(); }
  int event_fd() const { return event_fd_; }

 private:
  std::function<void()> call_;
  int event_fd_;
};

using Job = std::function<void()>;

class Executor {
 public:
  virtual ~Executor() = default;
  // Runs `job` later, after all jobs posted before it.
  virtual void Post(Job job) = 0;
};

// One thread that runs jobs in order. The destructor runs all jobs posted so
// far, then joins.
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
