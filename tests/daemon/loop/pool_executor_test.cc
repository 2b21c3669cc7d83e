// SPDX-License-Identifier: MIT
#include "daemon/loop/pool_executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <latch>
#include <optional>
#include <thread>

#include "tests/daemon/test_loop.h"

namespace kvd {
namespace {

TEST(PoolExecutor, RunsSeveralJobsAtOnce) {
  EventLoop loop;
  PoolExecutor pool(loop);
  // Each waits for the others.
  std::latch all_run(4);
  for (int i = 0; i < 4; ++i) pool.Post([&] { all_run.arrive_and_wait(); });
  all_run.wait();
}

// Whatever a job used until its last line, such as who it wakes, may be gone
// right after the executor.
TEST(PoolExecutor, ItsEndWaitsForItsJobs) {
  TestLoop loop;
  std::optional<PoolExecutor> pool(loop);
  std::atomic<int> ended = 0;
  for (int i = 0; i < 100; ++i) {
    pool->Post([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      ++ended;
    });
    loop.RunOnce();
  }
  pool.reset();
  EXPECT_EQ(ended, 100);
}

}  // namespace
}  // namespace kvd
