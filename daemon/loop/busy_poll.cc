// SPDX-License-Identifier: MIT
#include "daemon/loop/busy_poll.h"

#include <algorithm>

namespace kvd {
namespace {

// How much of the most clients is left after a turn. A flush takes about ten
// turns; right after it only those wait whose commands came during it.
constexpr double kKept = 0.95;

}  // namespace

void BusyPoll::Worked(const Turn& turn) {
  if (limit_ns_ == 0) return;
  if (waits_ && turn.news) pays_ = turn.began_ns - since_ns_ < limit_ns_;
  if (!waits_ || turn.news) since_ns_ = turn.ended_ns;
  clients_ = std::max(static_cast<double>(turn.clients), clients_ * kKept);
  waits_ = turn.clients > 0 && clients_ >= kClientsMin;
}

void BusyPoll::Rested() {
  clients_ = 0;
  waits_ = false;
}

}  // namespace kvd
