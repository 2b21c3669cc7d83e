// SPDX-License-Identifier: MIT
#include "etcd/engine/barrier.h"

#include <fmt/format.h>

#include "base/planted_bug.h"

namespace kvd::etcd {

std::optional<Error> WentBack(int64_t is, int64_t was) {
  if (is >= was) return std::nullopt;
  return Error(
      ErrorCode::kUnavailable,
      fmt::format("etcd is at revision {}, and was at {} before: somebody has "
                  "made it anew, as from a backup. Start kvd again, on all "
                  "hosts, so that it loads what is there now",
                  is, was));
}

void Barrier::Pump(int64_t now_ms) {
  if (answered_ > passed_ && now_ms - asked_at_ms_ >= timeout_ms_) {
    answered_ = passed_;
    GiveUp(fmt::format("the watch has not come to revision {} within {} ms",
                       target_, timeout_ms_));
  }
  // One after the other: the next one serves all that come meanwhile.
  if (!wanted_ || under_way_ || is_another_ || answered_ > passed_) return;
  wanted_ = false;
  under_way_ = true;
  ++asked_;
  asked_at_ms_ = now_ms;
  RangeRequest request;
  request.key = key_;
  request.range_end = range_end_;
  api_.Range(std::move(request), timeout_ms_,
             [this, told = told_](Result<RangeResponse> answer) {
               OnAnswer(std::move(answer), told);
             });
}

void Barrier::OnAnswer(Result<RangeResponse> answer, Told told) {
  under_way_ = false;
  has_news_ = true;
  if (!answer) return GiveUp(answer.error().message());
  failure_ = WentBack(answer->revision, told.revision);
  if (failure_) return GiveUp(failure_->message());
  target_ = 0;
  for (const KeyValue& kv : answer->found) {
    target_ = std::max(target_, kv.mod_revision);
  }
  const bool fits = target_ >= told.newest && fits_(*answer);
  if (!fits && !IsPlanted(PlantedBug::kBelieveHistory)) {
    is_another_ = wanted_ = true;
    return;
  }
  if (IsPlanted(PlantedBug::kBarrierOfOldest)) {
    for (const KeyValue& kv : answer->found) {
      target_ = std::min(target_, kv.mod_revision);
    }
  }
  answered_ = asked_;
}

// Those that came since it was asked have waited, too: they do not begin anew.
void Barrier::GiveUp(std::string why) {
  failed_ = ++asked_;
  wanted_ = false;
  why_ = std::move(why);
  has_news_ = true;
}

bool Barrier::Advance(int64_t revision, int64_t newest) {
  told_ = {revision, newest};
  if (answered_ <= passed_ || target_ > revision) return false;
  passed_ = answered_;
  has_news_ = true;
  return true;
}

}  // namespace kvd::etcd
