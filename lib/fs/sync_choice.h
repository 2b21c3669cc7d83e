// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace kvd {

// How a write through io_uring becomes durable.
enum class SyncManner {
  // The write carries its sync (RWF_DSYNC). Least work, but on a disk that has
  // a volatile cache and no FUA, a worker of the kernel's ends the write: one
  // of each processor's, that waits for a tick where another program is busy.
  kWithWrite,
  // A sync is linked to the write. It runs in a worker of the process's own,
  // which the scheduler treats as any thread that has slept.
  kAfterWrite,
};

// Which of the two is quicker here and now, by what writes took: the first
// unless the second takes less than two thirds of its time. Every now and then
// it tries the one not chosen; rarely where that keeps losing, soon when writes
// have become slower, and no longer than it takes to see that it is slower.
class SyncChoice {
 public:
  // Means are taken over so many writes.
  static constexpr int kWindow = 16;
  // So many writes are made between two trials: at first, and at most.
  static constexpr int64_t kTrialEveryMin = 64;
  static constexpr int64_t kTrialEveryMax = 4096;

  // For the next write.
  SyncManner manner() const { return trying_ ? Other() : chosen_; }
  // What the write in that manner took, from its submission to its completion.
  void Took(int64_t ns);

 private:
  SyncManner Other() const;
  void TookChosen();
  void TookTried();
  void BeginWindow();

  SyncManner chosen_ = SyncManner::kWithWrite;
  bool trying_ = false;
  // The window that is being filled.
  int64_t sum_ns_ = 0;
  int writes_ = 0;

  int64_t mean_ns_ = 0;     // Of the last window of the chosen one.
  int64_t decided_ns_ = 0;  // The same when it was last decided; 0 for never.
  int64_t trial_every_ = kTrialEveryMin;
  int64_t until_trial_ = kTrialEveryMin;
};

}  // namespace kvd
