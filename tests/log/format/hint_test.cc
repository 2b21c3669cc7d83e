// SPDX-License-Identifier: MIT
#include "log/format/hint.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "base/limits.h"
#include "tests/log/format/hint_rig.h"
#include "tests/log/format/segment_builder.h"
#include "tests/support/sim_file_system.h"

namespace kvd {
namespace {

using Op = SimFileSystem::Op;

TEST_F(Hint, ListsPutsAndRemovalsAsTheSegmentHasThem) {
  const Sealed sealed(SmallSegment());
  Write(sealed);
  HintReader reader = MustOpen(sealed);
  EXPECT_EQ(reader.entries(), 7u);
  EXPECT_EQ(reader.blocks(), 1u);
  ExpectAllListed(reader, sealed);
  EXPECT_EQ(Ask(reader, sealed), 0u);
}

TEST_F(Hint, OfACompactedSegmentToo) {
  SegmentIdentity identity = kTestIdentity;
  identity.kind = SegmentKind::kCompacted;
  const Sealed sealed(SmallSegment(identity), identity);
  Write(sealed);
  HintReader reader = MustOpen(sealed);
  ExpectAllListed(reader, sealed);
  EXPECT_EQ(Ask(reader, sealed), 0u);
}

TEST_F(Hint, AnswersForEveryKeyOfManyBlocks) {
  for (const uint64_t seed : {1, 2, 3}) {
    SCOPED_TRACE(seed);
    const Sealed sealed(LargeSegment(8000, 3000, seed));
    Write(sealed);
    HintReader reader = MustOpen(sealed);
    EXPECT_GE(reader.blocks(), 4u);
    ExpectAllListed(reader, sealed);
    EXPECT_EQ(Ask(reader, sealed), 0u);
  }
}

TEST_F(Hint, MayListNothing) {
  SegmentBuilder builder;
  builder.Add({RecordKind::kFlush, 3, 0, 0, "", ""});
  builder.Finish();
  const Sealed sealed(builder);
  Write(sealed);
  HintReader reader = MustOpen(sealed);
  EXPECT_EQ(reader.entries(), 0u);
  EXPECT_EQ(reader.blocks(), 0u);
  EXPECT_EQ(reader.HoldsPutBelow(0, "a", UINT64_MAX), HintAnswer::kNo);
}

TEST_F(Hint, ARemovalBeforeThePutDoesNotHideIt) {
  SegmentBuilder builder;
  Remove(builder, "k");
  Remove(builder, "k", RecordKind::kExpire);
  builder.Put("k", "v");
  builder.Finish();
  const Sealed sealed(builder);
  Write(sealed);
  HintReader reader = MustOpen(sealed);
  EXPECT_EQ(reader.HoldsPutBelow(0, "k", 3), HintAnswer::kNo);
  EXPECT_EQ(reader.HoldsPutBelow(0, "k", 4), HintAnswer::kYes);
}

TEST_F(Hint, DependsOnTheRecordsAndNotOnTheirOrder) {
  const Sealed sealed(LargeSegment(3000, 1000, 4));
  Write(sealed);
  const std::string forwards = Bytes(sealed);
  HintBuilder backwards;
  for (auto it = sealed.records.rbegin(); it != sealed.records.rend(); ++it) {
    backwards.Add(it->first, it->second);
  }
  ASSERT_TRUE(
      backwards.Write(*directory_, sealed.identity.uuid, sealed.line).ok());
  EXPECT_EQ(Bytes(sealed), forwards);
}

TEST_F(Hint, IsTheSameWhateverIsExpected) {
  const Sealed sealed(LargeSegment(3000, 1000, 4));
  Write(sealed);
  const std::string unexpected = Bytes(sealed);
  const uint64_t records = sealed.records.size();
  for (const uint64_t expected : {records / 2, records, 2 * records}) {
    HintBuilder builder;
    builder.Expect(expected);
    const uint64_t before = builder.memory_bytes();
    for (const auto& [record, offset] : sealed.records) {
      builder.Add(record, offset);
    }
    // Beside the entries themselves, in chunks.
    const uint64_t grown = (builder.memory_bytes() - before) % (1 << 20);
    EXPECT_EQ(grown == 0, expected >= records) << expected;
    ASSERT_TRUE(
        builder.Write(*directory_, sealed.identity.uuid, sealed.line).ok());
    EXPECT_EQ(Bytes(sealed), unexpected);
  }
}

// --- Many entries of one hash ------------------------------------------------

TEST_F(Hint, OneKeyMayFillBlocks) {
  SegmentBuilder builder;
  builder.Put("other", "before");
  Remove(builder, "hot");
  for (int i = 0; i < 6000; ++i) builder.Put("hot", "v");
  for (int i = 0; i < 300; ++i) builder.Put(std::to_string(i), "neighbour");
  Remove(builder, "hot");
  builder.Finish();
  const Sealed sealed(builder);
  Write(sealed);
  HintReader reader = MustOpen(sealed);
  EXPECT_GE(reader.blocks(), 3u);
  ExpectAllListed(reader, sealed);
  EXPECT_EQ(Ask(reader, sealed), 0u);
  EXPECT_EQ(reader.HoldsPutBelow(0, "hot", 3), HintAnswer::kNo);
  EXPECT_EQ(reader.HoldsPutBelow(0, "hot", 4), HintAnswer::kYes);
}

TEST_F(Hint, FindsKeysThatShareOneHash) {
  const Sealed sealed(LargeSegment(8000, 500, 5));
  Write(sealed, &SameHash);
  HintReader reader = MustOpen(sealed, &SameHash);
  ASSERT_GE(reader.blocks(), 4u);
  ExpectAllListed(reader, sealed);
  EXPECT_EQ(Ask(reader, sealed), 0u);
}

// --- Bounds ------------------------------------------------------------------

TEST_F(Hint, TakesAtMost32BytesARecordBesideItsKey) {
  SegmentBuilder builder;
  uint64_t key_bytes = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::string key = fmt::format("user:{}", i);
    key_bytes += key.size();
    builder.Put(key, "");
    if (i % 1000 == 999) builder.Finish();
  }
  const Sealed sealed(builder);
  Write(sealed);
  HintReader reader = MustOpen(sealed);
  ASSERT_EQ(reader.entries(), 100'000u);
  const uint64_t beside = Bytes(sealed).size() - key_bytes;
  EXPECT_LE(beside, 32u * 100'000);
  RecordProperty("beside_the_key", std::to_string(beside / 1e5));
  size_t bad_blocks = 0;
  EXPECT_EQ(ReadAll(reader, &bad_blocks).size(), 100'000u);
}

TEST_F(Hint, TakesAtMost32BytesBesideTheLongestKeys) {
  constexpr uint64_t kKeys = 50;
  const Sealed sealed(LongestKeys(kKeys));
  Write(sealed);
  HintReader reader = MustOpen(sealed);
  ExpectAllListed(reader, sealed);
  EXPECT_EQ(Ask(reader, sealed), 0u);
  // The last block may be short of entries.
  EXPECT_LE(Bytes(sealed).size(), kHintHeaderBytes + kHintBlockLineBytes +
                                      kKeys * (32 + kKeyBytesMax));
}

TEST_F(Hint, IsBuiltInMemoryBoundedByItsSegment) {
  SegmentBuilder builder;
  for (int i = 0; i < 100'000; ++i) {
    builder.Put({}, "");  // The smallest record there is.
    if (i % 1000 == 999) builder.Finish();
  }
  const Sealed sealed(builder);
  EXPECT_LT(sealed.Collect().memory_bytes(),
            sealed.bytes.size() * 3 / 2 + (uint64_t{1} << 20));
}

TEST_F(Hint, AnAnswerTakesOneBlockOrTwo) {
  const Sealed sealed(LargeSegment(8000, 8000, 6));
  Write(sealed);
  HintReader reader = MustOpen(sealed);
  uint64_t most = 0;
  for (const auto& [name, oldest] : sealed.oldest_put) {
    const uint64_t before = disk_.calls(Op::kRead);
    (void)reader.HoldsPutBelow(static_cast<uint8_t>(name.first), name.second,
                               oldest);
    most = std::max(most, disk_.calls(Op::kRead) - before);
  }
  EXPECT_GE(most, 1u);
  EXPECT_LE(most, 2u);
}

TEST_F(Hint, BlocksOfOneHashAreBisected) {
  const Sealed sealed(LargeSegment(60'000, 3000, 7));
  Write(sealed, &SameHash);
  HintReader reader = MustOpen(sealed, &SameHash);
  ASSERT_GE(reader.blocks(), 32u);
  ASSERT_LT(reader.blocks(), 64u);
  for (const char* key : {"key:1", "key:1700", "key:999", "a", "z"}) {
    const uint64_t before = disk_.calls(Op::kRead);
    EXPECT_NE(reader.HoldsPutBelow(1, key, UINT64_MAX), HintAnswer::kUnknown);
    EXPECT_LE(disk_.calls(Op::kRead) - before, 6u + 2);
  }
}

// --- Damage ------------------------------------------------------------------

}  // namespace
}  // namespace kvd
