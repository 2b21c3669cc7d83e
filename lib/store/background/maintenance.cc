// SPDX-License-Identifier: MIT
#include "store/background/maintenance.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace kvd {

MaintenanceWorker::MaintenanceWorker(Executor& executor, Clock& clock,
                                     Wake wake)
    : executor_(executor), clock_(clock), wake_(std::move(wake)) {}

MaintenanceWorker::~MaintenanceWorker() {
  // A step holds references to the mailbox and to what its owner has.
  if (under_way_) outcomes_.Wait();
}

void MaintenanceWorker::Step(Work work, Then then) {
  KVD_CHECK(!under_way_);
  under_way_ = true;
  then_ = std::move(then);
  // Behind Put() there may be no worker any more.
  executor_.Post([this, wake = wake_, work = std::move(work)] {
    outcomes_.Put(work());
    wake();
  });
}

void MaintenanceWorker::Poll() {
  for (const Result<void>& outcome : outcomes_.TakeAll()) {
    under_way_ = false;
    std::exchange(then_, nullptr)(outcome);
  }
}

void MaintenanceWorker::BeginPace() {
  pace_from_us_ = clock_.MonotonicUs();
  pace_bytes_ = 0;
}

int64_t MaintenanceWorker::WaitMs(double bytes_per_s) const {
  if (bytes_per_s == 0) return 0;
  const double seconds = static_cast<double>(pace_bytes_) / bytes_per_s;
  const int64_t wait_us = pace_from_us_ + static_cast<int64_t>(seconds * 1e6) -
                          clock_.MonotonicUs();
  return wait_us > 0 ? std::max<int64_t>(wait_us / 1000, 1) : 0;
}

}  // namespace kvd
