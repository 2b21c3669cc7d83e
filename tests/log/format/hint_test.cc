// SPDX-License-Identifier: MIT
#include "log/format/hint.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/checksum.h"
#include "base/coding.h"
#include "base/limits.h"
#include "log/read/leftovers.h"
#include "log/read/segment_reader.h"
#include "tests/log/format/segment_builder.h"
#include "tests/support/sim_file_system.h"

namespace kvd {
namespace {

using Op = SimFileSystem::Op;

constexpr size_t kEntriesAt = 72;
constexpr size_t kBlocksAt = 80;
constexpr size_t kIndexOffsetAt = 88;
constexpr size_t kIndexChecksumAt = 96;
constexpr size_t kHeaderChecksumAt = 120;

// What a hint says about one record, with a key of its own.
using Listed =
    std::tuple<uint64_t, int, int, uint64_t, uint64_t, uint64_t, std::string>;

Listed ListedOf(const HintEntry& entry) {
  return {entry.seq,
          entry.database,
          static_cast<int>(entry.kind),
          entry.deadline_ms,
          entry.offset,
          entry.value_size,
          std::string(entry.key)};
}

// A sealed segment, and what its hint should say.
struct Sealed {
  // The builder's groups are finished.
  explicit Sealed(const SegmentBuilder& builder,
                  const SegmentIdentity& identity = kTestIdentity)
      : identity(identity), bytes(builder.bytes()) {
    SegmentReader reader(bytes, identity);
    Group group;
    while (reader.Next(&group) == Found::kGroup) {
      for (size_t i = 0; i < group.records.size(); ++i) {
        records.emplace_back(group.records[i], group.offsets[i]);
      }
    }
    line = {identity.id,
            identity.epoch,
            identity.kind,
            bytes.size(),
            records.size(),
            records.front().first.seq,
            records.back().first.seq,
            Checksum(bytes, 0)};
    for (const auto& [record, offset] : records) List(record, offset);
  }
  Sealed(const Sealed&) = delete;  // Its records point into its bytes.
  Sealed& operator=(const Sealed&) = delete;

  void List(const Record& record, uint64_t offset) {
    if (record.kind > RecordKind::kExpire) return;
    const std::pair name(static_cast<int>(record.database),
                         std::string(record.key));
    listed.emplace(record.seq, name.first, static_cast<int>(record.kind),
                   record.deadline_ms, offset, record.value.size(),
                   name.second);
    uint64_t& oldest = oldest_put.try_emplace(name, UINT64_MAX).first->second;
    if (record.kind == RecordKind::kPut) oldest = std::min(oldest, record.seq);
  }

  HintBuilder Collect(HintHashFunction hash = &HintHash) const {
    HintBuilder builder(hash);
    for (const auto& [record, offset] : records) builder.Add(record, offset);
    return builder;
  }

