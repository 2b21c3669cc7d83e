// SPDX-License-Identifier: MIT
#include "daemon/busy_poll.h"

#include <algorithm>

namespace kvd {
namespace {

// What a turn leaves of the most clients. A flush takes about ten turns of many
// clients; after it only those wait who have come during it.
constexpr double kKept = 0.95;

}  // namespace

void BusyPoll::Worked(const Turn& turn) {
  if (waits_ && turn.news) pays_ = turn.began_ns - since_ns_ < limit_ns_;
  if (!waits_ || turn.news) since_ns_ = turn.ended_ns;
  clients_ = std::max(static_cast<double>(turn.clients), clients_ * kKept);
  waits_ = turn.clients > 0 && clients_ >= kClientsMin;
}

}  // namespace kvd
