// SPDX-License-Identifier: MIT
//
// The libuv loop with the two rules that all of kvd's handles live by: whoever
// makes a handle closes it, and at the end nothing is left.
#pragma once

#include <uv.h>

#include <functional>

#include "base/error.h"
#include "base/event_fd.h"
#include "daemon/loop/uv_ptr.h"

namespace kvd {

// Thread: the loop's.
class EventLoop {
 public:
  EventLoop();
  // Lets closed handles finish; fails the process if one is still open.
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  uv_loop_t* get() { return &loop_; }
  // Runs until Stop().
  void Run();
  void Stop() { uv_stop(&loop_); }
  // The loop's cached monotonic time.
  int64_t now_ms() const { return static_cast<int64_t>(uv_now(&loop_)); }

 private:
  uv_loop_t loop_;
};

// A timer that calls `on_time` on the loop.
class Timer {
 public:
  Timer(EventLoop& loop, std::function<void()> on_time);

  // Replaces what was set before. `repeat_ms` 0: once.
  void Start(int64_t delay_ms, int64_t repeat_ms = 0);
  void Stop();
  bool active() const;
  // Milliseconds until it fires; only when active.
  int64_t due_in_ms() const;

 private:
  std::function<void()> on_time_;
  UvPtr<uv_timer_t> handle_;
};

// How other threads, and the kernel, call the loop.
class LoopWaker {
 public:
  explicit LoopWaker(EventLoop& loop);

  // Makes the loop call what OnWake() was given, soon; several calls may become
  // one. Thread: any, until destruction.
  void Wake() { event_.Signal(); }
  kvd::Wake wake() { return event_.wake(); }
  void OnWake(std::function<void()> on_wake) { on_wake_ = std::move(on_wake); }

 private:
  std::function<void()> on_wake_ = [] {};
  EventFd event_;
  UvPtr<uv_poll_t> handle_;
};

}  // namespace kvd
