// SPDX-License-Identifier: MIT
//
// Reading sealed segments step by step: everything comes out, nothing wrong
// does, and it takes a chunk's memory whatever the segment's size.
#include "log/read/sealed_cursor.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/checksum.h"
#include "log/read/sealed_walk.h"
#include "tests/log/handmade_store.h"

namespace kvd {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// A record and its place, as text.
std::string Describe(uint64_t segment, uint64_t offset, const Record& record) {
  return fmt::format("{}:{} {} {} {} {} {} = {} bytes {:x}", segment, offset,
                     record.seq, static_cast<int>(record.kind), record.database,
                     record.deadline_ms, record.key, record.value.size(),
                     Checksum(record.value, 0));
}

// What a cursor did until it was done or failed.
struct Outcome {
  std::vector<std::string> records;
  ErrorCode code = {};
  std::string error;
  uint64_t failed_in = 0;  // The segment.
  uint64_t bytes_read = 0;
  uint64_t bytes_of_a_step = 0;
  size_t records_of_a_step = 0;
  uint64_t memory_bytes = 0;       // At its highest.
  uint64_t last_memory_bytes = 0;  // At the last step that read.
};

Outcome ReadThrough(SimFileSystem* disk, const Manifest& manifest,
                    size_t records_max = 100) {
  Outcome outcome;
  const auto directory = disk->OpenDirectory();
  SealedCursor cursor(*directory, manifest.uuid, manifest.sealed, records_max);
  while (!cursor.done()) {
    const Result<void> step = cursor.Step();
    outcome.memory_bytes =
        std::max(outcome.memory_bytes, cursor.memory_bytes());
    if (!step) {
      outcome.code = step.error().code();
      outcome.error = step.error().message();
      outcome.failed_in = cursor.segment().id;
      break;
    }
    for (size_t i = 0; i < cursor.records().size(); ++i) {
      outcome.records.push_back(Describe(
          cursor.segment().id, cursor.offsets()[i], cursor.records()[i]));
    }
    outcome.bytes_read += cursor.bytes_read();
    outcome.bytes_of_a_step =
        std::max(outcome.bytes_of_a_step, cursor.bytes_read());
    outcome.records_of_a_step =
        std::max(outcome.records_of_a_step, cursor.records().size());
    if (cursor.bytes_read() != 0) {
      outcome.last_memory_bytes = cursor.memory_bytes();
    }
  }
  return outcome;
}

// The same by the reader that has a whole segment in memory.
std::vector<std::string> ReadPlainly(SimFileSystem* disk,
                                     const Manifest& manifest) {
  std::vector<std::string> records;
  const auto directory = disk->OpenDirectory();
  for (const SealedSegment& segment : manifest.sealed) {
    const Result<void> read = CheckSealedSegment(
        *directory, manifest, segment, [&](const Group& group, uint32_t id) {
          for (size_t i = 0; i < group.records.size(); ++i) {
            records.push_back(Describe(id, group.offsets[i], group.records[i]));
          }
        });
    EXPECT_TRUE(read.ok()) << read.error().message();
  }
  return records;
}

uint64_t BytesOf(const Manifest& manifest) {
  uint64_t bytes = 0;
  for (const SealedSegment& segment : manifest.sealed) bytes += segment.bytes;
  return bytes;
}

std::string NameOf(const Manifest& manifest, size_t i) {
  return SegmentName(manifest.sealed[i].id);
}

// Puts with values of `value_bytes` that fill about `bytes`.
std::vector<OwnRecord> Puts(uint64_t first_seq, uint64_t bytes,
                            size_t value_bytes) {
  std::vector<OwnRecord> records;
  for (uint64_t filled = 0; filled < bytes; filled += records.back().bytes()) {
    const uint64_t seq = first_seq + records.size();
    records.push_back(
        {RecordKind::kPut, seq, fmt::format("key{}", seq),
         std::string(value_bytes, static_cast<char>('a' + seq % 26))});
  }
  return records;
}

// One of each kind of record, in three groups.
void AddSmallSegment(HandmadeStore* store) {
  store->AddSealed(SegmentKind::kLog,
                   {{RecordKind::kPut, 1, "a", "1", 3, 1'700'000'000'000},
                    {RecordKind::kPut, 2, "b", std::string(100, 'b')},
                    {RecordKind::kDelete, 3, "b", ""},
                    {RecordKind::kExpire, 4, "a", "", 3},
                    {RecordKind::kFlush, 5, "", "", 7},
                    {RecordKind::kPut, 6, "c", "3"},
                    {RecordKind::kPut, 7, "d", "45"}});
}

// Several chunks, groups smaller and larger than one, and segments of both
// kinds.
void AddLargeSegments(HandmadeStore* store) {
  std::vector<OwnRecord> records = Puts(1, 5 * kChunkBytes / 2, 30'000);
  const auto add_large = [&](uint64_t seq, size_t value_bytes) {
    records.push_back(
        {RecordKind::kPut, seq, "large", std::string(value_bytes, 'L')});
  };
  add_large(records.back().seq + 1, 3 * kChunkBytes + 12'345);
  records.push_back({RecordKind::kPut, records.back().seq + 1, "small", "s"});
  store->AddSealed(SegmentKind::kLog, records, /*per_group=*/1);
  // It begins with a group larger than a chunk, and goes on with another one.
  const uint64_t next = records.back().seq + 1;
  records.clear();
  add_large(next + 9, 2 * kChunkBytes);
  add_large(next + 2, kChunkBytes);
  add_large(next + 5, 1);
  store->AddSealed(SegmentKind::kCompacted, records, 1);
  store->AddSealed(SegmentKind::kLog, Puts(next + 10, kChunkBytes, 7), 1000);
}

// --- Everything comes out ----------------------------------------------------

TEST(SealedCursor, OfNoSegmentsIsDone) {
  SimFileSystem disk;
  const auto directory = disk.OpenDirectory();
  EXPECT_TRUE(SealedCursor(*directory, {}, {}, 10).done());
}

TEST(SealedCursor, HandsOutEveryRecordWithItsOffset) {
  HandmadeStore store;
  AddSmallSegment(&store);
  store.AddSealed(SegmentKind::kLog, {});
  store.AddSealed(
      SegmentKind::kCompacted,
      {{RecordKind::kPut, 30, "e", "6"}, {RecordKind::kDelete, 20, "d", ""}});
  const auto disk = store.Disk();
  for (const size_t records_max : {1, 2, 3, 100}) {
    SCOPED_TRACE(records_max);
    const Outcome outcome =
        ReadThrough(disk.get(), store.manifest(), records_max);
    EXPECT_EQ(outcome.error, "");
    EXPECT_EQ(outcome.records, ReadPlainly(disk.get(), store.manifest()));
    EXPECT_EQ(outcome.records.size(), 9u);
    EXPECT_LE(outcome.records_of_a_step, records_max);
  }
}

TEST(SealedCursor, ReadsSegmentsOfAnySizeInChunks) {
  HandmadeStore store;
  AddLargeSegments(&store);
  const auto disk = store.Disk();
  const Outcome outcome = ReadThrough(disk.get(), store.manifest());
  EXPECT_EQ(outcome.error, "");
  EXPECT_EQ(outcome.records, ReadPlainly(disk.get(), store.manifest()));
  EXPECT_EQ(outcome.records_of_a_step, 100u);
  // What a rate is kept by: each byte once, a large group's too.
  EXPECT_EQ(outcome.bytes_read, BytesOf(store.manifest()));
  EXPECT_LE(outcome.bytes_of_a_step, kChunkBytes);
}

TEST(SealedCursor, WhatLiesBehindTheSealedLengthDoesNotCount) {
  HandmadeStore store;
  AddSmallSegment(&store);
  const auto disk = store.Disk();
  const std::string name = NameOf(store.manifest(), 0);
  const std::string bytes = disk->ReadAll(name);
  for (const char behind : {'\0', 'x'}) {
    disk->Put(name, bytes + std::string(5000, behind));
    const Outcome outcome = ReadThrough(disk.get(), store.manifest());
    EXPECT_EQ(outcome.error, "");
    EXPECT_EQ(outcome.records.size(), 7u);
  }
}

// --- Memory ------------------------------------------------------------------

TEST(SealedCursor, TakesTheChunksMemoryWhateverTheSegmentsSize) {
  for (const uint64_t chunks : {4, 16}) {
    SCOPED_TRACE(chunks);
    HandmadeStore store;
    store.AddSealed(SegmentKind::kLog, Puts(1, chunks * kChunkBytes, 1000), 50);
    const Outcome outcome = ReadThrough(store.Disk().get(), store.manifest());
    EXPECT_EQ(outcome.error, "");
    EXPECT_GE(outcome.memory_bytes, kChunkBytes);
    EXPECT_LE(outcome.memory_bytes, 2 * kChunkBytes);
  }
}

TEST(SealedCursor, TakesAFewChunksForTheSmallestRecords) {
  HandmadeStore store;
  store.AddSealed(SegmentKind::kLog, Puts(1, 6 * kChunkBytes, 0), 1000);
  const Outcome outcome = ReadThrough(store.Disk().get(), store.manifest());
  EXPECT_EQ(outcome.error, "");
  EXPECT_LE(outcome.memory_bytes, 4 * kChunkBytes);
}

TEST(SealedCursor, KeepsNothingOfALargeGroup) {
  constexpr size_t kLarge = 8 * kChunkBytes;
  HandmadeStore store;
  std::vector<OwnRecord> records = {
      {RecordKind::kPut, 1, "large", std::string(kLarge, 'L')}};
  for (OwnRecord& put : Puts(2, 3 * kChunkBytes, 1000)) {
    records.push_back(std::move(put));
  }
  store.AddSealed(SegmentKind::kLog, records, 1);
  const Outcome outcome = ReadThrough(store.Disk().get(), store.manifest());
  EXPECT_EQ(outcome.error, "");
  EXPECT_GE(outcome.memory_bytes, kLarge);
  EXPECT_LE(outcome.memory_bytes, kLarge + 2 * kChunkBytes);
  EXPECT_LE(outcome.last_memory_bytes, 3 * kChunkBytes);
}

// --- Damage ------------------------------------------------------------------

// Whether it failed, and what came out before are the first of `expected`.
void ExpectDamageFound(const Outcome& outcome,
                       const std::vector<std::string>& expected) {
  EXPECT_EQ(outcome.code, ErrorCode::kCorruption);
  EXPECT_THAT(outcome.error, StartsWith("/sim/"));
  ASSERT_LE(outcome.records.size(), expected.size());
  EXPECT_TRUE(std::equal(outcome.records.begin(), outcome.records.end(),
                         expected.begin()));
}

TEST(SealedCursor, FindsEveryFlippedBitOfASmallSegment) {
  HandmadeStore store;
  AddSmallSegment(&store);
  const auto disk = store.Disk();
  const std::string name = NameOf(store.manifest(), 0);
  const uint64_t bits = 8 * store.manifest().sealed[0].bytes;
  for (uint64_t bit = 0; bit < bits; ++bit) {
    SCOPED_TRACE(fmt::format("bit {} of byte {}", bit % 8, bit / 8));
    disk->Flip(name, bit);
    // It is one chunk, so nothing of it was handed out.
    ExpectDamageFound(ReadThrough(disk.get(), store.manifest()), {});
    disk->Flip(name, bit);
    if (HasFailure()) return;
  }
}

TEST(SealedCursor, HandsOutNothingWrongOfALargeSegment) {
  HandmadeStore store;
  AddLargeSegments(&store);
  const auto disk = store.Disk();
  const std::vector<std::string> expected =
      ReadPlainly(disk.get(), store.manifest());
  size_t some_came_out = 0;
  for (size_t i = 0; i < store.manifest().sealed.size(); ++i) {
    const SealedSegment& segment = store.manifest().sealed[i];
    for (uint64_t byte = i; byte < segment.bytes; byte += 50'021) {
      SCOPED_TRACE(fmt::format("byte {} of {}", byte, segment.id));
      disk->Flip(SegmentName(segment.id), 8 * byte + byte % 8);
      const Outcome outcome = ReadThrough(disk.get(), store.manifest());
      disk->Flip(SegmentName(segment.id), 8 * byte + byte % 8);
      ExpectDamageFound(outcome, expected);
      EXPECT_EQ(outcome.failed_in, segment.id);
      some_came_out += outcome.records.empty() ? 0 : 1;
      if (testing::Test::HasFailure()) return;
    }
  }
  EXPECT_GT(some_came_out, 50u);
}

TEST(SealedCursor, SaysWhereTheDamageIs) {
  HandmadeStore store;
  AddSmallSegment(&store);
  const auto disk = store.Disk();
  disk->Flip(NameOf(store.manifest(), 0), 8 * (kSegmentHeaderBytes + 3));
  EXPECT_EQ(ReadThrough(disk.get(), store.manifest()).error,
            "/sim/0000000001.seg: damaged at offset 128");
}

// Nothing but the checksum of the whole covers the zeros behind a group.
TEST(SealedCursor, FindsADifferenceBesideTheRecordsAtTheEnd) {
  HandmadeStore store;
  store.AddSealed(SegmentKind::kLog, Puts(1, 3 * kChunkBytes, 1001), 1);
  const auto disk = store.Disk();
  const std::vector<std::string> expected =
      ReadPlainly(disk.get(), store.manifest());
  const uint64_t padding = kSegmentHeaderBytes + kGroupHeaderBytes +
                           store.segments()[0].records[0].bytes();
  ASSERT_NE(padding % kGroupAlignment, 0u);
  disk->Flip(NameOf(store.manifest(), 0), 8 * padding);
  const Outcome outcome = ReadThrough(disk.get(), store.manifest());
  ExpectDamageFound(outcome, expected);
  EXPECT_THAT(outcome.error, HasSubstr("wrong checksum of its"));
  // All but the last chunk.
  EXPECT_GT(outcome.records.size(), expected.size() / 2);
  EXPECT_LT(outcome.records.size(), expected.size());
}

TEST(SealedCursor, FindsEveryCut) {
  HandmadeStore store;
  AddSmallSegment(&store);
  const auto disk = store.Disk();
  const std::string name = NameOf(store.manifest(), 0);
  const std::string bytes = disk->ReadAll(name);
  for (size_t size = 0; size < bytes.size(); ++size) {
    SCOPED_TRACE(size);
    disk->Put(name, bytes.substr(0, size));
    const Outcome outcome = ReadThrough(disk.get(), store.manifest());
    ExpectDamageFound(outcome, {});
    EXPECT_EQ(outcome.error,
              fmt::format("/sim/{}: {} bytes long, the MANIFEST says {}", name,
                          size, bytes.size()));
  }
}

TEST(SealedCursor, FindsTheCutOfALargeSegment) {
  HandmadeStore store;
  AddLargeSegments(&store);
  const auto disk = store.Disk();
  const std::vector<std::string> expected =
      ReadPlainly(disk.get(), store.manifest());
  const uint64_t size = store.manifest().sealed[0].bytes - 1;
  disk->Truncate(NameOf(store.manifest(), 0), size);
  const Outcome outcome = ReadThrough(disk.get(), store.manifest());
  ExpectDamageFound(outcome, expected);
  EXPECT_GT(outcome.records.size(), 0u);
  EXPECT_THAT(outcome.error, HasSubstr(fmt::format("{} bytes long", size)));
}

TEST(SealedCursor, ReadsNoSegmentOfAnotherStorePlaceOrTime) {
  const std::vector<std::function<void(Manifest*)>> others = {
      [](Manifest* manifest) { manifest->uuid[0] ^= 1; },
      [](Manifest* manifest) { ++manifest->sealed[0].epoch; },
      [](Manifest* manifest) {
        manifest->sealed[0].kind = SegmentKind::kCompacted;
      }};
  HandmadeStore store;
  AddSmallSegment(&store);
  const auto disk = store.Disk();
  for (const auto& change : others) {
    Manifest manifest = store.manifest();
    change(&manifest);
    const Outcome outcome = ReadThrough(disk.get(), manifest);
    ExpectDamageFound(outcome, {});
    EXPECT_THAT(outcome.error, HasSubstr("its header is not that of"));
  }
  Manifest manifest = store.manifest();
  ++manifest.sealed[0].id;
  disk->Copy(NameOf(store.manifest(), 0), NameOf(manifest, 0));
  const Outcome outcome = ReadThrough(disk.get(), manifest);
  EXPECT_THAT(outcome.error, HasSubstr("its header is not that of"));
}

TEST(SealedCursor, FindsAManifestThatSaysSomethingElse) {
  const std::vector<std::function<void(SealedSegment*)>> others = {
      [](SealedSegment* line) { ++line->records; },
      [](SealedSegment* line) { --line->records; },
      [](SealedSegment* line) { ++line->first_seq; },
      [](SealedSegment* line) { --line->last_seq; },
      [](SealedSegment* line) { line->checksum ^= 1; },
      [](SealedSegment* line) { line->bytes -= kGroupAlignment; },
      [](SealedSegment* line) { line->bytes += kGroupAlignment; },
      [](SealedSegment* line) { line->bytes = kSegmentHeaderBytes; },
      [](SealedSegment* line) { line->bytes = 1; },
      [](SealedSegment* line) { line->bytes = 0; }};
  for (const bool large : {false, true}) {
    HandmadeStore store;
    if (large) {
      AddLargeSegments(&store);
    } else {
      AddSmallSegment(&store);
    }
    const auto disk = store.Disk();
    const std::vector<std::string> expected =
        ReadPlainly(disk.get(), store.manifest());
    for (size_t i = 0; i < others.size(); ++i) {
      SCOPED_TRACE(i);
      Manifest manifest = store.manifest();
      others[i](&manifest.sealed[0]);
      const Outcome outcome = ReadThrough(disk.get(), manifest);
      ExpectDamageFound(outcome, expected);
      EXPECT_EQ(outcome.failed_in, manifest.sealed[0].id);
      // Who counted them has fewer than the segment holds.
      EXPECT_LT(outcome.records.size(), store.segments()[0].records.size());
    }
  }
}

// A group that is intact and says that it is larger than the segment: memory is
// not taken at its word.
TEST(SealedCursor, BelievesNoGroupThatIsLargerThanItsSegment) {
  HandmadeStore store;
  store.AddSealed(SegmentKind::kLog, {{RecordKind::kPut, 1, "a", "1"}});
  const SealedSegment& line = store.manifest().sealed[0];
  GroupHeader header;
  header.records = 1;
  header.offset = kSegmentHeaderBytes;
  header.epoch = line.epoch;
  header.first_seq = 1;
  header.body_bytes = kSegmentBytesMax;
  std::string bytes(kGroupHeaderBytes, '\0');
  EncodeGroupHeader(bytes.data(), header,
                    store.manifest().IdentityOf(line).Seed());
  const auto disk = store.Disk();
  disk->Overwrite(SegmentName(line.id), kSegmentHeaderBytes, bytes);
  const Outcome outcome = ReadThrough(disk.get(), store.manifest());
  ExpectDamageFound(outcome, {});
  EXPECT_LE(outcome.memory_bytes, kChunkBytes);
}

TEST(SealedCursor, FindsAGapBetweenTheGroupsOfALog) {
  HandmadeStore store;
  store.AddSealed(
      SegmentKind::kLog,
      {{RecordKind::kPut, 1, "a", "1"}, {RecordKind::kPut, 3, "b", "2"}},
      /*per_group=*/1);
  ExpectDamageFound(ReadThrough(store.Disk().get(), store.manifest()), {});
}

// --- What cannot be read -----------------------------------------------------

TEST(SealedCursor, AMissingFileIsNotDamage) {
  HandmadeStore store;
  AddLargeSegments(&store);
  const auto disk = store.Disk();
  disk->Remove(NameOf(store.manifest(), 1));
  const Outcome outcome = ReadThrough(disk.get(), store.manifest());
  EXPECT_EQ(outcome.code, ErrorCode::kNotFound);
  EXPECT_EQ(outcome.failed_in, store.manifest().sealed[1].id);
  EXPECT_EQ(outcome.records.size(), store.segments()[0].records.size());
}

TEST(SealedCursor, AReadErrorIsReportedAsSuch) {
  HandmadeStore store;
  AddLargeSegments(&store);
  uint64_t reads = 0;
  {
    const auto disk = store.Disk();
    ReadThrough(disk.get(), store.manifest());
    reads = disk->calls(SimFileSystem::Op::kRead);
  }
  ASSERT_GT(reads, 8u);
  for (uint64_t nth = 0; nth < reads; ++nth) {
    SCOPED_TRACE(nth);
    const auto disk = store.Disk();
    disk->FailAt(SimFileSystem::Op::kRead, nth, EIO);
    EXPECT_EQ(ReadThrough(disk.get(), store.manifest()).code, ErrorCode::kIo);
  }
}

}  // namespace
}  // namespace kvd
