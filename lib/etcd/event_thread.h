// SPDX-License-Identifier: MIT
//
// The one thread on which gRPC's calls begin and end. Its work is posted by the
// owner and answered through a mailbox, so that a loop which serves clients
// neither parses messages nor waits for a lock of gRPC.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/completion_queue.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

#include "base/clock.h"
#include "base/executor.h"
#include "base/mailbox.h"

namespace kvd::etcd {

// One operation that gRPC was asked for. It must live until this was called.
class Completion {
 public:
  virtual void Complete(bool ok) = 0;

 protected:
  ~Completion() = default;
};

class EventThread {
 public:
  // The time at which it is due, and a number.
  using TimerId = std::pair<int64_t, uint64_t>;

  EventThread();
  // Runs what was posted, drops all timers, waits for every operation to
  // complete, and joins. No operation without an end may be under way by then.
  ~EventThread();
  EventThread(const EventThread&) = delete;
  EventThread& operator=(const EventThread&) = delete;

  // Thread: any.
  void Post(Job job);

  // All others. Thread: this one.

  // The tag of an operation that begins now.
  void* Tag(Completion* completion);
  grpc::CompletionQueue* queue() { return &queue_; }

  int64_t NowMs() const { return clock_.MonotonicNs() / 1'000'000; }
  TimerId After(int64_t ms, Job job);
  // One that has run, or that was never set, is none.
  void Cancel(TimerId timer) { timers_.erase(timer); }

 private:
  void Run();
  void RunPosted();
  void RunTimers();

  SystemClock clock_;
  grpc::CompletionQueue queue_;
  Mailbox<Job> posted_;
  // Whether the alarm is set: then whoever posts need not set it again.
  std::atomic<bool> woken_ = false;
  grpc::Alarm alarm_;
  std::map<TimerId, Job> timers_;
  uint64_t timers_made_ = 0;
  size_t operations_ = 0;
  bool stopping_ = false;
  bool shut_ = false;
  ThreadExecutor thread_;  // The last: it uses the others.
};

// `ms` from now, for gRPC, which then does not look at the wall clock.
gpr_timespec DeadlineAfter(int64_t ms);

}  // namespace kvd::etcd
