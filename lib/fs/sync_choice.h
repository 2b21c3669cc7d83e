// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace kvd {

// How a write through io_uring becomes durable.
enum class SyncManner {
  // The write carries its sync (RWF_DSYNC). Least work. But on a disk that has
  // a volatile cache and no FUA, a kernel worker bound to one CPU ends the
  // write, and it waits for a scheduler tick where another program is busy on
  // that CPU.
  kWithWrite,
  // A sync is linked to the write. It runs in a worker of this process, which
  // the scheduler treats like any thread that has slept.
  kAfterWrite,
};

// Chooses the faster of the two by how long writes take: the first unless the
// second takes less than two thirds of its time. Now and then it tries the
// other one: rarely where that keeps losing, sooner when writes have become
// slower. A trial ends once the other one is known to be slower.
class SyncChoice {
 public:
  // Means are taken over this many writes.
  static constexpr int kWindow = 16;
  // Writes between two trials: at first, and at most.
  static constexpr int64_t kTrialEveryMin = 64;
  static constexpr int64_t kTrialEveryMax = 4096;

  // For the next write.
  SyncManner manner() const { return trying_ ? Other() : chosen_; }
  // How long the write in that manner took, from submission to completion.
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
  int64_t decided_ns_ = 0;  // The same at the last decision; 0: none yet.
  int64_t trial_every_ = kTrialEveryMin;
  int64_t until_trial_ = kTrialEveryMin;
};

}  // namespace kvd
