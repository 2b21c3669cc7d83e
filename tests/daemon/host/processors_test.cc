// SPDX-License-Identifier: MIT
#include "daemon/host/processors.h"

#include <gtest/gtest.h>

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

// Runs `test` in a thread of its own, whose processors are nobody else's
// matter.
template <typename Test>
void InThread(Test test) {
  std::thread(test).join();
}

TEST(ProcessorHoldTest, HoldsTheThreadUntilItIsReleased) {
  InThread([] {
    const std::vector<int> allowed = AllowedProcessors();
    ProcessorHold hold;
    EXPECT_EQ(hold.processor(), -1);
    for (const int processor : allowed) {
      EXPECT_TRUE(hold.Hold(processor));
      EXPECT_EQ(hold.processor(), processor);
      EXPECT_EQ(CurrentProcessor(), processor);
      EXPECT_EQ(AllowedProcessors(), std::vector<int>{processor});
    }
    hold.Release();
    EXPECT_EQ(hold.processor(), -1);
    EXPECT_EQ(AllowedProcessors(), allowed);
  });
}

TEST(ProcessorHoldTest, KeepsToWhatWasAllowed) {
  InThread([] {
    const std::vector<int> allowed = AllowedProcessors();
    const int only = allowed.back();
    ASSERT_TRUE(AllowProcessors({{only}}));
    ProcessorHold hold;
    EXPECT_FALSE(hold.Hold(only + 1));
    EXPECT_EQ(hold.processor(), -1);
    EXPECT_TRUE(hold.Hold(only));
    hold.Release();
    EXPECT_EQ(AllowedProcessors(), std::vector<int>{only});
  });
}

// As an administrator may, with taskset.
TEST(ProcessorHoldTest, WhatWasDecidedMeanwhileCounts) {
  if (AllowedProcessors().size() < 2) {
    GTEST_SKIP() << "this machine has one processor";
  }
  InThread([] {
    const std::vector<int> allowed = AllowedProcessors();
    const int first = allowed.front(), last = allowed.back();
    ProcessorHold hold;
    ASSERT_TRUE(hold.Hold(first));
    ASSERT_TRUE(AllowProcessors({{last}}));
    EXPECT_FALSE(hold.Hold(first));
    hold.Release();
    EXPECT_EQ(AllowedProcessors(), std::vector<int>{last});

    ASSERT_TRUE(AllowProcessors(allowed));
    ASSERT_TRUE(hold.Hold(first));
    ASSERT_TRUE(AllowProcessors({{last}}));
    hold.Release();
    EXPECT_EQ(AllowedProcessors(), std::vector<int>{last});
  });
}

}  // namespace
}  // namespace kvd
