// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kvd {

// Which processor the loop does best to wait on for flushes, by how long they
// take. A disk with one queue for all processors interrupts one of them, and
// there the kernel ends the write, too: where the loop waits on it, it gives
// way at once; elsewhere a busy client stands in the way. The scheduler knows
// nothing of this. tests/bench/RESULTS.md has the figures.
//
// One processor is home: at first, the one on which it waited first. Every now
// and then another one is tried, and becomes home if flushes are clearly
// quicker there; rarely where trials keep losing, soon when flushes have become
// slower. Thread: loop.
class ProcessorChoice {
 public:
  // Flushes of which a mean is taken …
  static constexpr int kWindow = 48;
  // … after so many that a move may have disturbed.
  static constexpr int kSettling = 2;
  // So many windows lie before the first trial …
  static constexpr int kFirstTrialAfter = 2;
  // … and between two: after one that won, and at most.
  static constexpr int kTrialEveryMin = 8;
  static constexpr int kTrialEveryMax = 512;

  // `allowed`: the processors that the loop may run on. With fewer than two
  // there is no choice.
  explicit ProcessorChoice(std::vector<int> allowed);

  // Where the loop is to be held; -1 while that is not known, or is no matter.
  int processor() const { return here_; }
  // The loop has waited for a flush for `ns`, at last on `processor`.
  void Waited(int processor, int64_t ns);
  // It may not be held. Nothing is chosen any more.
  void GiveUp();

 private:
  void AtHome(int64_t mean_ns);
  void Tried(int64_t mean_ns);
  void GoTo(int processor);
  int NextToTry();

  std::vector<int> allowed_;
  int home_ = -1;
  int here_ = -1;    // Home, or the one that is tried.
  size_t next_ = 0;  // In allowed_.

  // The window that is being filled.
  int64_t sum_ns_ = 0;
  int flushes_ = 0;  // Those of settling included.

  int64_t home_ns_ = 0;     // The mean of the last window at home …
  int64_t decided_ns_ = 0;  // … and of the one after the last trial.
  int trial_every_ = kTrialEveryMin;
  int until_trial_ = kFirstTrialAfter;
};

}  // namespace kvd
