// SPDX-License-Identifier: MIT
#include "etcd/engine/gone_kvds.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/planted_bug.h"

namespace kvd::etcd {
namespace {

constexpr int64_t kTimeoutMs = 2000;
// Beats come through as long as no two of them are further apart.
constexpr int64_t kGapMsMax = 5000;

}  // namespace

void GoneKvds::BeatDone(int64_t now_ms) {
  watched_ms_ += std::min(now_ms - beat_at_ms_, kGapMsMax);
  beat_at_ms_ = now_ms;
  has_news_ = true;
}

void GoneKvds::Tick() {
  if (!std::exchange(has_news_, false)) return;
  std::erase_if(watched_, [this](const auto& watched) {
    return !index_.peers().contains(watched.first);
  });
  for (const auto& [id, peer] : index_.peers()) {
    if (id == id_) continue;
    const auto [it, is_new] = watched_.try_emplace(id);
    Watched& watched = it->second;
    const bool has_changed = watched.is.mod_revision != peer.mod_revision ||
                             watched.is.beat_revision != peer.beat_revision;
    if (is_new || has_changed) {
      watched = {peer, watched_ms_};
    } else if (!under_way_ && watched_ms_ - watched.since_ms >= kSilentMs) {
      Remove(id, peer);
    }
  }
}

// What this kvd knows may be old: only the compares prove that neither key has
// changed.
void GoneKvds::Remove(const std::string& id, const SharedIndex::Peer& peer) {
  under_way_ = true;
  const std::string sequence = names_.Sequence(id);
  const std::string beat = names_.Beat(id);
  TxnRequest request;
  if (!IsPlanted(PlantedBug::kRemoveBlindly)) {
    request.compares.push_back(
        {sequence, Compare::Target::kModRevision, peer.mod_revision, ""});
    request.compares.push_back(
        {beat, Compare::Target::kModRevision, peer.beat_revision, ""});
  }
  request.then.push_back({Op::Kind::kDelete, sequence, ""});
  request.then.push_back({Op::Kind::kDelete, beat, ""});
  if (!IsPlanted(PlantedBug::kRemovalUnmarked)) {
    request.then.push_back({Op::Kind::kPut, names_.NewestRemoval(), id});
  }
  api_.Txn(
      std::move(request), kTimeoutMs,
      [this, id](const Result<TxnResponse>& answer) { OnAnswer(id, answer); });
}

void GoneKvds::OnAnswer(const std::string& id,
                        const Result<TxnResponse>& answer) {
  under_way_ = false;
  if (!answer) return;  // The next beat asks again.
  // Either its keys go now, or they have changed: it begins anew.
  watched_.erase(id);
  if (!answer->succeeded) return;
  log_(Severity::kInfo,
       fmt::format("kvd {} has given no sign of life for {} minutes: its keys "
                   "were removed from etcd. Should it come back, it begins "
                   "anew",
                   id, kSilentMs / 60'000));
}

}  // namespace kvd::etcd
