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

#include "fs/file_system.h"

namespace kvd {
namespace {

constexpr SegmentIdentity kIdentity = {.id = 1, .epoch = 1};

Record Put(std::string_view value) {
  return {RecordKind::kPut, 0, 1, 0, "key", value};
}

// How much of the memory around `address` is mapped by huge pages, in KiB;
// nothing where the kernel does not say.
std::optional<unsigned long> MappedByHugePagesKib(const void* address) {
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  std::ifstream smaps("/proc/self/smaps");
  bool within = false;
  for (std::string line; std::getline(smaps, line);) {
    unsigned long begin = 0, end = 0, kib = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
      within = begin <= wanted && wanted < end;
    } else if (within &&
               std::sscanf(line.c_str(), "AnonHugePages: %lu kB", &kib) == 1) {
      return kib;
    }
  }
  return {};
}

// The physical pages from `address` on. Zeros, or nothing, for who may not
// know.
std::vector<uint64_t> FramesFrom(const void* address, size_t count) {
  constexpr uint64_t kFrame = (UINT64_C(1) << 55) - 1;
  std::vector<uint64_t> frames(count);
  std::ifstream pagemap("/proc/self/pagemap", std::ios::binary);
  pagemap.seekg(static_cast<std::streamoff>(
      reinterpret_cast<uintptr_t>(address) / kBlockBytes * sizeof(uint64_t)));
  if (!pagemap.read(reinterpret_cast<char*>(frames.data()),
                    static_cast<std::streamsize>(count * sizeof(uint64_t)))) {
    return {};
  }
  for (uint64_t& frame : frames) frame &= kFrame;
  return frames;
}

// How often the kernel had no huge page to give.
uint64_t HugePagesRefused() {
  std::ifstream vmstat("/proc/vmstat");
  std::string name;
  for (uint64_t value = 0; vmstat >> name >> value;) {
    if (name == "thp_fault_fallback") return value;
  }
  return 0;
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

TEST(GroupBuffer, HasRoomForHugePagesWhenItIsNotSmall) {
  GroupBuffer buffer;
  buffer.StartSegment(kIdentity);
  EXPECT_LE(buffer.memory_bytes(), 64u << 10);
  for (const size_t bytes : {100'000u, 5'000'000u}) {
    buffer.Append(Put(std::string(bytes, 'v')));
    EXPECT_EQ(buffer.memory_bytes() % kHugePageBytes, 0u);
    const auto address = reinterpret_cast<uintptr_t>(buffer.Bytes().data());
    EXPECT_EQ(address % kHugePageBytes, 0u);
  }
}

TEST(GroupBuffer, HugePagesAreMappedBySmallOnes) {
  std::string enabled;
  std::getline(std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled"),
               enabled);
  if (enabled.empty() || enabled.find("[never]") != std::string::npos) {
    GTEST_SKIP() << "this kernel gives no transparent huge pages";
  }
  const uint64_t refused_before = HugePagesRefused();
  GroupBuffer buffer;
  buffer.StartSegment(kIdentity);
  buffer.Append(Put(std::string(3'000'000, 'v')));
  const char* memory = buffer.Bytes().data();
  const auto mapped_kib = MappedByHugePagesKib(memory);
  if (!mapped_kib) GTEST_SKIP() << "this kernel does not tell its mappings";
  EXPECT_EQ(*mapped_kib, 0u);

  const auto frames = FramesFrom(memory, kHugePageBytes / kBlockBytes);
  if (frames.empty() || frames[0] == 0 || HugePagesRefused() > refused_before) {
    return;
  }
  for (size_t i = 1; i < frames.size(); ++i) {
    ASSERT_EQ(frames[i], frames[0] + i) << "spread, page " << i;
  }
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
