// SPDX-License-Identifier: MIT
#include "fs/sync_choice.h"

#include <algorithm>

namespace kvd {

void SyncChoice::Took(int64_t ns) {
  sum_ns_ += ns;
  ++writes_;
  if (trying_) {
    TookTried();
  } else {
    TookChosen();
  }
}

void SyncChoice::TookChosen() {
  --until_trial_;
  if (writes_ < kWindow) return;
  mean_ns_ = sum_ns_ / kWindow;
  BeginWindow();
  const bool slower = decided_ns_ != 0 && mean_ns_ > 2 * decided_ns_;
  trying_ = slower || until_trial_ <= 0;
}

void SyncChoice::TookTried() {
  // As a sum, so that a trial ends as soon as it is lost.
  const int64_t limit_ns = chosen_ == SyncManner::kWithWrite
                               ? mean_ns_ * kWindow * 2 / 3
                               : mean_ns_ * kWindow * 3 / 2;
  const bool lost = sum_ns_ > limit_ns;
  if (!lost && writes_ < kWindow) return;
  trying_ = false;
  if (lost) {
    trial_every_ = std::min(2 * trial_every_, kTrialEveryMax);
    decided_ns_ = mean_ns_;
  } else {
    chosen_ = Other();
    trial_every_ = kTrialEveryMin;
    decided_ns_ = sum_ns_ / kWindow;
  }
  until_trial_ = trial_every_;
  BeginWindow();
}

void SyncChoice::BeginWindow() {
  sum_ns_ = 0;
  writes_ = 0;
}

SyncManner SyncChoice::Other() const {
  return chosen_ == SyncManner::kWithWrite ? SyncManner::kAfterWrite
                                           : SyncManner::kWithWrite;
}

}  // namespace kvd
