// SPDX-License-Identifier: MIT
#include "log/write/group_buffer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
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
  const size_t bytes = count * sizeof(uint64_t);
  const auto page = reinterpret_cast<uintptr_t>(address) / kBlockBytes;
  const int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (pagemap < 0) return {};
  const ssize_t got = pread(pagemap, frames.data(), bytes,
                            static_cast<off_t>(page * sizeof(uint64_t)));
  close(pagemap);
  if (got != static_cast<ssize_t>(bytes)) return {};
  for (uint64_t& frame : frames) frame &= kFrame;
  return frames;
}

// How often the kernel gave huge pages at a fault ("thp_fault_alloc"), or had
// none to give ("thp_fault_fallback").
uint64_t Counted(std::string_view counter) {
  std::ifstream vmstat("/proc/vmstat");
  std::string name;
  for (uint64_t value = 0; vmstat >> name >> value;) {
    if (name == counter) return value;
  }
  return 0;
}

// The first, since memory that was used before may be in small pages already.
TEST(GroupBuffer, HugePagesAreMappedBySmallOnes) {
  std::string enabled;
  std::getline(std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled"),
               enabled);
  if (enabled.empty() || enabled.find("[never]") != std::string::npos) {
    GTEST_SKIP() << "this kernel gives no transparent huge pages";
  }
  const uint64_t given_before = Counted("thp_fault_alloc");
  const uint64_t refused_before = Counted("thp_fault_fallback");
  GroupBuffer buffer;
  buffer.StartSegment(kIdentity);
  buffer.Append(Put(std::string(3'000'000, 'v')));
  const char* memory = buffer.Bytes().data();
  const auto mapped_kib = MappedByHugePagesKib(memory);
  if (!mapped_kib) GTEST_SKIP() << "this kernel does not tell its mappings";
  EXPECT_EQ(*mapped_kib, 0u);

  const auto frames = FramesFrom(memory, kHugePageBytes / kBlockBytes);
  const bool told = !frames.empty() && frames[0] != 0;
  // All of it, and nothing to others at the same time.
  const bool given = Counted("thp_fault_alloc") - given_before ==
                         buffer.memory_bytes() / kHugePageBytes &&
                     Counted("thp_fault_fallback") == refused_before;
  if (!told || !given) GTEST_SKIP() << "no huge page, or nothing told of it";
  for (size_t i = 1; i < frames.size(); ++i) {
    ASSERT_EQ(frames[i], frames[0] + i) << "spread, page " << i;
  }
}

// Appends a record with a value of each of these sizes, and finishes the group:
// each must be found where it was said to be.
void ExpectKept(GroupBuffer& buffer, const std::vector<size_t>& sizes) {
  std::vector<std::string> values;
  std::vector<uint64_t> places;
  for (const size_t bytes : sizes) {
    values.emplace_back(bytes, static_cast<char>('a' + values.size() % 26));
    places.push_back(buffer.Append(Put(values.back())));
  }
  buffer.Finish(1, 0);

  for (size_t i = 0; i < values.size(); ++i) {
    const auto record = DecodeRecord(
        buffer.Bytes().substr(places[i] - buffer.offset()), kIdentity.Seed());
    ASSERT_TRUE(record) << i;
    EXPECT_EQ(record->value, values[i]) << i;
  }
}

TEST(GroupBuffer, KeepsWhatItHasWhenItGrows) {
  GroupBuffer buffer;
  buffer.StartSegment(kIdentity);
  ExpectKept(buffer, {100, 10'000, 30'000, 3'000'000, 9'000'000});
}

// Whether the pieces taken back were still staged, or some of them in place.
TEST(GroupBuffer, ForgetsWhatIsTakenBack) {
  const std::vector<size_t> sizes = {0, 100, 5000, 16'000, 20'000, 100'000};
  for (const size_t before : sizes) {
    for (const size_t undone : sizes) {
      for (const size_t after : sizes) {
        GroupBuffer with;
        GroupBuffer without;
        for (GroupBuffer* buffer : {&with, &without}) {
          buffer->StartSegment(kIdentity);
          buffer->Append(Put(std::string(before, 'b')));
          if (buffer == &with) {
            const uint64_t bytes = buffer->body_bytes();
            for (int i = 0; i < 4; ++i) {
              buffer->Append(Put(std::string(undone, 'u')));
            }
            buffer->CutBack(1, bytes);
          }
          buffer->Append(Put(std::string(after, 'a')));
          buffer->Finish(1, 0);
        }
        ASSERT_EQ(with.Bytes(), without.Bytes())
            << before << ", " << undone << ", " << after;
        EXPECT_EQ(with.records(), without.records());
      }
    }
  }
}

TEST(GroupBuffer, KeepsOrderWhereRecordsEncodedInPlaceFollowOthers) {
  GroupBuffer buffer;
  buffer.StartSegment(kIdentity);
  const size_t frame = RecordBytes(std::strlen("key"), 0);
  for (const size_t piece : {4u << 10, 8u << 10, 16u << 10, 32u << 10}) {
    const size_t fits = piece - frame;
    ExpectKept(buffer, {1, fits, 1, fits + 1, 1, fits - 1, 1, 20 * fits, 1});
    GroupBuffer next;
    next.StartAfter(buffer);
    ExpectKept(next, std::vector<size_t>(3000, 100));
    buffer.StartAfter(next);
  }
}

TEST(GroupBuffer, ForgetsWhatWasNotFinished) {
  GroupBuffer before, buffer;
  before.StartSegment(kIdentity);
  ExpectKept(before, {10});
  buffer.StartSegment(kIdentity);
  buffer.Append(Put(std::string(10'000, 'f')));
  buffer.StartAfter(before);
  ExpectKept(buffer, {100});
  buffer.Append(Put(std::string(10'000, 'f')));
  buffer.StartSegment(kIdentity);
  ExpectKept(buffer, {100});
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
