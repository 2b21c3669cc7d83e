// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace kvd {

// Which processor the loop does best to wait on for flushes, by how long they
// take. A disk with one queue for all processors interrupts one of them, and
// there the kernel ends the write, too: where the loop waits on it, it gives
// way at once; elsewhere a busy client stands in the way. The scheduler knows
// nothing of this. lib/README.md has the measurements.
//
// One processor is home. Every now and then another one is tried, and becomes
// home if flushes are clearly quicker there; rarely where trials keep losing,
// soon when flushes have become slower. Where the scheduler moves the loop
// away, it may stay if that does no harm. Nothing is pinned: the owner only
// moves the loop. Thread: loop.
class ProcessorChoice {
 public:
  // Flushes of which a mean is taken …
  static constexpr int kWindow = 48;
  // … after so many that a move may have disturbed.
  static constexpr int kSettling = 2;
  // So many windows lie between two trials: at first, and at most.
  static constexpr int kTrialEveryMin = 8;
  static constexpr int kTrialEveryMax = 512;

  // `allowed`: the processors that the loop may run on. With fewer than two
  // there is no choice.
  explicit ProcessorChoice(std::vector<int> allowed);

  // The loop has waited for a flush for `ns`, at last on `processor`. Returns
  // the processor to go on with, if it is another one.
  std::optional<int> Waited(int processor, int64_t ns);

 private:
  std::optional<int> AtHome(int64_t mean_ns);
  std::optional<int> Elsewhere(int64_t mean_ns);
  int NextToTry();

  const std::vector<int> allowed_;
  int home_ = -1;
  int here_ = -1;
  bool trying_ = false;
  size_t next_ = 0;  // In allowed_.

  // The window that is being filled.
  int64_t sum_ns_ = 0;
  int flushes_ = 0;  // Those of settling included.

  int64_t home_ns_ = 0;     // The mean of the last window at home …
  int64_t decided_ns_ = 0;  // … and of the one after the last trial.
  int trial_every_ = kTrialEveryMin;
  int until_trial_ = kTrialEveryMin;
};

}  // namespace kvd
