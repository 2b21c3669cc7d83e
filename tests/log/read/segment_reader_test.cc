// SPDX-License-Identifier: MIT
#include "log/read/segment_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "base/coding.h"
#include "fs/file_system.h"
#include "tests/log/format/segment_builder.h"

namespace kvd {
namespace {

// Three groups with several records, of lengths that need padding.
struct Sample {
  Sample() {
    builder.Put("a", "1").Put("b", "some value");
    ends.push_back(builder.Finish());
    builder.Add({RecordKind::kDelete, 0, 0, 0, "a", ""});
    builder.Add({RecordKind::kFlush, 3, 0, 0, "", ""});
    ends.push_back(builder.Finish(2));
    ends.push_back(builder.Finish(4));  // Declares only.
    builder.Put("c", std::string(90, 'x'), 1234);
    ends.push_back(builder.Finish(4));
    all = ReadAllGroups(builder.bytes()).records;
  }
  SegmentBuilder builder;
  std::vector<uint64_t> ends;  // Of the groups.
  std::vector<std::string> all;
};

// Records of the groups that end by `bytes`.
size_t RecordsUntil(const Sample& sample, uint64_t bytes) {
  static constexpr size_t kRecords[] = {2, 2, 0, 1};
  size_t records = 0;
  for (size_t i = 0; i < sample.ends.size(); ++i) {
    if (sample.ends[i] <= bytes) records += kRecords[i];
  }
  return records;
}

bool IsPrefix(const std::vector<std::string>& a,
              const std::vector<std::string>& b) {
  return a.size() <= b.size() && std::equal(a.begin(), a.end(), b.begin());
}

// Makes a group's header verify again after a change.
void ResignGroup(std::string* bytes, uint64_t at, uint64_t seed) {
  StoreLe<uint64_t>(bytes->data() + at + 56,
                    Checksum(std::string_view(*bytes).substr(at, 56), seed));
}

TEST(SegmentReader, ReadsWhatTheWriterMade) {
  const Sample sample;
  const ReadBack back =
      ReadAllGroups(sample.builder.bytes() + std::string(5000, '\0'));
  EXPECT_EQ(back.records,
            (std::vector<std::string>{"1 0 1 0 a 1", "2 0 1 0 b some value",
                                      "3 0 2 0 a ", "4 3 4 0  ",
                                      "5 0 1 1234 c " + std::string(90, 'x')}));
  EXPECT_EQ(back.end, Found::kNothing);
  EXPECT_EQ(back.offset, sample.ends.back());
}

TEST(SegmentReader, GivesHeadersAndOffsets) {
  const Sample sample;
  SegmentReader reader(sample.builder.bytes(), kTestIdentity);
  Group group;
  ASSERT_EQ(reader.Next(&group), Found::kGroup);
  EXPECT_EQ(group.header.offset, kSegmentHeaderBytes);
  EXPECT_EQ(group.header.epoch, kTestIdentity.epoch);
  EXPECT_EQ(group.header.first_seq, 1u);
  EXPECT_EQ(group.header.durable_seq, 0u);
  EXPECT_EQ(group.offsets, (std::vector<uint64_t>{192, 192 + 32 + 2}));
  ASSERT_EQ(reader.Next(&group), Found::kGroup);
  EXPECT_EQ(group.header.offset, sample.ends[0]);
  EXPECT_EQ(group.header.first_seq, 3u);
  EXPECT_EQ(group.header.durable_seq, 2u);
  ASSERT_EQ(reader.Next(&group), Found::kGroup);
  EXPECT_TRUE(group.records.empty());
  EXPECT_EQ(group.header.first_seq, 5u);
}

// The writer hands blocks to the disk, not groups: put together as it does,
// they are the same segment.
TEST(SegmentReader, BlocksWrittenOverEachOtherGiveTheSameBytes) {
  std::string disk(64 * 1024, '\0');
  std::string expected;
  GroupBuffer buffer;
  buffer.StartSegment(kTestIdentity);
  uint64_t seq = 1;
  for (size_t size : {10, 5000, 1, 4096 - 64 - 32 - 1, 9000, 3, 3, 3}) {
    const std::string value(size, static_cast<char>('a' + seq));
    buffer.Append({RecordKind::kPut, 0, seq, 0, "k", value});
    buffer.Finish(seq, seq - 1);
    ++seq;
    EXPECT_EQ(buffer.offset() % kBlockBytes, 0u);
    EXPECT_EQ(buffer.Bytes().size() % kBlockBytes, 0u);
    disk.replace(buffer.offset(), buffer.Bytes().size(), buffer.Bytes());
    expected += buffer.NewBytes();
    EXPECT_EQ(buffer.End(), expected.size());
    GroupBuffer next;
    next.StartAfter(buffer);
    buffer = std::move(next);
  }
  expected.resize(disk.size(), '\0');
  EXPECT_EQ(disk, expected);
  EXPECT_EQ(ReadAllGroups(disk).records.size(), 8u);
}

TEST(SegmentReader, KeepsWholeGroupsAtEveryCut) {
  const Sample sample;
  const std::string& bytes = sample.builder.bytes();
  for (size_t cut = kSegmentHeaderBytes; cut <= bytes.size(); ++cut) {
    SCOPED_TRACE(cut);
    const std::string file = bytes.substr(0, cut);  // ASan sees its end.
    const ReadBack back = ReadAllGroups(file);
    EXPECT_EQ(back.records.size(), RecordsUntil(sample, cut));
    EXPECT_TRUE(IsPrefix(back.records, sample.all));
    // In a file of the full size the rest is zeros: the same groups.
    const ReadBack zeros =
        ReadAllGroups(file + std::string(bytes.size() - cut, '\0'));
    EXPECT_TRUE(IsPrefix(back.records, zeros.records));
    EXPECT_TRUE(IsPrefix(zeros.records, sample.all));
  }
}

TEST(SegmentReader, NoFlippedBitGivesAWrongRecord) {
  const Sample sample;
  const std::string& good = sample.builder.bytes();
  size_t unnoticed = 0;
  for (size_t bit = kSegmentHeaderBytes * 8; bit < good.size() * 8; ++bit) {
    std::string bytes = good;
    bytes[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    const ReadBack back = ReadAllGroups(bytes);
    ASSERT_TRUE(IsPrefix(back.records, sample.all)) << "bit " << bit;
    // The groups before the damage are not lost.
    EXPECT_GE(back.records.size(), RecordsUntil(sample, bit / 8)) << bit;
    if (back.records == sample.all) ++unnoticed;
  }
  // Only padding may change unnoticed here; the checksum of a sealed segment
  // covers it.
  size_t padding = 0;
  SegmentReader reader(good, kTestIdentity);
  for (Group group; reader.Next(&group) == Found::kGroup;) {
    const GroupHeader& header = group.header;
    padding +=
        header.End() - header.offset - kGroupHeaderBytes - header.body_bytes;
  }
  EXPECT_GT(padding, 0u);
  EXPECT_EQ(unnoticed, padding * 8);
}

TEST(SegmentReader, TellsNothingFromBroken) {
  const Sample sample;
  const std::string& bytes = sample.builder.bytes();
  const std::string zeros(1000, '\0');
  EXPECT_EQ(ReadAllGroups(bytes).end, Found::kNothing);
  EXPECT_EQ(ReadAllGroups(bytes + zeros).end, Found::kNothing);
  EXPECT_EQ(ReadAllGroups(bytes.substr(0, kSegmentHeaderBytes)).end,
            Found::kNothing);
  EXPECT_EQ(ReadAllGroups("").end, Found::kNothing);
  for (size_t at = 0; at < zeros.size(); ++at) {
    std::string dirty = bytes + zeros;
    dirty[bytes.size() + at] = 1;
    const ReadBack back = ReadAllGroups(dirty);
    ASSERT_EQ(back.end, Found::kBroken) << at;
    ASSERT_EQ(back.offset, bytes.size());
  }
}

TEST(SegmentReader, LastWrittenByteIsTheLastOneNotZero) {
  std::string bytes(1000, '\0');
  SegmentReader empty(bytes, kTestIdentity);
  EXPECT_EQ(empty.LastWrittenByte(), empty.offset());
  for (size_t at = kSegmentHeaderBytes; at < bytes.size(); ++at) {
    bytes.assign(bytes.size(), '\0');
    bytes[at] = 1;
    EXPECT_EQ(SegmentReader(bytes, kTestIdentity).LastWrittenByte(), at + 1);
  }
  SegmentReader past(bytes, kTestIdentity);
  past.Seek(2000);
  EXPECT_EQ(past.LastWrittenByte(), 2000u);
}

// What is known to be zero is not searched, and still belongs to groups.
TEST(SegmentReader, ReadsTheSameWhenItKnowsWhereZerosBegin) {
  SegmentBuilder builder;
  builder.Put("a", "1");
  const uint64_t zeros_group = builder.Finish();
  builder.Put("b", std::string(500, '\0'));
  const uint64_t end = builder.Finish();
  const std::string bytes = builder.bytes() + std::string(1000, '\0');
  // The last byte that is not zero is in the second record's key.
  const uint64_t written = bytes.find_last_not_of('\0') + 1;
  ASSERT_LT(written, end - 400);

  SegmentReader reader(bytes, kTestIdentity);
  reader.set_written_end(written);
  EXPECT_EQ(reader.LastWrittenByte(), written);
  EXPECT_EQ(reader.FindHeader(kSegmentHeaderBytes + 1)->offset, zeros_group);
  EXPECT_FALSE(reader.FindHeader(zeros_group + 1).has_value());
  Group group;
  EXPECT_EQ(reader.Next(&group), Found::kGroup);
  ASSERT_EQ(reader.Next(&group), Found::kGroup);
  EXPECT_EQ(group.records.at(0).value, std::string(500, '\0'));
  EXPECT_EQ(reader.Next(&group), Found::kNothing);
  EXPECT_EQ(reader.offset(), end);
  EXPECT_EQ(reader.LastWrittenByte(), end);
}

TEST(SegmentReader, SearchesNothingWhereZerosAreKnown) {
  const Sample sample;
  SegmentReader reader(sample.builder.bytes(), kTestIdentity);
  ASSERT_TRUE(reader.FindHeader(sample.ends[0]).has_value());
  reader.set_written_end(sample.ends[0]);
  EXPECT_FALSE(reader.FindHeader(sample.ends[0]).has_value());
  EXPECT_LE(reader.LastWrittenByte(), sample.ends[0]);
}

TEST(SegmentReader, AnotherStoreSegmentOrLifeReadsNothing) {
  const Sample sample;
  SegmentIdentity uuid = kTestIdentity;
  uuid.uuid[0] ^= 1;
  SegmentIdentity id = kTestIdentity;
  id.id = 13;
  SegmentIdentity epoch = kTestIdentity;
  epoch.epoch = 8;
  for (const SegmentIdentity& other : {uuid, id, epoch}) {
    const ReadBack back = ReadAllGroups(sample.builder.bytes(), other);
    EXPECT_TRUE(back.records.empty());
    EXPECT_EQ(back.end, Found::kBroken);
    EXPECT_FALSE(
        SegmentReader(sample.builder.bytes(), other).FindHeader(0).has_value());
  }
}

// The seed has the epoch in it; the field of its own is checked all the same.
TEST(SegmentReader, AnotherEpochInAGroupIsBroken) {
  SegmentBuilder builder;
  builder.Put("a", "1").Finish();
  std::string bytes = builder.bytes();
  StoreLe<uint64_t>(bytes.data() + kSegmentHeaderBytes + 16, 6);
  ResignGroup(&bytes, kSegmentHeaderBytes, kTestIdentity.Seed());
  EXPECT_EQ(ReadAllGroups(bytes).end, Found::kBroken);
}

// Whole groups and headers inside a value: only the real ones count, even when
// a search for headers comes across.
TEST(SegmentReader, GroupsInsideAValueAreNotTakenForReal) {
  const Sample inner;
  SegmentBuilder builder;
  builder.Put("copy", inner.builder.bytes());
  const uint64_t first_end = builder.Finish();
  // Again, such that a copied group begins at a multiple of eight.
  const uint64_t value_at = first_end + kGroupHeaderBytes + kRecordHeaderBytes;
  const size_t key_size = 8 - value_at % 8 + 8;
  builder.Put(std::string(key_size, 'k'), inner.builder.bytes());
  const uint64_t end = builder.Finish();

  const ReadBack back = ReadAllGroups(builder.bytes());
  EXPECT_EQ(back.records.size(), 2u);
  EXPECT_EQ(back.end, Found::kNothing);

  SegmentReader reader(builder.bytes(), kTestIdentity);
  const auto second = reader.FindHeader(kSegmentHeaderBytes + 8);
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->offset, first_end);
  EXPECT_FALSE(reader.FindHeader(first_end + 8).has_value());

  // The real groups gone, what is left of the copies is no evidence.
  std::string torn = builder.bytes();
  std::fill_n(torn.begin() + kSegmentHeaderBytes, kGroupHeaderBytes, '\0');
  std::fill_n(torn.begin() + static_cast<long>(first_end), kGroupHeaderBytes,
              '\0');
  EXPECT_EQ(ReadAllGroups(torn).end, Found::kBroken);
  EXPECT_FALSE(SegmentReader(torn, kTestIdentity).FindHeader(0).has_value());
  EXPECT_GT(end, first_end);
}

TEST(SegmentReader, FindsHeadersWhoseBodyIsGone) {
  const Sample sample;
  std::string bytes = sample.builder.bytes();
  const uint64_t last = sample.ends[2];
  std::fill(bytes.begin() + kSegmentHeaderBytes,
            bytes.begin() + static_cast<long>(last), '\x55');
  std::fill(bytes.begin() + static_cast<long>(last + kGroupHeaderBytes),
            bytes.end(), '\0');
  SegmentReader reader(bytes, kTestIdentity);
  const auto header = reader.FindHeader(0);
  ASSERT_TRUE(header.has_value());
  EXPECT_EQ(header->offset, last);
  EXPECT_EQ(header->durable_seq, 4u);
  reader.Seek(last);
  Group group;
  EXPECT_EQ(reader.Next(&group), Found::kBroken);
  EXPECT_EQ(reader.offset(), last);
}

TEST(SegmentReader, RecordsOutOfOrderAreBroken) {
  const auto with = [](SegmentKind kind, uint64_t second_seq) {
    SegmentIdentity identity = kTestIdentity;
    identity.kind = kind;
    GroupBuffer buffer;
    buffer.StartSegment(identity);
    buffer.Append({RecordKind::kPut, 0, 5, 0, "a", "1"});
    buffer.Append({RecordKind::kPut, 0, second_seq, 0, "b", "2"});
    buffer.Finish(5, 0);
    return ReadAllGroups(buffer.NewBytes(), identity).end;
  };
  EXPECT_EQ(with(SegmentKind::kLog, 6), Found::kNothing);
  EXPECT_EQ(with(SegmentKind::kLog, 5), Found::kBroken);
  EXPECT_EQ(with(SegmentKind::kLog, 7), Found::kBroken);
  EXPECT_EQ(with(SegmentKind::kLog, 4), Found::kBroken);
  EXPECT_EQ(with(SegmentKind::kCompacted, 900), Found::kNothing);
}

TEST(SegmentReader, TheNumberOfRecordsMustBeRight) {
  for (uint32_t records : {0u, 1u, 3u, UINT32_MAX}) {
    SegmentBuilder builder;
    builder.Put("a", "1").Put("b", "2").Finish();
    std::string bytes = builder.bytes();
    StoreLe<uint32_t>(bytes.data() + kSegmentHeaderBytes + 4, records);
    ResignGroup(&bytes, kSegmentHeaderBytes, kTestIdentity.Seed());
    EXPECT_EQ(ReadAllGroups(bytes).end, Found::kBroken) << records;
  }
}

// Lengths are believed only as far as there are bytes; UINT32_MAX records are
// not made room for.
TEST(SegmentReader, LengthsBeyondTheBytesAreBroken) {
  for (uint64_t length : {uint64_t{0}, uint64_t{1}, uint64_t{67},
                          uint64_t{4096}, kSegmentBytesMax, UINT64_MAX - 200}) {
    SegmentBuilder builder;
    builder.Put("a", "1").Put("b", "2").Finish();
    std::string bytes = builder.bytes();
    StoreLe<uint64_t>(bytes.data() + kSegmentHeaderBytes + 40, length);
    ResignGroup(&bytes, kSegmentHeaderBytes, kTestIdentity.Seed());
    EXPECT_EQ(ReadAllGroups(bytes).end, Found::kBroken) << length;
  }
}

}  // namespace
}  // namespace kvd