  SegmentIdentity identity;
  std::string bytes;
  SealedSegment line;
  std::vector<std::pair<Record, uint64_t>> records;
  std::set<Listed> listed;
  // By (database, key) of all listed records; UINT64_MAX where no put is.
  std::map<std::pair<int, std::string>, uint64_t> oldest_put;
};

SegmentBuilder& Remove(SegmentBuilder& builder, std::string_view key,
                       RecordKind kind = RecordKind::kDelete) {
  return builder.Add({kind, 0, 0, 0, key, ""});
}

// Some of everything, in one block.
SegmentBuilder SmallSegment(const SegmentIdentity& identity = kTestIdentity) {
  SegmentBuilder builder(identity, /*first_seq=*/41);
  builder.Put("a", "1").Put("b", "some value", 1'700'000'000'000).Put("", "");
  builder.Finish();
  Remove(builder, "a");
  Remove(builder, "gone", RecordKind::kExpire);
  builder.Add({RecordKind::kFlush, 3, 0, 0, "", ""});
  builder.Add({RecordKind::kSwap, 3, 0, 0, "", std::string_view("\5\0", 2)});
  builder.Add({RecordKind::kPut, 15, 0, 0, "a", "elsewhere"});
  builder.Put("a", "2");
  builder.Finish(44);
  return builder;
}

// Several blocks of random records over a small set of keys.
SegmentBuilder LargeSegment(size_t records, size_t keys, uint64_t seed) {
  std::mt19937_64 random(seed);
  SegmentBuilder builder;
  for (size_t i = 0; i < records; ++i) {
    Record record;
    record.kind = static_cast<RecordKind>(1 + random() % 3);
    record.database = static_cast<uint8_t>(random() % 3);
    const std::string key = fmt::format("key:{}", random() % keys);
    const std::string value(random() % 20, 'v');
    record.key = key;
    if (record.kind == RecordKind::kPut) {
      record.value = value;
      record.deadline_ms = random() % 2;
    }
    builder.Add(record);
    if (random() % 100 == 0) builder.Finish();
  }
  builder.Finish();
  return builder;
}

SegmentBuilder LongestKeys(size_t keys) {
  SegmentBuilder builder;
  for (size_t i = 0; i < keys; ++i) {
    std::string key(kKeyBytesMax, 'k');
    key.replace(key.size() - 4, 4, fmt::format("{:04}", i));
    builder.Put(key, "v");
    builder.Finish();
  }
  return builder;
}

uint64_t SameHash(uint16_t, std::string_view) { return 7; }

void SignHeader(std::string* hint, uint64_t seed) {
  StoreLe<uint64_t>(
      hint->data() + kHeaderChecksumAt,
      Checksum(std::string_view(*hint).substr(0, kHeaderChecksumAt), seed));
}

// The same for the block index, whose checksum the header has.
void SignIndex(std::string* hint, uint64_t seed) {
  const size_t index = LoadLe<uint64_t>(hint->data() + kIndexOffsetAt);
  StoreLe<uint64_t>(hint->data() + kIndexChecksumAt,
                    Checksum(std::string_view(*hint).substr(index), seed));
  SignHeader(hint, seed);
}

// Makes the checksums of header, lines and blocks hold again after a change,
// and the hashes in the lines.
std::string Signed(std::string hint, uint64_t seed) {
  const size_t index = LoadLe<uint64_t>(hint.data() + kIndexOffsetAt);
  for (size_t line = index; line < hint.size(); line += kHintBlockLineBytes) {
    const auto block = std::string_view(hint).substr(
        LoadLe<uint64_t>(hint.data() + line + 8),
        LoadLe<uint32_t>(hint.data() + line + 16));
    const std::string_view key =
        block.substr(kHintEntryBytes, LoadLe<uint16_t>(block.data() + 24));
    const uint64_t hash = HintHash(static_cast<uint8_t>(block[26]), key);
    const uint64_t checksum = Checksum(block, seed);
    StoreLe<uint64_t>(hint.data() + line, hash);
    StoreLe<uint64_t>(hint.data() + line + 24, checksum);
  }
  SignIndex(&hint, seed);
  return hint;
}

std::vector<std::string> EntriesOf(const std::string& hint) {
  std::vector<std::string> entries;
  const size_t end = LoadLe<uint64_t>(hint.data() + kIndexOffsetAt);
  for (size_t at = kHintHeaderBytes; at < end; at += entries.back().size()) {
    entries.push_back(hint.substr(
        at, kHintEntryBytes + LoadLe<uint16_t>(hint.data() + at + 24)));
  }
  return entries;
}

// A hint of other entries in blocks of so many each; all checksums hold.
std::string Recut(const std::string& hint,
                  const std::vector<std::string>& entries,
                  const std::vector<uint32_t>& blocks, uint64_t seed) {
  std::string body;
  std::string lines;
  auto entry = entries.begin();
  for (const uint32_t count : blocks) {
    const size_t begin = body.size();
    for (uint32_t i = 0; i < count; ++i) body += *entry++;
    lines.append(8, '\0');
    AppendLe<uint64_t>(&lines, kHintHeaderBytes + begin);
    AppendLe<uint32_t>(&lines, static_cast<uint32_t>(body.size() - begin));
    AppendLe<uint32_t>(&lines, count);
    lines.append(8, '\0');
  }
  std::string recut = hint.substr(0, kHintHeaderBytes) + body + lines;
  StoreLe<uint64_t>(recut.data() + kBlocksAt, blocks.size());
  StoreLe<uint64_t>(recut.data() + kIndexOffsetAt,
                    kHintHeaderBytes + body.size());
  return Signed(recut, seed);
}

class Hint : public testing::Test {
 protected:
  void Write(const Sealed& sealed, HintHashFunction hash = &HintHash) {
    const Result<void> written = sealed.Collect(hash).Write(
        *directory_, sealed.identity.uuid, sealed.line);
    ASSERT_TRUE(written.ok()) << written.error().message();
  }
  Result<HintReader> Open(const Sealed& sealed,
                          HintHashFunction hash = &HintHash) {
    return HintReader::Open(*directory_, sealed.identity.uuid, sealed.line,
                            hash);
  }
  HintReader MustOpen(const Sealed& sealed, HintHashFunction hash = &HintHash) {
    return Open(sealed, hash).value();  // Throws when there is none.
  }
  ErrorCode CodeOfOpen(const StoreUuid& uuid, const SealedSegment& line) {
    const Result<HintReader> reader = HintReader::Open(*directory_, uuid, line);
    return reader.ok() ? ErrorCode{} : reader.error().code();
  }
  ErrorCode CodeOfOpen(const Sealed& sealed) {
    return CodeOfOpen(sealed.identity.uuid, sealed.line);
  }
  std::string Bytes(const Sealed& sealed) {
    return disk_.ReadAll(HintName(sealed.line.id));
  }
  void PutBytes(const Sealed& sealed, std::string_view bytes) {
    disk_.Put(HintName(sealed.line.id), bytes);
  }

