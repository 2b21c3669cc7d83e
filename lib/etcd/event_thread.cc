// SPDX-License-Identifier: MIT
#include "etcd/event_thread.h"

#include <grpc/support/log.h>

#include <algorithm>
#include <cstdlib>

namespace kvd::etcd {
namespace {

// gRPC writes of each failed connection to stderr, which is the daemon's log.
// What matters is in the errors that it returns.
void SilenceLibrary() {
  if (std::getenv("GRPC_VERBOSITY") != nullptr) return;
  gpr_set_log_function([](gpr_log_func_args*) {});
}

constexpr int64_t kIdleMs = 60'000;

}  // namespace

gpr_timespec DeadlineAfter(int64_t ms) {
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_millis(ms, GPR_TIMESPAN));
}

EventThread::EventThread() : thread_("kvd-etcd") {
  SilenceLibrary();
  thread_.Post([this] { Run(); });
}

EventThread::~EventThread() {
  Post([this] { stopping_ = true; });
}

void EventThread::Post(Job job) {
  posted_.Put(std::move(job));
  if (woken_.exchange(true)) return;
  alarm_.Set(&queue_, gpr_inf_past(GPR_CLOCK_MONOTONIC), this);
}

void* EventThread::Tag(Completion* completion) {
  ++operations_;
  return completion;
}

EventThread::TimerId EventThread::After(int64_t ms, Job job) {
  const TimerId timer(NowMs() + ms, ++timers_made_);
  timers_.emplace(timer, std::move(job));
  return timer;
}

void EventThread::Run() {
  while (true) {
    const int64_t wait_ms =
        timers_.empty()
            ? kIdleMs
            : std::max<int64_t>(0, timers_.begin()->first.first - NowMs());
    void* tag = nullptr;
    bool ok = false;
    const auto status = queue_.AsyncNext(&tag, &ok, DeadlineAfter(wait_ms));
    if (status == grpc::CompletionQueue::SHUTDOWN) return;
    if (status == grpc::CompletionQueue::GOT_EVENT) {
      if (tag == this) {
        RunPosted();
      } else {
        --operations_;
        static_cast<Completion*>(tag)->Complete(ok);
      }
    }
    RunTimers();
    if (stopping_ && !shut_ && operations_ == 0) {
      shut_ = true;
      queue_.Shutdown();
    }
  }
}

void EventThread::RunPosted() {
  // First: what is posted from now on sets the alarm again.
  woken_ = false;
  for (Job& job : posted_.TakeAll()) job();
}

void EventThread::RunTimers() {
  if (stopping_) timers_.clear();
  const int64_t now = NowMs();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    const Job job = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    job();
  }
}

}  // namespace kvd::etcd
