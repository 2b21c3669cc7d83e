// SPDX-License-Identifier: MIT
#include "daemon/loop/pool_executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <future>
#include <latch>
#include <optional>
#include <thread>
#include <vector>

#include "daemon/host/processors.h"

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
  EventLoop loop;
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

// Whatever processor the loop is held to when the first job begins a thread. In
// a process of its own, in which no thread has begun before.
TEST(PoolExecutorDeathTest, ItsThreadsRunWhereTheLoopMightAtFirst) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto begin_while_held = [] {
    EventLoop loop;
    const std::vector<int> allowed = AllowedProcessors();
    PoolExecutor pool(loop);
    ProcessorHold hold;
    const bool held = hold.Hold(allowed.back());
    std::promise<std::vector<int>> of_job;
    pool.Post([&] { of_job.set_value(AllowedProcessors()); });
    std::_Exit(held && of_job.get_future().get() == allowed ? 0 : 1);
  };
  EXPECT_EXIT(begin_while_held(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace kvd
