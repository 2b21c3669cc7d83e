// SPDX-License-Identifier: MIT
#include "daemon/host/memory_share.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temp_dir.h"

namespace kvd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A root directory with the files that the kernel would show.
class FakeRoot {
 public:
  void Put(const std::string& path, std::string_view text) {
    const std::filesystem::path file = dir_.path() + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  std::optional<uint64_t> Limit() const {
    return CgroupMemoryLimit(dir_.path());
  }

 private:
  TempDir dir_;
};

TEST(MemoryShare, LimitsMayStandInAGroupAndInAllAboveIt) {
  EXPECT_THAT(CgroupLimitFiles("0::/system.slice/kvd.service\n"),
              ElementsAre("/sys/fs/cgroup/system.slice/kvd.service/memory.max",
                          "/sys/fs/cgroup/system.slice/memory.max",
                          "/sys/fs/cgroup/memory.max"));
  EXPECT_THAT(CgroupLimitFiles("0::/\n"),
              ElementsAre("/sys/fs/cgroup/memory.max"));
}

TEST(MemoryShare, OfTheOldControllersOnlyMemoryCounts) {
  EXPECT_THAT(
      CgroupLimitFiles("12:cpu,cpuacct:/a\n"
                       "7:hugetlb,memory:/docker/x\n"
                       "1:name=systemd:/b\n"),
      ElementsAre("/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes",
                  "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes",
                  "/sys/fs/cgroup/memory/memory.limit_in_bytes"));
}

TEST(MemoryShare, AGroupOutsideOfTheNamespaceIsNotLookedFor) {
  EXPECT_THAT(CgroupLimitFiles("0::/../other/kvd\n"),
              ElementsAre("/sys/fs/cgroup/memory.max"));
}

TEST(MemoryShare, NonsenseNamesNoFile) {
  for (const char* text : {"", "\n", "0", "0:", "0::", "0::relative", "::/a",
                           "x", "3:memoryx:/a", "3:cpu:/memory"}) {
    EXPECT_THAT(CgroupLimitFiles(text), IsEmpty()) << text;
  }
}

TEST(MemoryShare, ReadsALimit) {
  EXPECT_EQ(ParseCgroupLimit("536870912\n"), uint64_t{512} << 20);
  EXPECT_EQ(ParseCgroupLimit("0\n"), 0u);
  for (const char* text : {"max\n", "9223372036854771712\n", "", "\n", "-1\n",
                           "1 2\n", "99999999999999999999999\n"}) {
    EXPECT_EQ(ParseCgroupLimit(text), std::nullopt) << text;
  }
}

TEST(MemoryShare, TheLowestLimitCounts) {
  FakeRoot root;
  EXPECT_EQ(root.Limit(), std::nullopt);
  root.Put("/proc/self/cgroup", "0::/a/b\n");
  EXPECT_EQ(root.Limit(), std::nullopt);
  root.Put("/sys/fs/cgroup/a/b/memory.max", "max\n");
  EXPECT_EQ(root.Limit(), std::nullopt);
  root.Put("/sys/fs/cgroup/a/memory.max", "2000000\n");
  EXPECT_EQ(root.Limit(), 2'000'000u);
  root.Put("/sys/fs/cgroup/a/b/memory.max", "3000000\n");
  EXPECT_EQ(root.Limit(), 2'000'000u);
  root.Put("/sys/fs/cgroup/a/b/memory.max", "1000000\n");
  EXPECT_EQ(root.Limit(), 1'000'000u);
  // Somebody else's.
  root.Put("/sys/fs/cgroup/a/c/memory.max", "1\n");
  EXPECT_EQ(root.Limit(), 1'000'000u);
}

TEST(MemoryShare, BothVersionsMayBeThereAtOnce) {
  FakeRoot root;
  root.Put("/proc/self/cgroup", "5:memory:/kvd\n0::/kvd\n");
  root.Put("/sys/fs/cgroup/memory/kvd/memory.limit_in_bytes",
           "9223372036854771712\n");
  EXPECT_EQ(root.Limit(), std::nullopt);
  root.Put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "7000000\n");
  EXPECT_EQ(root.Limit(), 7'000'000u);
}

TEST(MemoryShare, ThisMachineHasMemory) {
  EXPECT_GT(AvailableMemory(), uint64_t{16} << 20);
  EXPECT_LT(AvailableMemory(), uint64_t{1} << 50);
}

constexpr uint64_t kMiB = uint64_t{1} << 20;

TEST(MemoryShare, SharesAreOfWhatIsThere) {
  const MemoryBounds bounds = BoundsOf(
      {.value_cache = {.percent = 25}, .limit = {.percent = 50}}, 4096 * kMiB);
  EXPECT_EQ(bounds.value_cache, 1024 * kMiB);
  EXPECT_EQ(bounds.limit, 2048 * kMiB);
  EXPECT_FALSE(bounds.capped);
}

TEST(MemoryShare, WithoutALimitValuesMayTakeWhatTheyAreGiven) {
  const MemoryBounds bounds = BoundsOf(
      {.value_cache = {.bytes = 5000 * kMiB}, .limit = {}}, 4096 * kMiB);
  EXPECT_EQ(bounds.value_cache, 5000 * kMiB);
  EXPECT_EQ(bounds.limit, 0u);
  EXPECT_FALSE(bounds.capped);
}

TEST(MemoryShare, ALimitLeavesRoomForKeys) {
  const MemoryBounds bounds =
      BoundsOf({.value_cache = {.percent = 25}, .limit = {.bytes = 800 * kMiB}},
               4096 * kMiB);
  EXPECT_EQ(bounds.value_cache, 600 * kMiB);
  EXPECT_TRUE(bounds.capped);
}

TEST(MemoryShare, SomeValuesAlwaysFit) {
  EXPECT_EQ(BoundsOf({.value_cache = {.percent = 1}, .limit = {}}, 10 * kMiB)
                .value_cache,
            kMiB);
  // A limit that is tiny, too, wins.
  EXPECT_LT(BoundsOf({.value_cache = {.percent = 1}, .limit = {.bytes = kMiB}},
                     10 * kMiB)
                .value_cache,
            kMiB);
}

}  // namespace
}  // namespace kvd
