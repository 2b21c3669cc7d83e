// SPDX-License-Identifier: MIT
//
// How long replies were on their way inside kvd: from the turn that took the
// command up to the end of the turn that let its reply go. All replies of a
// turn share its two readings of the clock.
#pragma once

#include <cstdint>
#include <vector>

#include "daemon/state/command_stats.h"

namespace kvd {

// The statistics that it is given outlive it. Thread: loop.
class ReplyTimes {
 public:
  // A turn begins; what is taken up from now on began then.
  void BeginTurn(int64_t now_ns) { turn_began_ns_ = now_ns; }
  int64_t turn_began_ns() const { return turn_began_ns_; }

  // A reply to what began in this turn and goes out at its end.
  void Ready(CommandStats& stats) {
    if (run_.stats != &stats) BeginRun(stats);
    ++run_.replies;
  }
  // The same for what began earlier.
  void ReadyAfter(CommandStats& stats, int64_t began_ns) {
    ready_.push_back({&stats, began_ns, 0, 1});
  }
  // A reply that waits for change `seq`.
  void Withheld(CommandStats& stats, int64_t began_ns, uint64_t seq);
  // Replies that wait for nothing newer go out at the end of this turn.
  void Release(uint64_t durable_seq);

  // Whether EndTurn() has anything to enter, and so needs the time.
  bool HasReady() const { return run_.replies > 0 || !ready_.empty(); }
  void EndTurn(int64_t now_ns);

 private:
  // Consecutive replies that are alike.
  struct Batch {
    CommandStats* stats = nullptr;
    int64_t began_ns = 0;
    uint64_t seq = 0;  // The newest of them.
    uint64_t replies = 0;
  };

  void BeginRun(CommandStats& stats);

  int64_t turn_began_ns_ = 0;
  Batch run_;  // Of this turn, not in ready_ yet.
  std::vector<Batch> ready_;
  std::vector<Batch> withheld_;
};

}  // namespace kvd
