// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.h"

namespace kvd {

// Time that stands still until a test moves it, or looks at it. Thread: any.
class ManualClock final : public Clock {
 public:
  // A day in November 2023, so that a deadline of a mere duration is long past.
  static constexpr int64_t kStartWallMs = 1'700'000'000'000;

  explicit ManualClock(int64_t wall_ms = kStartWallMs) : wall_ms_(wall_ms) {}

  int64_t WallMs() const override { return wall_ms_; }
  int64_t MonotonicNs() const override { return monotonic_ns_ += step_ns_; }

  // Lets time pass, on both clocks.
  void AdvanceMs(int64_t ms) {
    wall_ms_ += ms;
    monotonic_ns_ += ms * 1'000'000;
  }
  // Too little for the wall clock to show.
  void AdvanceNs(int64_t ns) { monotonic_ns_ += ns; }
  // What each look at the monotonic clock takes from now on, and so all that is
  // timed by two of them; 0 at first.
  void set_step_ns(int64_t ns) { step_ns_ = ns; }
  int64_t step_ns() const { return step_ns_; }
  // Somebody sets the wall clock; no time passes.
  void SetWallMs(int64_t wall_ms) { wall_ms_ = wall_ms; }

 private:
  std::atomic<int64_t> wall_ms_;
  mutable std::atomic<int64_t> monotonic_ns_ = 0;
  std::atomic<int64_t> step_ns_ = 0;
};

}  // namespace kvd
