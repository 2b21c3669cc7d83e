// SPDX-License-Identifier: MIT
#include "daemon/loop/event_loop.h"

#include "base/check.h"

namespace kvd {

EventLoop::EventLoop() { KVD_CHECK(uv_loop_init(&loop_) == 0); }

EventLoop::~EventLoop() {
  // Close callbacks free their handles; one turn of the loop runs them all, and
  // may run callbacks of writes that the closing cancelled.
  while (uv_run(&loop_, UV_RUN_NOWAIT) != 0) {
  }
  KVD_CHECK(uv_loop_close(&loop_) == 0);
}

void EventLoop::Run() { uv_run(&loop_, UV_RUN_DEFAULT); }

Timer::Timer(EventLoop& loop, std::function<void()> on_time)
    : on_time_(std::move(on_time)) {
  auto* timer = new uv_timer_t;
  KVD_CHECK(uv_timer_init(loop.get(), timer) == 0);
  timer->data = this;
  handle_.reset(timer);
}

void Timer::Start(int64_t delay_ms, int64_t repeat_ms) {
  const auto on_time = [](uv_timer_t* timer) {
    if (timer->data != nullptr) static_cast<Timer*>(timer->data)->on_time_();
  };
  KVD_CHECK(uv_timer_start(handle_.get(), on_time,
                           static_cast<uint64_t>(delay_ms),
                           static_cast<uint64_t>(repeat_ms)) == 0);
}

void Timer::Stop() { uv_timer_stop(handle_.get()); }

bool Timer::active() const { return uv_is_active(AsHandle(handle_)) != 0; }

int64_t Timer::due_in_ms() const {
  return static_cast<int64_t>(uv_timer_get_due_in(handle_.get()));
}

LoopWaker::LoopWaker(EventLoop& loop) {
  const auto on_signal = [](uv_poll_t* poll, int, int) {
    if (poll->data == nullptr) return;
    auto* waker = static_cast<LoopWaker*>(poll->data);
    waker->event_.Clear();
    waker->on_wake_();
  };
  auto* poll = new uv_poll_t;
  KVD_CHECK(uv_poll_init(loop.get(), poll, event_.fd()) == 0);
  poll->data = this;
  handle_.reset(poll);
  KVD_CHECK(uv_poll_start(poll, UV_READABLE, on_signal) == 0);
}

}  // namespace kvd
