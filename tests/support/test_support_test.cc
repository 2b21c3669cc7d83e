// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/manual_clock.h"
#include "tests/support/manual_executor.h"
#include "tests/support/temp_dir.h"

namespace kvd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ManualExecutor, RunsJobsInOrderWhenAsked) {
  ManualExecutor executor;
  std::vector<int> ran;
  executor.Post([&] {
    ran.push_back(1);
    executor.Post([&] { ran.push_back(3); });
  });
  executor.Post([&] { ran.push_back(2); });
  EXPECT_THAT(ran, IsEmpty());
  EXPECT_EQ(executor.pending(), 2u);

  EXPECT_TRUE(executor.RunOne());
  EXPECT_THAT(ran, ElementsAre(1));
  EXPECT_EQ(executor.RunAll(), 2u);
  EXPECT_THAT(ran, ElementsAre(1, 2, 3));
  EXPECT_FALSE(executor.RunOne());
}

TEST(ManualExecutor, RunsJobsByItselfOneAfterAnother) {
  ManualExecutor executor(/*auto_run=*/true);
  std::vector<int> ran;
  executor.Post([&] {
    executor.Post([&] { ran.push_back(2); });
    ran.push_back(1);
  });
  EXPECT_THAT(ran, ElementsAre(1, 2));
}

TEST(ManualExecutor, DropsWhatWasNotRun) {
  bool ran = false;
  {
    ManualExecutor executor;
    executor.Post([&] { ran = true; });
  }
  EXPECT_FALSE(ran);
}

TEST(ManualClock, MovesOnlyWhenTold) {
  ManualClock clock(1000);
  const int64_t start_us = clock.MonotonicUs();
  clock.AdvanceMs(5);
  EXPECT_EQ(clock.WallMs(), 1005);
  EXPECT_EQ(clock.MonotonicUs() - start_us, 5000);
  clock.SetWallMs(10);
  EXPECT_EQ(clock.WallMs(), 10);
  EXPECT_EQ(clock.MonotonicUs() - start_us, 5000);
}

TEST(TempDir, IsGoneWithAllThatIsInIt) {
  std::string path;
  {
    const TempDir dir;
    path = dir.path();
    std::filesystem::create_directory(dir.Path("sub"));
    std::ofstream(dir.Path("sub/file")) << "x";
    EXPECT_TRUE(std::filesystem::exists(path + "/sub/file"));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace kvd
