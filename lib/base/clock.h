// SPDX-License-Identifier: MIT
//
// Time, so that tests can move it. The wall clock only decides that a deadline
// has passed; everything that measures or waits uses the monotonic one.
#pragma once

#include <cstdint>

namespace kvd {

class Clock {
 public:
  virtual ~Clock() = default;
  // Milliseconds since the epoch; may jump both ways.
  virtual int64_t WallMs() const = 0;
  // Nanoseconds since some start; never goes back.
  virtual int64_t MonotonicNs() const = 0;
  int64_t MonotonicUs() const { return MonotonicNs() / 1000; }
};

// The system's clocks. Thread: any.
class SystemClock final : public Clock {
 public:
  int64_t WallMs() const override;
  int64_t MonotonicNs() const override;
};

}  // namespace kvd
