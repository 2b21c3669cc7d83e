// SPDX-License-Identifier: MIT
#include "fs/zero_trial.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "fs/posix_file_system.h"
#include "tests/support/temp_dir.h"

namespace kvd {
namespace {

TEST(ZeroingLimit, IsWhatIsWrittenInTheTimeThatZerosSave) {
  ZeroTimes times;
  // One outlier does not count.
  times.first_ns = {300'000, 310'000, 9'000'000};
  times.again_ns = {90'000, 110'000, 100'000};
  // 1 GB/s.
  times.zeros_bytes = 4'000'000;
  times.zeros_ns = 4'000'000;
  EXPECT_EQ(ZeroingLimit(times), 210'000u);
  times.zeros_ns *= 2;
  EXPECT_EQ(ZeroingLimit(times), 105'000u);
}

TEST(ZeroingLimit, StaysWithinItsBounds) {
  ZeroTimes times;
  times.first_ns = times.again_ns = {100'000, 100'000, 100'000};
  times.zeros_bytes = 4'000'000;
  times.zeros_ns = 4'000'000;
  EXPECT_EQ(ZeroingLimit(times), kZeroingLimitMin);
  times.again_ns = {200'000, 200'000, 200'000};
  EXPECT_EQ(ZeroingLimit(times), kZeroingLimitMin);
  times.first_ns = {1'000'000'000, 1'000'000'000, 1'000'000'000};
  EXPECT_EQ(ZeroingLimit(times), kZeroingLimitMax);
  times.zeros_ns = 0;
  EXPECT_EQ(ZeroingLimit(times), kZeroingLimitMax);
}

TEST(TryZeros, MeasuresBothAndLeavesNothing) {
  const TempDir temp;
  auto opened = OpenPosixDirectory(temp.path(), {});
  ASSERT_TRUE(opened.ok());
  const auto directory = std::move(*opened);
  const auto limit = directory->ZeroingLimit();
  EXPECT_TRUE(directory->List().value().empty());
  if (!limit) GTEST_SKIP() << "no files without a name here";
  EXPECT_GE(*limit, kZeroingLimitMin);
  EXPECT_LE(*limit, kZeroingLimitMax);

  auto made = directory->Create("a");
  ASSERT_TRUE(made.ok());
  const auto times = TryZeros(static_cast<PosixFile&>(**made));
  ASSERT_TRUE(times.ok()) << times.error().message();
  EXPECT_GE(times->first_ns.size(), 3u);
  EXPECT_EQ(times->first_ns.size(), times->again_ns.size());
  for (const int64_t ns : times->first_ns) EXPECT_GT(ns, 0);
  for (const int64_t ns : times->again_ns) EXPECT_GT(ns, 0);
  EXPECT_GT(times->zeros_bytes, 0u);
  EXPECT_GT(times->zeros_ns, 0);
}

}  // namespace
}  // namespace kvd