  SimFileSystem disk_;
  std::unique_ptr<Directory> directory_ = disk_.OpenDirectory();
};

// All entries of the blocks that can be read; counts those that cannot.
std::multiset<Listed> ReadAll(HintReader& reader, size_t* bad_blocks) {
  std::multiset<Listed> all;
  *bad_blocks = 0;
  for (size_t i = 0; i < reader.blocks(); ++i) {
    const Result<void> read = reader.ReadBlock(
        i, [&](const HintEntry& entry) { all.insert(ListedOf(entry)); });
    if (!read) {
      EXPECT_EQ(read.error().code(), ErrorCode::kCorruption);
      ++*bad_blocks;
    }
  }
  return all;
}

void ExpectAllListed(HintReader& reader, const Sealed& sealed) {
  size_t bad_blocks = 0;
  const std::multiset<Listed> all = ReadAll(reader, &bad_blocks);
  EXPECT_EQ(bad_blocks, 0u);
  EXPECT_EQ(reader.entries(), sealed.listed.size());
  EXPECT_EQ(all,
            std::multiset<Listed>(sealed.listed.begin(), sealed.listed.end()));
}

// Asks for every key at every edge, and for absent ones. Returns how many
// answers were kUnknown; any other must be right.
size_t Ask(HintReader& reader, const Sealed& sealed) {
  struct Question {
    uint16_t database;
    std::string key;
    uint64_t below;
    bool right;
  };
  std::multimap<uint64_t, Question> questions;  // So that blocks stay loaded.
  const auto add = [&](int database, const std::string& key, uint64_t below,
                       bool right) {
    const auto number = static_cast<uint8_t>(database);
    questions.emplace(HintHash(number, key),
                      Question{number, key, below, right});
  };
  for (const auto& [name, oldest] : sealed.oldest_put) {
    const auto& [database, key] = name;
    const bool has_put = oldest != UINT64_MAX;
    add(database, key, 0, false);
    add(database, key, oldest, false);
    if (has_put) add(database, key, oldest + 1, true);
    add(database, key, UINT64_MAX, has_put);
    for (const auto& [db, other] :
         {std::pair(database, key + "!"), std::pair(database + 4, key)}) {
      if (sealed.oldest_put.contains({db, other})) continue;
      add(db, other, UINT64_MAX, false);
    }
  }

  size_t unknown = 0;
  for (const auto& [hash, question] : questions) {
    const auto& [database, key, below, right] = question;
    const HintAnswer answer = reader.HoldsPutBelow(database, key, below);
    if (answer == HintAnswer::kUnknown) {
      ++unknown;
    } else {
      EXPECT_EQ(answer == HintAnswer::kYes, right)
          << int{database} << " " << key.substr(0, 20) << " below " << below;
    }
  }
  return unknown;
}

// --- What is written comes back ----------------------------------------------

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

TEST_F(Hint, EveryFlippedBitIsNoticed) {
  const Sealed sealed(SmallSegment());
  Write(sealed);
  const size_t bits = Bytes(sealed).size() * 8;
  for (size_t bit = 0; bit < bits; ++bit) {
    SCOPED_TRACE(bit);
    disk_.Flip(HintName(12), bit);
    Result<HintReader> reader = Open(sealed);
    if (reader.ok()) {
      size_t bad_blocks = 0;
      EXPECT_TRUE(ReadAll(*reader, &bad_blocks).empty());
      EXPECT_EQ(bad_blocks, 1u);
      EXPECT_GT(Ask(*reader, sealed), 0u);
    } else {
      EXPECT_EQ(reader.error().code(), ErrorCode::kCorruption);
      EXPECT_NE(reader.error().message().find("/sim/0000000012.hint"),
                std::string::npos);
    }
    disk_.Flip(HintName(12), bit);
  }
  EXPECT_EQ(CodeOfOpen(sealed), ErrorCode{});
}

TEST_F(Hint, AnyOtherLengthIsRefused) {
  const Sealed sealed(SmallSegment());
  Write(sealed);
  const std::string whole = Bytes(sealed);
  for (size_t cut = 0; cut < whole.size(); ++cut) {
    PutBytes(sealed, whole.substr(0, cut));
    EXPECT_EQ(CodeOfOpen(sealed), ErrorCode::kCorruption) << cut;
  }
  for (const size_t more : {1, 31, 32, 33, 4096}) {
    PutBytes(sealed, whole + std::string(more, '\0'));
    EXPECT_EQ(CodeOfOpen(sealed), ErrorCode::kCorruption) << more;
  }
}

TEST_F(Hint, DamageOfABlockConcernsThatBlockAlone) {
  const Sealed sealed(LargeSegment(8000, 3000, 8));
  Write(sealed);
  const std::string whole = Bytes(sealed);
  const size_t end = LoadLe<uint64_t>(whole.data() + kIndexOffsetAt);
  for (size_t bit = kHintHeaderBytes * 8; bit < end * 8; bit += 700'001) {
    SCOPED_TRACE(bit);
    disk_.Flip(HintName(12), bit);
    HintReader reader = MustOpen(sealed);
    size_t bad_blocks = 0;
    const std::multiset<Listed> rest = ReadAll(reader, &bad_blocks);
    EXPECT_EQ(bad_blocks, 1u);
    EXPECT_FALSE(rest.empty());
    EXPECT_TRUE(std::includes(sealed.listed.begin(), sealed.listed.end(),
                              rest.begin(), rest.end()));
    EXPECT_GT(Ask(reader, sealed), 0u);
    disk_.Flip(HintName(12), bit);
  }
}

// Blocks of the right bytes in the wrong places.
TEST_F(Hint, MovedBlocksAreRefused) {
  const Sealed sealed(LargeSegment(8000, 3000, 9));
  Write(sealed);
  std::string bytes = Bytes(sealed);
  const size_t index = LoadLe<uint64_t>(bytes.data() + kIndexOffsetAt);
  const auto line = [&](size_t i) {
    return bytes.begin() + static_cast<ptrdiff_t>(index + i * 32);
  };
  std::swap_ranges(line(0), line(1), line(1));
  PutBytes(sealed, bytes);
  EXPECT_EQ(CodeOfOpen(sealed), ErrorCode::kCorruption);
}

// A writer with a bug, whose checksums all hold, makes nobody allocate much.
TEST_F(Hint, LengthsAreCheckedBeforeTheyAreUsed) {
  const Sealed sealed(SmallSegment());
  Write(sealed);
  const std::string good = Bytes(sealed);
  for (const size_t field : {kEntriesAt, kBlocksAt, kIndexOffsetAt}) {
    for (const uint64_t lie :
         {uint64_t{0}, LoadLe<uint64_t>(good.data() + field) + 1,
          uint64_t{1} << 32, uint64_t{1} << 59, UINT64_MAX}) {
      SCOPED_TRACE(fmt::format("{} at {}", lie, field));
      std::string bytes = good;
      StoreLe<uint64_t>(bytes.data() + field, lie);
      SignHeader(&bytes, sealed.identity.Seed());
      PutBytes(sealed, bytes);
      EXPECT_EQ(CodeOfOpen(sealed), ErrorCode::kCorruption);
    }
  }
  const size_t index = LoadLe<uint64_t>(good.data() + kIndexOffsetAt);
  for (const size_t field : {8, 16, 20}) {
    SCOPED_TRACE(field);
    std::string bytes = good;
    StoreLe<uint32_t>(bytes.data() + index + field, UINT32_MAX);
    SignIndex(&bytes, sealed.identity.Seed());
    PutBytes(sealed, bytes);
    EXPECT_EQ(CodeOfOpen(sealed), ErrorCode::kCorruption);
  }
}

TEST_F(Hint, BlocksOfOtherSizesThanTheFormatsAreRefused) {
  const auto code_with = [&](const Sealed& sealed,
                             const std::vector<uint32_t>& blocks) {
    Write(sealed);
    const std::string good = Bytes(sealed);
    PutBytes(sealed,
             Recut(good, EntriesOf(good), blocks, sealed.identity.Seed()));
    return CodeOfOpen(sealed);
  };
  const Sealed small(SmallSegment());
  EXPECT_EQ(code_with(small, {7}), ErrorCode{});
  EXPECT_EQ(code_with(small, {1, 6}), ErrorCode::kCorruption);
  const Sealed large(LongestKeys(17));
  EXPECT_EQ(code_with(large, {8, 8, 1}), ErrorCode{});
  EXPECT_EQ(code_with(large, {8, 9}), ErrorCode::kCorruption);
}

// An answer relies on the order, so a block whose order is not the format's is
// not used, even if its checksum holds.
TEST_F(Hint, EntriesAndBlocksAreInOrder) {
  // Keys so long that a block has the bytes for an entry more.
  SegmentBuilder builder;
  for (int i = 0; i < 16; ++i) builder.Put(fmt::format("{:040}", i), "v");
  builder.Finish();
  const Sealed sealed(builder);
  Write(sealed);
  const std::string good = Bytes(sealed);
  const std::vector<std::string> entries = EntriesOf(good);
  const uint64_t seed = sealed.identity.Seed();
  const auto bad_blocks_of = [&](std::string hint) {
    PutBytes(sealed, hint);
    HintReader reader = MustOpen(sealed);
    size_t bad_blocks = 0;
    (void)ReadAll(reader, &bad_blocks);
    return bad_blocks;
  };
  EXPECT_EQ(bad_blocks_of(Recut(good, entries, {8, 8}, seed)), 0u);

  auto swapped = entries;
  std::swap(swapped[2], swapped[3]);
  EXPECT_EQ(bad_blocks_of(Recut(good, swapped, {8, 8}, seed)), 1u);
  // In order inside each block.
  auto between = entries;
  std::rotate(between.begin() + 7, between.end() - 1, between.end());
  EXPECT_EQ(bad_blocks_of(Recut(good, between, {8, 8}, seed)), 1u);

  // A line that miscounts its entries, or begins elsewhere.
  for (const size_t field : {0, 20}) {
    std::string hint = Recut(good, entries, {8, 8}, seed);
    const size_t index = LoadLe<uint64_t>(hint.data() + kIndexOffsetAt);
    for (const size_t line : {index, index + kHintBlockLineBytes}) {
      const int by = (line == index) == (field == 0) ? -1 : 1;
      StoreLe<uint32_t>(hint.data() + line + field,
                        LoadLe<uint32_t>(hint.data() + line + field) +
                            static_cast<uint32_t>(by));
    }
    SignIndex(&hint, seed);
    EXPECT_EQ(bad_blocks_of(hint), 2u) << field;
  }
}

TEST_F(Hint, ABlockCannotListMoreThanItsBytesHold) {
  constexpr size_t kLineEntriesAt = 20;
  SegmentBuilder builder;
  for (int i = 0; i < 16; ++i) builder.Put(std::to_string(i % 10), "v");
  builder.Finish();
  const Sealed sealed(builder);
  Write(sealed);
  const uint64_t seed = sealed.identity.Seed();
  const std::string good =
      Recut(Bytes(sealed), EntriesOf(Bytes(sealed)), {8, 8}, seed);
  const size_t index = LoadLe<uint64_t>(good.data() + kIndexOffsetAt);
  const auto code_with = [&](uint32_t first, uint32_t second) {
    std::string bytes = good;
    char* line = bytes.data() + index;
    StoreLe<uint32_t>(line + kLineEntriesAt, first);
    StoreLe<uint32_t>(line + kHintBlockLineBytes + kLineEntriesAt, second);
    SignIndex(&bytes, seed);
    PutBytes(sealed, bytes);
    return CodeOfOpen(sealed);
  };
  EXPECT_EQ(code_with(8, 8), ErrorCode{});
  EXPECT_EQ(code_with(9, 7), ErrorCode::kCorruption);
  EXPECT_EQ(code_with(1, 15), ErrorCode::kCorruption);
}

TEST_F(Hint, CannotListMoreThanTheSegmentHas) {
  const Sealed sealed(SmallSegment());
  Write(sealed);
  SealedSegment fewer = sealed.line;
  fewer.records = 7;
  EXPECT_EQ(CodeOfOpen(sealed.identity.uuid, fewer), ErrorCode{});
  fewer.records = 6;
  EXPECT_EQ(CodeOfOpen(sealed.identity.uuid, fewer), ErrorCode::kCorruption);
}

// A record that the segment cannot have spoils its block.
TEST_F(Hint, EntriesLieInTheirSegment) {
  SegmentBuilder builder;
  builder.Put("a", "1").Finish();
  const Sealed sealed(builder);
  Write(sealed);
  const std::string good = Bytes(sealed);
  const auto readable_with = [&](size_t field, auto value) {
    std::string bytes = good;
    StoreLe(bytes.data() + kHintHeaderBytes + field, value);
    PutBytes(sealed, Signed(bytes, sealed.identity.Seed()));
    HintReader reader = MustOpen(sealed);
    return reader.ReadBlock(0, [](const HintEntry&) {}).ok();
  };
  EXPECT_TRUE(readable_with(0, uint32_t{1}));
  EXPECT_FALSE(readable_with(0, uint32_t{0}));  // Sequence number.
  EXPECT_FALSE(readable_with(0, uint32_t{2}));
  EXPECT_TRUE(readable_with(16, uint32_t{192}));
  EXPECT_FALSE(readable_with(16, uint32_t{191}));  // Offset.
  EXPECT_FALSE(readable_with(16, uint32_t{UINT32_MAX}));
  EXPECT_FALSE(readable_with(20, uint32_t{UINT32_MAX}));  // Size of the value.
  EXPECT_FALSE(readable_with(24, uint16_t{UINT16_MAX}));  // Size of the key.
  EXPECT_TRUE(readable_with(26, uint16_t{15}));
  EXPECT_FALSE(readable_with(26, uint16_t{16}));  // Database.
  EXPECT_FALSE(readable_with(26, uint16_t{256}));
  EXPECT_FALSE(readable_with(7, uint8_t{2}));  // A removal with a value.
  for (const int kind : {0, 4, 5, 6, 255}) {
    EXPECT_FALSE(readable_with(7, static_cast<uint8_t>(kind))) << kind;
  }
}

TEST_F(Hint, ANewerFormatIsToldFromDamage) {
  const Sealed sealed(SmallSegment());
  Write(sealed);
  const std::string good = Bytes(sealed);
  for (const size_t at : {8, 16, 23}) {  // Version, features.
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] + 1);
    SignHeader(&bytes, sealed.identity.Seed());
    PutBytes(sealed, bytes);
    EXPECT_EQ(CodeOfOpen(sealed), ErrorCode::kFormat) << at;
  }
}

TEST_F(Hint, AFailedReadIsUnknownAndMayPass) {
  const Sealed sealed(SmallSegment());
  Write(sealed);
  HintReader reader = MustOpen(sealed);
  disk_.FailAt(Op::kRead, 0, EIO);
  EXPECT_EQ(reader.HoldsPutBelow(0, "a", 42), HintAnswer::kUnknown);
  EXPECT_EQ(reader.HoldsPutBelow(0, "a", 42), HintAnswer::kYes);
  for (const Op op : {Op::kOpen, Op::kRead, Op::kSize}) {
    disk_.FailAt(op, 0, EIO);
    EXPECT_EQ(CodeOfOpen(sealed), ErrorCode::kIo);
  }
}

// --- Hints of something else -------------------------------------------------

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
