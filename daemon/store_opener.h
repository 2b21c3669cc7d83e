// SPDX-License-Identifier: MIT
//
// The opening of the store beside the loop, which answers clients meanwhile.
// A store of many gigabytes takes minutes to load; a daemon that is silent for
// so long cannot be told from one that hangs.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <variant>

#include "base/executor.h"
#include "base/mailbox.h"
#include "config/config.h"
#include "daemon/host/memory_share.h"
#include "daemon/loop/event_loop.h"
#include "store/store.h"

namespace kvd {

// Opens one store on a thread of its own. Thread: loop, which owns the store
// from TakeStore() on.
class StoreOpener {
 public:
  using Opened = Result<std::unique_ptr<Store>>;
  // Calls Store::Open() with that StoreOptions::on_progress, on the thread.
  using Open = std::function<Opened(StoreOptions::OnProgress)>;
  using OnProgress = std::function<void(const LoadProgress&)>;

  // Begins at once. The callbacks run on the loop: `on_progress` for each sign
  // of progress, `on_end` once, when TakeStore() has something to give.
  StoreOpener(EventLoop& loop, Open open, OnProgress on_progress,
              std::function<void()> on_end);
  // Gives up if it has not ended, and waits for the thread.
  ~StoreOpener();
  StoreOpener(const StoreOpener&) = delete;
  StoreOpener& operator=(const StoreOpener&) = delete;

  // Lets the opening fail with its next sign of progress, if there comes one.
  void GiveUp() { given_up_ = true; }

  // What Store::Open() returned; only once, after `on_end`.
  Opened TakeStore();

 private:
  void TakeNews();

  const OnProgress on_progress_;
  const std::function<void()> on_end_;
  std::optional<Opened> opened_;

  std::atomic<bool> given_up_ = false;
  Mailbox<std::variant<LoadProgress, Opened>> news_;
  LoopWaker waker_;
  // The last member, so that the thread has ended before the others go.
  ThreadExecutor thread_;
};

// What the settings say of a store that is or will be open.
StoreTuning TuningOf(const Config& config, const MemoryBounds& memory);

}  // namespace kvd
