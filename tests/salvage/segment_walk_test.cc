// SPDX-License-Identifier: MIT
#include "salvage/segment_walk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <vector>

#include "tests/log/format/segment_builder.h"
#include "tests/support/sim_file_system.h"

namespace kvd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct Walked {
  std::vector<std::string> records;
  std::vector<uint64_t> offsets;
  std::vector<ByteRange> damaged;
  uint64_t end = 0;
};

class SegmentWalkTest : public testing::Test {
 protected:
  Walked Walk(const std::string& bytes, uint64_t length = 0) {
    disk_.Put("a.seg", bytes);
    const auto directory = disk_.OpenDirectory();
    auto file = ReadableFile::Open(*directory, "a.seg");
    EXPECT_TRUE(file.ok());
    Walked walked;
    WalkVisitor visitor;
    visitor.group = [](const GroupHeader&) {};
    visitor.head = [](const SegmentHead&) {};
    visitor.end = [](bool) {};
    visitor.record = [&](const Record& record, uint64_t offset) {
      walked.records.emplace_back(record.key);
      walked.offsets.push_back(offset);
    };
    visitor.damage = [&](const ByteRange& range, bool) {
      walked.damaged.push_back(range);
    };
    WalkBounds bounds;
    bounds.bytes = length == 0 ? bytes.size() : length;
    bounds.is_length = length != 0;
    bounds.seq_max = 1000;
    const auto end = WalkSegment(*file, kTestIdentity, bounds, visitor);
    EXPECT_TRUE(end.ok());
    walked.end = *end;
    return walked;
  }

  SimFileSystem disk_;
};

// Three groups, of three, one and two records.
SegmentBuilder Sample() {
  SegmentBuilder builder;
  builder.Put("a", "1").Put("b", std::string(100, 'v')).Put("c", "3");
  builder.Finish();
  builder.Put("d", "4");
  builder.Finish(3);
  builder.Put("e", std::string(33, 'w')).Put("f", "");
  builder.Finish(4);
  return builder;
}

TEST_F(SegmentWalkTest, AWholeSegmentHasNoDamage) {
  const std::string bytes = Sample().bytes();
  for (const uint64_t zeros : {0, 8, 5000}) {
    const Walked walked = Walk(bytes + std::string(zeros, '\0'));
    EXPECT_THAT(walked.records, ElementsAre("a", "b", "c", "d", "e", "f"));
    EXPECT_THAT(walked.damaged, IsEmpty());
    EXPECT_EQ(walked.end, bytes.size());
  }
}

// Whatever byte is hit: the records that it is not part of are found.
TEST_F(SegmentWalkTest, EveryIntactRecordIsFound) {
  const std::string bytes = Sample().bytes();
  const Walked whole = Walk(bytes);
  for (size_t at = kSegmentHeaderBytes; at < bytes.size(); ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    std::vector<std::string> expected;
    for (size_t i = 0; i < whole.records.size(); ++i) {
      const uint64_t begin = whole.offsets[i];
      const size_t values[] = {1, 100, 1, 1, 33, 0};
      const uint64_t end = begin + RecordBytes(1, values[i]);
      if (at < begin || at >= end) expected.push_back(whole.records[i]);
    }
    EXPECT_EQ(Walk(damaged, bytes.size()).records, expected) << at;
    // Of what follows the last byte that matters nothing is known.
    EXPECT_EQ(Walk(damaged + std::string(64, '\0')).records, expected) << at;
  }
}

TEST_F(SegmentWalkTest, ACutIsDamageWhereTheLengthIsKnown) {
  const std::string bytes = Sample().bytes();
  // Behind the last record there is padding.
  const uint64_t end = Walk(bytes).offsets.back() + RecordBytes(1, 0);
  for (size_t size = kSegmentHeaderBytes; size < end; ++size) {
    EXPECT_FALSE(Walk(bytes.substr(0, size), bytes.size()).damaged.empty())
        << size;
  }
}

TEST_F(SegmentWalkTest, ACopyOfAGroupInsideAValueIsAValue) {
  const std::string other = Sample().bytes().substr(kSegmentHeaderBytes);
  SegmentBuilder builder;
  builder.Put("outer", other);
  builder.Finish();
  std::string bytes = builder.bytes();
  EXPECT_THAT(Walk(bytes).records, ElementsAre("outer"));
}

TEST_F(SegmentWalkTest, WhatTheDeviceDoesNotGiveIsDamage) {
  SegmentBuilder builder;
  builder.Put("a", std::string(3 * kBlockBytes, 'v'));
  builder.Finish();
  builder.Put("b", "2");
  builder.Finish(1);
  // The whole cannot be read, nor the second block.
  disk_.FailAt(SimFileSystem::Op::kRead, 0, EIO);
  disk_.FailAt(SimFileSystem::Op::kRead, 2, EIO);
  const Walked walked = Walk(builder.bytes());
  EXPECT_THAT(walked.records, ElementsAre("b"));
  EXPECT_EQ(walked.damaged.size(), 1u);
}

}  // namespace
}  // namespace kvd
