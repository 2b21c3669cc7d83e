// SPDX-License-Identifier: MIT
//
// Whether values are read past the kernel's page cache.
//
// The page cache is the memory that nobody else wants, a second cache behind
// that of values. Where it has what is asked for, a read is done at once. Where
// values are many times as much as memory, it hardly ever has, and filling it
// makes a read of 4 KiB twice as dear. So reads that find nothing there for a
// while go past it, but for one run of them in so many, which tells whether it
// has become worth it again: it fills up by them, just more slowly.
#pragma once

#include <cstddef>

namespace kvd {

// Thread: loop.
class CacheBypass {
 public:
  // Reads through the cache after which it is judged …
  static constexpr size_t kTrial = 1024;
  // … and the part of them that it has to answer at least.
  static constexpr size_t kWorthPart = 8;
  // Reads past it until the next trial.
  static constexpr size_t kPast = 7 * kTrial;

  // Whether the next read goes past the cache.
  bool past() const { return past_left_ > 0; }

  // One went through it, and it had the value or not.
  void WentThrough(bool had) {
    hits_ += had ? 1 : 0;
    if (++tries_ < kTrial) return;
    if (hits_ < kTrial / kWorthPart) past_left_ = kPast;
    tries_ = hits_ = 0;
  }
  void WentPast() {
    if (past_left_ > 0) --past_left_;
  }

 private:
  size_t tries_ = 0;
  size_t hits_ = 0;
  size_t past_left_ = 0;
};

}  // namespace kvd
