// SPDX-License-Identifier: MIT
#include "log/read/sparse_bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "log/format/segment.h"
#include "tests/support/sim_file_system.h"

namespace kvd {
namespace {

using Op = SimFileSystem::Op;

constexpr uint64_t kFileBytes = uint64_t{1} << 20;

Result<SparseBytes> ReadBack(SimFileSystem& disk) {
  return SparseBytes::Read(*disk.OpenDirectory(), "a");
}

// The file comes back as it is, and nothing is said to be zero that is not.
void ExpectReadsBack(const std::string& content) {
  SimFileSystem disk;
  disk.Put("a", content);
  const Result<SparseBytes> sparse = ReadBack(disk);
  ASSERT_TRUE(sparse.ok());
  EXPECT_EQ(sparse->file_bytes(), content.size());
  EXPECT_EQ(sparse->bytes().size() % kGroupAlignment, 0u);
  EXPECT_LT(sparse->bytes().size(), content.size() + kGroupAlignment);
  std::string padded = content;
  padded.resize(sparse->bytes().size(), '\0');
  // Not EXPECT_EQ, which would print both.
  EXPECT_TRUE(sparse->bytes() == padded);
  EXPECT_LE(sparse->written_end(), content.size());
  EXPECT_EQ(padded.find_first_not_of('\0', sparse->written_end()),
            std::string::npos);
}

TEST(SparseBytes, ReadsBackEverySizeWithTheLastByteWritten) {
  for (const uint64_t size :
       {uint64_t{0}, uint64_t{1}, kGroupAlignment, kGroupAlignment + 1,
        (uint64_t{128} << 10) - 1, (uint64_t{128} << 10),
        (uint64_t{128} << 10) + 1, kFileBytes, kFileBytes + 7}) {
    SCOPED_TRACE(size);
    std::string content(size, '\0');
    ExpectReadsBack(content);
    if (size > 0) content.back() = 'x';
    ExpectReadsBack(content);
  }
}

TEST(SparseBytes, ReadsBackASingleByteAnywhere) {
  for (uint64_t at = 0; at < kFileBytes; at += 4093) {
    SCOPED_TRACE(at);
    std::string content(kFileBytes, '\0');
    content[at] = 'x';
    ExpectReadsBack(content);
    content[kFileBytes - 1 - at] = 'y';
    ExpectReadsBack(content);
  }
}

TEST(SparseBytes, KnowsThatTheRestOfAFreshSegmentIsZero) {
  std::string content(kFileBytes, '\0');
  SimFileSystem disk;
  disk.Put("a", content);
  EXPECT_EQ(ReadBack(disk)->written_end(), 0u);
  content.replace(0, 4, "head");
  disk.Put("a", content);
  EXPECT_LT(ReadBack(disk)->written_end(), kFileBytes / 2);
}

TEST(SparseBytes, PassesOnEveryError) {
  SimFileSystem missing;
  const Result<SparseBytes> none = ReadBack(missing);
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code(), ErrorCode::kNotFound);
  for (const Op op : {Op::kOpen, Op::kSize, Op::kRead}) {
    SimFileSystem disk;
    disk.Put("a", std::string(kFileBytes, 'x'));
    disk.FailAt(op, 0, EIO);
    const Result<SparseBytes> failed = ReadBack(disk);
    ASSERT_FALSE(failed.ok());
    EXPECT_THAT(failed.error().message(), ::testing::HasSubstr("/a"));
  }
}

}  // namespace
}  // namespace kvd
