// SPDX-License-Identifier: MIT
#include "base/clock.h"

#include <ctime>

namespace kvd {

int64_t SystemClock::WallMs() const {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

int64_t SystemClock::MonotonicNs() const {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

}  // namespace kvd
