// SPDX-License-Identifier: MIT
//
// How often each command was called and how long it took. Reading the clock for
// every call makes a pipelined GET take a quarter longer, so not every call is
// timed, and still every slow one is noticed:
//
//   - A call that came alone is timed: its system calls cost far more than the
//     clock.
//   - A call whose work its row and a few words do not bound is timed.
//   - A call that moved many bytes is charged the time since the clock was last
//     read: that of a few earlier calls, at the worst, is included.
//   - Of all others, brief calls in pipelines, one in kTimedEvery is timed and
//     stands for those that follow.
//
// A threshold of SLOWLOG below kAlwaysTimedBelowUs has all calls timed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>

#include "base/histogram.h"

namespace kvd {

// A prime: 16 would always sample the same position in pipelines of 16, and the
// first ones in a pipeline wait longer for memory.
inline constexpr uint64_t kTimedEvery = 31;
// Words up to which a command that handles one after the other is brief.
inline constexpr size_t kBriefWords = 4;
// Bytes of reply and log that take noticeable time.
inline constexpr size_t kManyBytes = 256 << 10;
inline constexpr int64_t kAlwaysTimedBelowUs = 1000;

struct CommandTimes {
  Histogram run_ns;    // In the handler, on the loop.
  Histogram reply_ns;  // From the turn that took the command up until its reply
                       // was let go, which for a write is after the flush.
};

// Of one row of the command table. Thread: loop.
class CommandStats {
 public:
  uint64_t calls = 0;
  uint64_t rejected = 0;  // Refused before they ran.
  uint64_t failed = 0;    // Ran and answered an error.

  // Whether a brief call is this row's turn to be timed.
  bool IsDue() const { return untimed_ >= untimed_max_; }
  // A call that took so long …
  void Timed(uint64_t ns) { times().run_ns.Add(ns); }
  // … or so long and stands for the untimed ones after it …
  void Sampled(uint64_t ns) {
    Settle();
    last_ns_ = ns;
    untimed_max_ = kTimedEvery - 1;
    Timed(ns);
  }
  // … or was not timed.
  void Untimed() { ++untimed_; }

  void Replied(uint64_t ns, uint64_t replies) {
    times().reply_ns.Add(ns, replies);
  }

  // Enters what is untimed as if it had taken as long as the last sample; now
  // run_ns.count() is calls.
  void Settle();
  // Null when nothing was ever timed. After Settle().
  const CommandTimes* known_times() const { return times_.get(); }

 private:
  CommandTimes& times() {
    if (times_ == nullptr) times_ = std::make_unique<CommandTimes>();
    return *times_;
  }

  uint64_t untimed_ = 0;
  uint64_t untimed_max_ = 0;  // The first call is due.
  uint64_t last_ns_ = 0;
  std::unique_ptr<CommandTimes> times_;
};

// The statistics of all rows of the command table. Thread: loop.
class AllCommandStats {
 public:
  // Made when it is asked for first. Stays where it is.
  CommandStats& Of(int row) {
    const auto index = static_cast<size_t>(row);
    while (index >= rows_.size()) rows_.emplace_back();
    return rows_[index];
  }
  void Reset() {
    for (CommandStats& stats : rows_) stats = CommandStats();
  }

 private:
  std::deque<CommandStats> rows_;
};

}  // namespace kvd
