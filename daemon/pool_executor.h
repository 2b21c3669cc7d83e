// SPDX-License-Identifier: MIT
//
// libuv's pool of threads as an Executor, for work that waits for the disk: as
// many reads at once as there are threads, since a disk serves many as fast as
// one.
#pragma once

#include <uv.h>

#include "base/executor.h"
#include "daemon/event_loop.h"

namespace kvd {

// Threads of the pool, unless UV_THREADPOOL_SIZE says otherwise. They come into
// being with the first job.
inline constexpr int kPoolThreads = 32;

// Jobs run at any time and in any order. Thread: loop, which outlives it; what
// was posted has to be waited for by who posted it.
class PoolExecutor final : public Executor {
 public:
  explicit PoolExecutor(EventLoop& loop);
  void Post(Job job) override;

 private:
  EventLoop& loop_;
};

}  // namespace kvd
