// SPDX-License-Identifier: MIT
#include "daemon/loop/reply_times.h"

#include <algorithm>

namespace kvd {

void ReplyTimes::BeginRun(CommandStats& stats) {
  if (run_.replies > 0) ready_.push_back(run_);
  run_ = {&stats, turn_began_ns_, 0, 0};
}

void ReplyTimes::Withheld(CommandStats& stats, int64_t began_ns, uint64_t seq) {
  if (!withheld_.empty()) {
    Batch& last = withheld_.back();
    if (last.stats == &stats && last.began_ns == began_ns) {
      last.seq = std::max(last.seq, seq);
      ++last.replies;
      return;
    }
  }
  withheld_.push_back({&stats, began_ns, seq, 1});
}

void ReplyTimes::Release(uint64_t durable_seq) {
  std::erase_if(withheld_, [&](const Batch& batch) {
    if (batch.seq > durable_seq) return false;
    ready_.push_back(batch);
    return true;
  });
}

void ReplyTimes::EndTurn(int64_t now_ns) {
  if (run_.replies > 0) ready_.push_back(run_);
  run_ = {};
  for (const Batch& batch : ready_) {
    batch.stats->Replied(static_cast<uint64_t>(now_ns - batch.began_ns),
                         batch.replies);
  }
  ready_.clear();
}

}  // namespace kvd
