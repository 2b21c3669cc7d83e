// SPDX-License-Identifier: MIT
//
// Hints as files: whose they are, how they are written, when they go.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "log/read/leftovers.h"
#include "tests/log/format/hint_rig.h"
#include "tests/log/format/segment_builder.h"
#include "tests/support/sim_file_system.h"

namespace kvd {
namespace {

using Op = SimFileSystem::Op;

TEST_F(Hint, MissingIsNotFound) {
  EXPECT_EQ(CodeOfOpen(Sealed(SmallSegment())), ErrorCode::kNotFound);
}

TEST_F(Hint, IsBoundToTheBytesThatTheManifestNames) {
  const Sealed sealed(SmallSegment());
  Write(sealed);
  const StoreUuid uuid = sealed.identity.uuid;
  StoreUuid other_uuid = uuid;
  other_uuid[15] ^= 1;
  EXPECT_EQ(CodeOfOpen(other_uuid, sealed.line), ErrorCode::kCorruption);

  SealedSegment other = sealed.line;
  ++other.id;
  disk_.Copy(HintName(sealed.line.id), HintName(other.id));
  EXPECT_EQ(CodeOfOpen(uuid, other), ErrorCode::kCorruption);
  other = sealed.line;
  ++other.epoch;
  EXPECT_EQ(CodeOfOpen(uuid, other), ErrorCode::kCorruption);
  other = sealed.line;
  other.kind = SegmentKind::kCompacted;
  EXPECT_EQ(CodeOfOpen(uuid, other), ErrorCode::kCorruption);
  other = sealed.line;
  other.bytes += 8;
  EXPECT_EQ(CodeOfOpen(uuid, other), ErrorCode::kCorruption);
  other = sealed.line;
  other.checksum ^= 1;
  EXPECT_EQ(CodeOfOpen(uuid, other), ErrorCode::kCorruption);
  EXPECT_EQ(CodeOfOpen(uuid, sealed.line), ErrorCode{});
}

TEST_F(Hint, SwappedFilesAreRefused) {
  SegmentIdentity second = kTestIdentity;
  ++second.id;
  const Sealed a(SmallSegment());
  const Sealed b(SmallSegment(second), second);
  Write(a);
  Write(b);
  ASSERT_EQ(CodeOfOpen(a), ErrorCode{});
  ASSERT_EQ(CodeOfOpen(b), ErrorCode{});
  const std::string of_a = Bytes(a);
  PutBytes(a, Bytes(b));
  PutBytes(b, of_a);
  EXPECT_EQ(CodeOfOpen(a), ErrorCode::kCorruption);
  EXPECT_EQ(CodeOfOpen(b), ErrorCode::kCorruption);
}

// --- Writing -----------------------------------------------------------------

TEST_F(Hint, TakesThePlaceOfWhatHasItsName) {
  const Sealed sealed(SmallSegment());
  PutBytes(sealed, std::string(100'000, 'x'));
  Write(sealed);
  HintReader reader = MustOpen(sealed);
  ExpectAllListed(reader, sealed);
}

TEST_F(Hint, IsDurableOnceItsNameIs) {
  const Sealed sealed(SmallSegment());
  Write(sealed);
  ASSERT_TRUE(directory_->Sync().ok());
  const auto image = disk_.Image({});
  const auto directory = image->OpenDirectory();
  Result<HintReader> reader =
      HintReader::Open(*directory, sealed.identity.uuid, sealed.line);
  ASSERT_TRUE(reader.ok());
  ExpectAllListed(*reader, sealed);
}

TEST_F(Hint, AFailedWriteLeavesNone) {
  const Sealed sealed(LargeSegment(4000, 1500, 10));
  for (const Op op : {Op::kRemove, Op::kCreate, Op::kWrite, Op::kSync}) {
    const uint64_t before = disk_.calls(op);
    Write(sealed);
    const uint64_t calls = disk_.calls(op) - before;
    ASSERT_GE(calls, op == Op::kWrite ? 4u : 1u);
    for (uint64_t nth = 0; nth < calls; ++nth) {
      SCOPED_TRACE(fmt::format("{} {}", static_cast<int>(op), nth));
      disk_.Remove(HintName(12));
      disk_.FailAt(op, nth, ENOSPC, SimFileSystem::Repeat::kOnce,
                   /*partial_bytes=*/40);
      const Result<void> written = sealed.Collect().Write(
          *directory_, sealed.identity.uuid, sealed.line);
      ASSERT_FALSE(written.ok());
      EXPECT_EQ(written.error().code(), ErrorCode::kNoSpace);
      EXPECT_FALSE(disk_.Exists(HintName(12)));
      Write(sealed);
    }
  }
  EXPECT_EQ(CodeOfOpen(sealed), ErrorCode{});
}

// Even where the rest cannot be removed.
TEST_F(Hint, WhatAFullDiskCutShortIsNotAccepted) {
  const Sealed sealed(LargeSegment(4000, 1500, 11));
  Write(sealed);
  const uint64_t pages = disk_.used_bytes() / 4096;
  ASSERT_GE(pages, 10u);
  for (uint64_t page = 0; page < pages; ++page) {
    SCOPED_TRACE(page);
    disk_.Remove(HintName(12));
    disk_.SetCapacity(page * 4096);
    disk_.FailAt(Op::kRemove, 1, EIO);
    const Result<void> written =
        sealed.Collect().Write(*directory_, sealed.identity.uuid, sealed.line);
    disk_.ClearFailures();
    ASSERT_FALSE(written.ok());
    EXPECT_EQ(written.error().code(), ErrorCode::kNoSpace);
    ASSERT_TRUE(disk_.Exists(HintName(12)));
    EXPECT_EQ(CodeOfOpen(sealed), ErrorCode::kCorruption);
  }
}

// Whatever a crash leaves of it, no answer is wrong.
TEST_F(Hint, NoCrashLeavesAWrongOne) {
  const Sealed sealed(LargeSegment(3000, 300, 12));
  PutBytes(sealed, "an older one");
  size_t hints = 0;
  size_t unknown = 0;
  const size_t images = ForEachCrash(
      disk_, /*images_per_crash=*/60,
      [&](SimFileSystem& disk) {
        const auto directory = disk.OpenDirectory();
        (void)sealed.Collect().Write(*directory, sealed.identity.uuid,
                                     sealed.line);
        (void)directory->Sync();
      },
      [&](SimFileSystem& image, const std::string& words) {
        SCOPED_TRACE(words);
        const auto directory = image.OpenDirectory();
        Result<HintReader> reader =
            HintReader::Open(*directory, sealed.identity.uuid, sealed.line);
        if (!reader.ok()) return;
        ++hints;
        unknown += Ask(*reader, sealed) > 0 ? 1 : 0;
      });
  EXPECT_GT(images, 20u);
  EXPECT_GT(hints, 0u);
  EXPECT_LT(hints, images);
  EXPECT_GT(unknown, 0u);
}

using HintDeathTest = Hint;

TEST_F(HintDeathTest, IsNotWrittenOfOtherRecordsThanTheSegments) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const Sealed sealed(SmallSegment());
  const auto write = [&](HintBuilder builder) {
    (void)builder.Write(*directory_, sealed.identity.uuid, sealed.line);
  };
  HintBuilder lacks_one;
  for (size_t i = 1; i < sealed.records.size(); ++i) {
    lacks_one.Add(sealed.records[i].first, sealed.records[i].second);
  }
  EXPECT_DEATH(write(std::move(lacks_one)), "segment.records");
  HintBuilder others;
  for (const auto& [record, offset] : sealed.records) {
    Record later = record;
    ++later.seq;
    others.Add(later, offset);
  }
  EXPECT_DEATH(write(std::move(others)), "first_seq");
}

// --- Left-overs --------------------------------------------------------------

TEST_F(Hint, IsALeftoverWithoutASegmentThatTheManifestNames) {
  const Sealed sealed(SmallSegment());
  disk_.Put(SegmentName(sealed.line.id), sealed.bytes);
  Write(sealed);
  Manifest manifest;
  manifest.uuid = sealed.identity.uuid;
  manifest.next_segment = 20;
  manifest.sealed = {sealed.line};
  disk_.Put(HintName(11), "of a segment that is gone");
  disk_.Put(HintName(30), "of one that never was");
  auto leftovers = FindLeftovers(*directory_, manifest);
  ASSERT_TRUE(leftovers.ok());
  std::sort(leftovers->begin(), leftovers->end());
  EXPECT_EQ(*leftovers, (std::vector<std::string>{HintName(11), HintName(30)}));

  // Once compaction has dropped the segment its hint goes with it.
  manifest.sealed.clear();
  leftovers = FindLeftovers(*directory_, manifest);
  ASSERT_TRUE(leftovers.ok());
  std::sort(leftovers->begin(), leftovers->end());
  EXPECT_EQ(*leftovers,
            (std::vector<std::string>{HintName(11), HintName(12),
                                      SegmentName(12), HintName(30)}));
}

}  // namespace
}  // namespace kvd
