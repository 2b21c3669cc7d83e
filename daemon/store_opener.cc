// SPDX-License-Identifier: MIT
#include "daemon/store_opener.h"

#include <utility>

#include "base/check.h"

namespace kvd {

StoreOpener::StoreOpener(EventLoop& loop, Open open, OnProgress on_progress,
                         std::function<void()> on_end)
    : on_progress_(std::move(on_progress)),
      on_end_(std::move(on_end)),
      waker_(loop),
      thread_("kvd-load") {
  waker_.OnWake([this] { TakeNews(); });
  thread_.Post([this, open_store = std::move(open)] {
    news_.Put(open_store([this](const LoadProgress& progress) {
      news_.Put(progress);
      waker_.Wake();
      return !given_up_.load();
    }));
    waker_.Wake();
  });
}

StoreOpener::~StoreOpener() { GiveUp(); }

StoreOpener::Opened StoreOpener::TakeStore() {
  KVD_CHECK(opened_.has_value());
  Opened opened = std::move(*opened_);
  opened_.reset();
  return opened;
}

StoreTuning TuningOf(const Config& config, const MemoryBounds& memory) {
  StoreTuning tuning;
  tuning.compaction = {
      config.compaction.interval_ms, config.compaction.min_dead_ratio,
      config.compaction.rate_bytes, config.compaction.history_bytes};
  tuning.scrub = {config.scrub.interval_ms, config.scrub.rate_bytes};
  tuning.backup_stall_timeout_ms = config.backup.stall_timeout_ms;
  tuning.backup_rate_bytes_per_s = config.backup.rate_bytes;
  tuning.value_cache_bytes = memory.value_cache;
  tuning.memory_limit_bytes = memory.limit;
  return tuning;
}

void StoreOpener::TakeNews() {
  for (auto& news : news_.TakeAll()) {
    if (const auto* progress = std::get_if<LoadProgress>(&news)) {
      on_progress_(*progress);
    } else {
      opened_ = std::move(std::get<Opened>(news));
      on_end_();
    }
  }
}

}  // namespace kvd
