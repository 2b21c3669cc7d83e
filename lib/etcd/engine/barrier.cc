// SPDX-License-Identifier: MIT
#include "etcd/engine/barrier.h"

namespace kvd::etcd {

void Barrier::Pump() {
  // One after the other: the next one serves all that come meanwhile.
  if (!wanted_ || under_way_ || answered_ > passed_) return;
  wanted_ = false;
  under_way_ = true;
  ++asked_;
  RangeRequest request;
  request.key = key_;
  request.range_end = range_end_;
  request.keys_only = true;
  api_.Range(std::move(request), timeout_ms_,
             [this](Result<RangeResponse> answer) {
               OnAnswer(std::move(answer));
             });
}

void Barrier::OnAnswer(Result<RangeResponse> answer) {
  under_way_ = false;
  has_news_ = true;
  if (!answer) {
    failed_ = asked_;
    why_ = answer.error().message();
    return;
  }
  target_ = 0;
  for (const KeyValue& kv : answer->found) {
    target_ = std::max(target_, kv.mod_revision);
  }
  answered_ = asked_;
}

bool Barrier::Advance(int64_t revision) {
  if (answered_ <= passed_ || target_ > revision) return false;
  passed_ = answered_;
  has_news_ = true;
  return true;
}

}  // namespace kvd::etcd
