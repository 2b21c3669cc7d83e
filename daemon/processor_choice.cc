// SPDX-License-Identifier: MIT
#include "daemon/processor_choice.h"

#include <algorithm>
#include <utility>

namespace kvd {
namespace {

// Whether a mean is clearly less than another one: by an eighth.
bool ClearlyLess(int64_t ns, int64_t than_ns) { return ns < than_ns / 8 * 7; }

}  // namespace

ProcessorChoice::ProcessorChoice(std::vector<int> allowed)
    : allowed_(std::move(allowed)) {}

std::optional<int> ProcessorChoice::Waited(int processor, int64_t ns) {
  if (allowed_.size() < 2) return std::nullopt;
  if (std::exchange(here_, processor) != processor) {
    sum_ns_ = 0;
    flushes_ = 0;
  }
  if (++flushes_ <= kSettling) return std::nullopt;
  sum_ns_ += ns;
  if (flushes_ < kSettling + kWindow) return std::nullopt;
  const int64_t mean_ns = std::exchange(sum_ns_, 0) / kWindow;
  flushes_ = kSettling;
  if (home_ < 0) home_ = here_;
  return here_ == home_ ? AtHome(mean_ns) : Elsewhere(mean_ns);
}

std::optional<int> ProcessorChoice::AtHome(int64_t mean_ns) {
  home_ns_ = mean_ns;
  // Back from a trial, or there has been none.
  if (std::exchange(trying_, false) || decided_ns_ == 0) decided_ns_ = mean_ns;
  if (mean_ns > decided_ns_ / 2 * 3) {
    trial_every_ = kTrialEveryMin;
    until_trial_ = 0;
  }
  if (--until_trial_ > 0) return std::nullopt;
  trial_every_ = std::min(2 * trial_every_, kTrialEveryMax);
  until_trial_ = trial_every_;
  trying_ = true;
  return NextToTry();
}

std::optional<int> ProcessorChoice::Elsewhere(int64_t mean_ns) {
  const bool stays = trying_ ? ClearlyLess(mean_ns, home_ns_)
                             : !ClearlyLess(home_ns_, mean_ns);
  if (!stays) return home_;
  home_ = here_;
  home_ns_ = decided_ns_ = mean_ns;
  trial_every_ = until_trial_ = kTrialEveryMin;
  trying_ = false;
  return std::nullopt;
}

int ProcessorChoice::NextToTry() {
  next_ = (next_ + 1) % allowed_.size();
  if (allowed_[next_] == home_) next_ = (next_ + 1) % allowed_.size();
  return allowed_[next_];
}

}  // namespace kvd
