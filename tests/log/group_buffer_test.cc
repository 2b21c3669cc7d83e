// SPDX-License-Identifier: MIT
#include "log/group_buffer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvd {
namespace {

constexpr SegmentIdentity kIdentity = {.id = 1, .epoch = 1};

Record Put(std::string_view value) {
  return {RecordKind::kPut, 0, 1, 0, "key", value};
}

// What the kernel was advised of the memory at `address` ("hg" for huge pages);
// nothing where it does not say.
std::optional<std::string> AdviceOf(const void* address) {
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  std::ifstream smaps("/proc/self/smaps");
  bool within = false;
  for (std::string line; std::getline(smaps, line);) {
    unsigned long begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
      within = begin <= wanted && wanted < end;
    } else if (within && line.starts_with("VmFlags:")) {
      return line;
    }
  }
  return {};
}

TEST(GroupBuffer, KeepsWhatItHasWhenItGrows) {
  GroupBuffer buffer;
  buffer.StartSegment(kIdentity);
  std::vector<std::string> values;
  std::vector<uint64_t> places;
  for (const size_t bytes : {100u, 10'000u, 30'000u, 3'000'000u, 9'000'000u}) {
    values.emplace_back(bytes, static_cast<char>('a' + values.size()));
    places.push_back(buffer.Append(Put(values.back())));
  }
  buffer.Finish(1, 0);

  for (size_t i = 0; i < values.size(); ++i) {
    const auto record =
        DecodeRecord(buffer.Bytes().substr(places[i]), kIdentity.Seed());
    ASSERT_TRUE(record) << i;
    EXPECT_EQ(record->value, values[i]) << i;
  }
}

TEST(GroupBuffer, IsInHugePagesWhenItIsNotSmall) {
  GroupBuffer buffer;
  buffer.StartSegment(kIdentity);
  EXPECT_LE(buffer.memory_bytes(), 64u << 10);
  for (const size_t bytes : {100'000u, 5'000'000u}) {
    buffer.Append(Put(std::string(bytes, 'v')));
    EXPECT_EQ(buffer.memory_bytes() % kHugePageBytes, 0u);
    const auto address = reinterpret_cast<uintptr_t>(buffer.Bytes().data());
    EXPECT_EQ(address % kHugePageBytes, 0u);
  }
  if (!std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled")) {
    GTEST_SKIP() << "this kernel has no transparent huge pages";
  }
  const auto advice = AdviceOf(buffer.Bytes().data());
  if (!advice) GTEST_SKIP() << "this kernel does not tell its advice";
  EXPECT_NE(advice->find(" hg"), std::string::npos) << *advice;
}

TEST(GroupBuffer, GivesBackWhatIsBeyondWhatIsAskedFor) {
  GroupBuffer buffer;
  buffer.StartSegment(kIdentity);
  buffer.Append(Put(std::string(100'000, 'v')));
  ASSERT_EQ(buffer.memory_bytes(), kHugePageBytes);
  // So many bytes would need as much.
  buffer.ShrinkTo(200'000);
  EXPECT_EQ(buffer.memory_bytes(), kHugePageBytes);
  buffer.ShrinkTo(1000);
  EXPECT_EQ(buffer.memory_bytes(), 0u);

  buffer.StartSegment(kIdentity);
  EXPECT_GT(buffer.memory_bytes(), 0u);
}

}  // namespace
}  // namespace kvd
