// SPDX-License-Identifier: MIT
#include "etcd/engine/peer_clocks.h"

#include <fmt/format.h>

#include <cstdlib>

namespace kvd::etcd {
namespace {

constexpr size_t kOwnBeatsKept = 16;
// No clock says this.
constexpr int64_t kLongAgoMs = -(int64_t{1} << 60);

}  // namespace

void PeerClocks::Sent(int64_t revision, int64_t wall_ms) {
  own_.push_back({revision, wall_ms});
  if (own_.size() > kOwnBeatsKept) own_.pop_front();
}

int64_t PeerClocks::OwnClockBefore(int64_t revision) const {
  for (auto beat = own_.rbegin(); beat != own_.rend(); ++beat) {
    if (beat->revision <= revision) return beat->wall_ms;
  }
  return kLongAgoMs;
}

void PeerClocks::Heard(std::string_view id, const Beat& beat, int64_t wall_ms,
                       int64_t now_ms) {
  if (id == id_) return;
  has_others_ = true;
  // The difference of the clocks, this one's less the other's, is between them.
  const int64_t most = wall_ms - beat.clock_ms;
  const int64_t least = OwnClockBefore(beat.revision) - beat.clock_ms;
  const auto [it, is_new] = peers_.try_emplace(std::string(id));
  Peer& peer = it->second;
  peer.heard_at_ms = now_ms;
  if (most < -max_skew_ms_) {
    peer.ahead_ms = most;
  } else if (least > max_skew_ms_) {
    peer.ahead_ms = least;
  } else if (peer.ahead_ms <= 0 || most <= max_skew_ms_) {
    peer.ahead_ms = 0;
  }  // Else nothing says that it is not ahead any more.
  asks_ |= most > max_skew_ms_;
  owes_answer_ |= most < -max_skew_ms_;
  Judge();
}

void PeerClocks::Tick(int64_t wall_ms, int64_t now_ms) {
  const int64_t difference_ms = wall_ms - now_ms;
  const bool is_first = trusted_from_ms_ == INT64_MAX;
  if (is_first || std::abs(difference_ms - wall_less_now_ms_) > max_skew_ms_) {
    trusted_from_ms_ = now_ms + (has_others_ ? kTrustMs : 0);
    owes_answer_ = true;
  }
  wall_less_now_ms_ = difference_ms;
  const size_t forgotten = std::erase_if(peers_, [&](const auto& peer) {
    return now_ms - peer.second.heard_at_ms > kFreshMs;
  });
  if (forgotten > 0) Judge();
}

// Of two that do not agree nobody knows which one is wrong; of three or more it
// is the one that has most against it.
void PeerClocks::Judge() {
  no_writes_.clear();
  const std::pair<const std::string, Peer>* worst = nullptr;
  size_t off = 0;
  for (const auto& peer : peers_) {
    if (peer.second.ahead_ms == 0) continue;
    ++off;
    if (worst == nullptr ||
        std::abs(peer.second.ahead_ms) > std::abs(worst->second.ahead_ms)) {
      worst = &peer;
    }
  }
  if (2 * off <= peers_.size() || worst == nullptr) return;
  no_writes_ = fmt::format(
      "CLOCKSKEW this host's clock is {} ms or more {} that of kvd \"{}\", and "
      "etcd.max_clock_skew is {} ms: deadlines would not mean the same there. "
      "Nothing was changed; writes resume by themselves when the clocks agree",
      std::abs(worst->second.ahead_ms),
      worst->second.ahead_ms > 0 ? "ahead of" : "behind", worst->first,
      max_skew_ms_);
}

}  // namespace kvd::etcd
