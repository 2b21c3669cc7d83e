// SPDX-License-Identifier: MIT
#include "log/format/segment_head.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "log/format/record.h"
#include "log/read/segment_reader.h"
#include "log/write/group_buffer.h"
#include "tests/log/format/segment_builder.h"

namespace kvd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint64_t kSeed = 77;

SegmentHead Sample() {
  SegmentHead head;
  head.databases_as_of = kSeqMax;
  head.databases.Apply(
      {RecordKind::kSwap, 0, 1, 0, "", NumberValue(15).view()});
  head.databases.flushed[3] = 901;
  head.retired = {{1, 5}, {7, 7}, {9, UINT32_MAX}};
  head.known_below = 11;
  head.counting = {{12, 14}, {16, 16}};
  head.job = 40;
  head.output = 2;
  return head;
}

TEST(SegmentHead, ComesBackAsItWasWritten) {
  for (const SegmentHead& head : {SegmentHead(), Sample()}) {
    const std::string body = EncodeSegmentHead(head, kSeed);
    EXPECT_EQ(body.size() % kGroupAlignment, 0u);
    EXPECT_LE(kGroupHeaderBytes + body.size(),
              SegmentHeadBytesMax(head.retired.size() + head.counting.size()));
    EXPECT_EQ(DecodeSegmentHead(body, kSeed), head);
  }
}

TEST(SegmentHead, IsNothingWhenCutOrWithAnyBitFlipped) {
  const std::string good = EncodeSegmentHead(Sample(), kSeed);
  for (size_t cut = 0; cut < good.size(); ++cut) {
    EXPECT_FALSE(DecodeSegmentHead(good.substr(0, cut), kSeed)) << cut;
  }
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bytes = good;
    bytes[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    EXPECT_FALSE(DecodeSegmentHead(bytes, kSeed)) << "bit " << bit;
  }
  EXPECT_FALSE(DecodeSegmentHead(good, kSeed + 1));
}

TEST(SegmentHead, RangesThatAreNotInOrderAreRefused) {
  for (const std::vector<IdRange>& ranges : {std::vector<IdRange>{{0, 3}},
                                             {{5, 4}},
                                             {{1, 5}, {5, 6}},
                                             {{8, 9}, {1, 2}}}) {
    SegmentHead head;
    head.retired = ranges;
    EXPECT_FALSE(DecodeSegmentHead(EncodeSegmentHead(head, kSeed), kSeed));
    std::swap(head.retired, head.counting);
    EXPECT_FALSE(DecodeSegmentHead(EncodeSegmentHead(head, kSeed), kSeed));
  }
}

TEST(SegmentHead, TwoDatabasesInOnePlaceAreRefused) {
  SegmentHead head;
  head.databases.internal[3] = 4;
  EXPECT_FALSE(DecodeSegmentHead(EncodeSegmentHead(head, kSeed), kSeed));
}

TEST(SegmentEnd, ComesBackAndIsNothingWhenDamaged) {
  for (const bool last : {false, true}) {
    const std::string good = EncodeSegmentEnd(last, kSeed);
    EXPECT_EQ(DecodeSegmentEnd(good, kSeed), last);
    for (size_t bit = 0; bit < good.size() * 8; ++bit) {
      std::string bytes = good;
      bytes[bit / 8] ^= static_cast<char>(1 << (bit % 8));
      EXPECT_FALSE(DecodeSegmentEnd(bytes, kSeed)) << "bit " << bit;
    }
  }
}

TEST(IdRanges, AreWhatIsMissingBelowTheLimit) {
  EXPECT_THAT(IdsWithout({}, 1), IsEmpty());
  EXPECT_THAT(IdsWithout({}, 4), ElementsAre(IdRange{1, 3}));
  EXPECT_THAT(IdsWithout({1, 2, 3}, 4), IsEmpty());
  EXPECT_THAT(IdsWithout({9, 2, 30, 5}, 12),
              ElementsAre(IdRange{1, 1}, IdRange{3, 4}, IdRange{6, 8},
                          IdRange{10, 11}));
}

TEST(IdRanges, BecomeOneList) {
  const auto joined = JoinRanges({{1, 3}, {8, 9}}, {20, 4, 7, 2});
  EXPECT_THAT(joined,
              ElementsAre(IdRange{1, 4}, IdRange{7, 9}, IdRange{20, 20}));
  EXPECT_TRUE(ContainsId(joined, 4));
  EXPECT_FALSE(ContainsId(joined, 5));
}

TEST(SegmentHead, StandsBeforeTheFirstGroupAndCountsAsNone) {
  GroupBuffer buffer;
  buffer.StartSegment(kTestIdentity);
  SegmentHead head = Sample();
  head.databases_as_of = 40;
  buffer.PutHead(head, 41, 39);
  buffer.Append({RecordKind::kPut, 0, 41, 0, "key", "value"});
  buffer.Finish(41, 40);

  SegmentReader reader(buffer.NewBytes(), kTestIdentity);
  Group group;
  ASSERT_EQ(reader.Next(&group), Found::kGroup);
  EXPECT_EQ(group.header.kind, GroupKind::kHead);
  EXPECT_EQ(group.header.first_seq, 41u);
  EXPECT_EQ(group.header.durable_seq, 39u);
  EXPECT_TRUE(group.records.empty());
  EXPECT_EQ(DecodeSegmentHead(group.body, kTestIdentity.Seed()), head);
  ASSERT_EQ(reader.Next(&group), Found::kGroup);
  EXPECT_EQ(group.header.kind, GroupKind::kRecords);
  EXPECT_EQ(group.records.size(), 1u);
  EXPECT_EQ(reader.Next(&group), Found::kNothing);
}

}  // namespace
}  // namespace kvd
