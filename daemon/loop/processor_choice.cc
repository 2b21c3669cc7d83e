// SPDX-License-Identifier: MIT
#include "daemon/loop/processor_choice.h"

#include <algorithm>
#include <utility>

namespace kvd {
namespace {

// Whether a mean is clearly less than another one: by an eighth.
bool ClearlyLess(int64_t ns, int64_t than_ns) { return ns < than_ns / 8 * 7; }

}  // namespace

ProcessorChoice::ProcessorChoice(std::vector<int> allowed)
    : allowed_(std::move(allowed)) {}

void ProcessorChoice::Waited(int processor, int64_t ns) {
  if (allowed_.size() < 2) return;
  if (home_ < 0) home_ = here_ = processor;
  if (processor != here_ || ++flushes_ <= kSettling) return;
  sum_ns_ += ns;
  if (flushes_ < kSettling + kWindow) return;
  const int64_t mean_ns = std::exchange(sum_ns_, 0) / kWindow;
  flushes_ = kSettling;
  here_ == home_ ? AtHome(mean_ns) : Tried(mean_ns);
}

void ProcessorChoice::GiveUp() {
  allowed_.clear();
  home_ = here_ = -1;
}

void ProcessorChoice::AtHome(int64_t mean_ns) {
  home_ns_ = mean_ns;
  if (decided_ns_ == 0) decided_ns_ = mean_ns;
  if (mean_ns > decided_ns_ / 2 * 3) {
    trial_every_ = kTrialEveryMin;
    until_trial_ = 0;
  }
  if (--until_trial_ > 0) return;
  trial_every_ = std::min(2 * trial_every_, kTrialEveryMax);
  until_trial_ = trial_every_;
  GoTo(NextToTry());
}

void ProcessorChoice::Tried(int64_t mean_ns) {
  if (ClearlyLess(mean_ns, home_ns_)) {
    home_ = here_;
    home_ns_ = decided_ns_ = mean_ns;
    trial_every_ = until_trial_ = kTrialEveryMin;
    return;
  }
  decided_ns_ = 0;  // The next mean.
  GoTo(home_);
}

void ProcessorChoice::GoTo(int processor) {
  here_ = processor;
  flushes_ = 0;
}

int ProcessorChoice::NextToTry() {
  next_ = (next_ + 1) % allowed_.size();
  if (allowed_[next_] == home_) next_ = (next_ + 1) % allowed_.size();
  return allowed_[next_];
}

}  // namespace kvd
