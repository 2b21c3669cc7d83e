// SPDX-License-Identifier: MIT
#include "etcd/engine/chores.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "etcd/engine/barrier.h"

namespace kvd::etcd {
namespace {

constexpr int64_t kTimeoutMs = 2000;
// From one beat to the next where clocks seem to differ, and where they do: the
// later the answer comes, the less it proves.
constexpr int64_t kAskMs = 500;
constexpr int64_t kAnswerMs = 20;
// Memory has room again, as far as people are told, when this part of the limit
// is free.
constexpr uint64_t kRoomPart = 16;

}  // namespace

Chores::Chores(Api& api, StoreCore& core, SharedIndex& index,
               const Names& names, PeerClocks& clocks, Options options)
    : api_(api),
      core_(core),
      index_(index),
      names_(names),
      clocks_(clocks),
      options_(std::move(options)),
      expiry_(api, core, index, names, options_.max_clock_skew_ms),
      old_generations_(api, index, names),
      gone_kvds_(api, index, names, options_.id, options_.log) {}

void Chores::Tick() {
  const int64_t now_ms = NowMs();
  Expire(now_ms);
  SendBeat(now_ms);
  old_generations_.Note(index_.TakeFlushed(), index_.TakeOutdated(), now_ms);
  old_generations_.Tick(now_ms);
  gone_kvds_.Tick();
  LookAtMemory();
}

void Chores::Poll() {
  if (clocks_.owes_answer()) SendBeat(NowMs());
  if (expiry_.has_more()) Expire(NowMs());
}

void Chores::Expire(int64_t now_ms) {
  // Right before it counts.
  clocks_.Tick(core_.clock.WallMs(), now_ms);
  if (clocks_.MayExpire(now_ms)) expiry_.Tick(now_ms);
}

void Chores::SendBeat(int64_t now_ms) {
  if (options_.beat_ms == 0 || beat_under_way_) return;
  int64_t pause_ms = options_.beat_ms;
  if (clocks_.asks()) pause_ms = std::min(pause_ms, kAskMs);
  if (clocks_.owes_answer()) pause_ms = std::min(pause_ms, kAnswerMs);
  if (has_sent_ && now_ms - sent_at_ms_ < pause_ms) return;
  beat_under_way_ = has_sent_ = true;
  sent_at_ms_ = now_ms;
  clocks_.BeatSent();
  const int64_t wall_ms = core_.clock.WallMs();
  const int64_t told = index_.revision();
  TxnRequest request;
  request.then.push_back({Op::Kind::kPut, names_.Beat(options_.id),
                          EncodeBeat({options_.nonce, wall_ms, told})});
  api_.Txn(std::move(request), kTimeoutMs,
           [this, wall_ms, told](const Result<TxnResponse>& answer) {
             beat_under_way_ = false;
             if (!answer) return;
             failure_ = WentBack(answer->revision, told);
             if (failure_) return;
             clocks_.Sent(answer->revision, wall_ms);
             gone_kvds_.BeatDone(NowMs());
           });
}

std::string Chores::memory_warning() const {
  if (!core_.limit.IsOver()) return "";
  return fmt::format(
      "keys and values take {} MiB, and memory.limit is {} MiB: what other "
      "hosts write comes in all the same, writes of this host that need more "
      "are refused, and this kvd would not start again. Raise memory.limit if "
      "the host has more, or delete keys",
      core_.databases->memory().all() >> 20, core_.limit.bytes() >> 20);
}

void Chores::LookAtMemory() {
  const uint64_t limit = core_.limit.bytes();
  if (core_.limit.IsOver()) {
    if (std::exchange(warned_of_memory_, true)) return;
    options_.log(Severity::kWarning, memory_warning());
  } else if (core_.databases->memory().all() <= limit - limit / kRoomPart) {
    warned_of_memory_ = false;
  }
}

}  // namespace kvd::etcd
