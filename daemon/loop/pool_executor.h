// SPDX-License-Identifier: MIT
//
// libuv's pool of threads as an Executor, for work that waits for the disk: as
// many reads at once as there are threads, since a disk serves many as fast as
// one.
#pragma once

#include <uv.h>

#include <cstddef>

#include "base/executor.h"
#include "base/mailbox.h"
#include "daemon/loop/event_loop.h"

namespace kvd {

// Threads of the pool, unless UV_THREADPOOL_SIZE says otherwise. They start
// with the first job.
inline constexpr int kPoolThreads = 32;

// Jobs run at any time and in any order. Thread: loop, which outlives it.
class PoolExecutor final : public Executor {
 public:
  explicit PoolExecutor(EventLoop& loop);
  // Waits until all that was posted has run: whoever takes a job's result may
  // be faster than the last line of the job.
  ~PoolExecutor() override;
  PoolExecutor(const PoolExecutor&) = delete;
  PoolExecutor& operator=(const PoolExecutor&) = delete;

  void Post(Job job) override;

 private:
  struct Ended {};
  struct Work {
    uv_work_t request;
    Job job;
    PoolExecutor& pool;
  };

  EventLoop& loop_;
  Mailbox<Ended> ended_;
  size_t posted_ = 0;  // Jobs whose end has not been taken out of ended_.
};

}  // namespace kvd
