// SPDX-License-Identifier: MIT
#include "daemon/loop/busy_poll.h"

#include <algorithm>

namespace kvd {
namespace {

// What a turn leaves of the most clients. A flush takes about ten turns of many
// clients; after it only those wait who have come during it.
constexpr double kKept = 0.95;

}  // namespace

std::optional<int64_t> BusyPoll::Worked(const Turn& turn) {
  if (limit_ns_ == 0) return std::nullopt;
  std::optional<int64_t> waited_ns;
  if (waits_ && turn.news) {
    waited_ns = turn.began_ns - since_ns_;
    pays_ = *waited_ns < limit_ns_;
  }
  if (!waits_ || turn.news) since_ns_ = turn.ended_ns;
  clients_ = std::max(static_cast<double>(turn.clients), clients_ * kKept);
  waits_ = turn.clients > 0 && clients_ >= kClientsMin;
  many_wait_ = clients_ >= (many_wait_ ? kClientsMin / 2 : kClientsMin);
  return waited_ns;
}

void BusyPoll::Rested() {
  clients_ = 0;
  waits_ = false;
  many_wait_ = false;
}

}  // namespace kvd
