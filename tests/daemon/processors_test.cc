// SPDX-License-Identifier: MIT
#include "daemon/processors.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace kvd {
namespace {

TEST(ProcessorsTest, TheCurrentOneIsAllowed) {
  const std::vector<int> allowed = AllowedProcessors();
  ASSERT_FALSE(allowed.empty());
  EXPECT_TRUE(std::ranges::find(allowed, CurrentProcessor()) != allowed.end());
}

TEST(ProcessorsTest, AMoveLeavesAllOfThemAllowed) {
  std::thread([] {
    const std::vector<int> allowed = AllowedProcessors();
    for (const int processor : allowed) {
      EXPECT_TRUE(MoveToProcessor(processor));
      EXPECT_EQ(AllowedProcessors(), allowed);
    }
  }).join();
}

TEST(ProcessorsTest, AMoveKeepsToWhatWasAllowed) {
  std::thread([] {
    const int only = AllowedProcessors().back();
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(only, &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT_TRUE(MoveToProcessor(only));
    EXPECT_EQ(AllowedProcessors(), std::vector<int>{only});
    EXPECT_EQ(CurrentProcessor(), only);
  }).join();
}

}  // namespace
}  // namespace kvd
