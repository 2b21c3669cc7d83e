// SPDX-License-Identifier: MIT
#include "log/format/segment.h"

#include <gtest/gtest.h>

#include <string>

#include "base/checksum.h"
#include "base/coding.h"
#include "tests/log/format/segment_builder.h"

namespace kvd {
namespace {

std::string EncodedHeader(const SegmentHeader& header) {
  std::string bytes(kSegmentHeaderBytes, '\xee');
  EncodeSegmentHeader(bytes.data(), header);
  return bytes;
}

std::string Resign(std::string bytes) {
  const size_t facts = kSegmentHeaderBytes - 8;
  StoreLe<uint64_t>(bytes.data() + facts,
                    Checksum(std::string_view(bytes).substr(0, facts), 0));
  return bytes;
}

constexpr GroupHeader kGroupHeader = {3, 128, 7, 41, 40, 1000};

std::string EncodedGroup(const GroupHeader& header, uint64_t seed) {
  std::string bytes(header.offset + kGroupHeaderBytes, '\0');
  EncodeGroupHeader(bytes.data() + header.offset, header, seed);
  return bytes;
}

TEST(SegmentHeader, ComesBackAsItWasWritten) {
  for (SegmentKind kind : {SegmentKind::kLog, SegmentKind::kCompacted}) {
    SegmentIdentity identity = kTestIdentity;
    identity.kind = kind;
    SegmentHeader back;
    ASSERT_EQ(DecodeSegmentHeader(EncodedHeader({identity, 41}), &back),
              HeaderOutcome::kHeader);
    EXPECT_EQ(back.identity.uuid, identity.uuid);
    EXPECT_EQ(back.identity.id, 12u);
    EXPECT_EQ(back.identity.epoch, 7u);
    EXPECT_EQ(back.identity.kind, kind);
    EXPECT_EQ(back.first_seq, 41u);
  }
}

TEST(SegmentHeader, IsBrokenWhenCutOrWithAnyBitFlipped) {
  const std::string good = EncodedHeader({kTestIdentity, 41});
  SegmentHeader header;
  for (size_t cut = 1; cut < good.size(); ++cut) {
    EXPECT_EQ(DecodeSegmentHeader(good.substr(0, cut), &header),
              HeaderOutcome::kBroken)
        << cut;
  }
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bytes = good;
    bytes[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    EXPECT_EQ(DecodeSegmentHeader(bytes, &header), HeaderOutcome::kBroken)
        << "bit " << bit;
  }
}

TEST(SegmentHeader, ZerosAreBlank) {
  SegmentHeader header;
  for (size_t size : {size_t{0}, size_t{1}, size_t{128}, size_t{4096}}) {
    EXPECT_EQ(DecodeSegmentHeader(std::string(size, '\0'), &header),
              HeaderOutcome::kBlank);
  }
}

// A later kvd's file is refused as such, not as damage.
TEST(SegmentHeader, IntactButUnknownIsToldFromBroken) {
  const std::string good = EncodedHeader({kTestIdentity, 41});
  SegmentHeader header;
  for (const size_t at : {8, 12, 16, 23}) {  // Version, kind, features.
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] + 4);
    EXPECT_EQ(DecodeSegmentHeader(Resign(bytes), &header),
              HeaderOutcome::kUnknownFormat)
        << at;
    EXPECT_EQ(DecodeSegmentHeader(bytes, &header), HeaderOutcome::kBroken);
  }
}

TEST(GroupHeader, ComesBackAsItWasWritten) {
  const std::string bytes = EncodedGroup(kGroupHeader, 5);
  const auto back = DecodeGroupHeader(bytes, 128, 5);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->records, 3u);
  EXPECT_EQ(back->offset, 128u);
  EXPECT_EQ(back->epoch, 7u);
  EXPECT_EQ(back->first_seq, 41u);
  EXPECT_EQ(back->durable_seq, 40u);
  EXPECT_EQ(back->body_bytes, 1000u);
  EXPECT_EQ(back->End(), 128u + 64 + 1000);
}

TEST(GroupHeader, EndsAtAMultipleOfEight) {
  GroupHeader header = kGroupHeader;
  for (uint64_t bytes = 0; bytes < 20; ++bytes) {
    header.body_bytes = bytes;
    EXPECT_EQ(header.End() % kGroupAlignment, 0u);
    EXPECT_GE(header.End(), 128 + 64 + bytes);
    EXPECT_LT(header.End(), 128 + 64 + bytes + 8);
  }
}

TEST(GroupHeader, IsNothingWhenCutOrWithAnyBitFlipped) {
  const std::string good = EncodedGroup(kGroupHeader, 5);
  for (size_t cut = 0; cut < good.size(); ++cut) {
    EXPECT_FALSE(DecodeGroupHeader(good.substr(0, cut), 128, 5)) << cut;
  }
  for (size_t bit = 128 * 8; bit < good.size() * 8; ++bit) {
    std::string bytes = good;
    bytes[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    EXPECT_FALSE(DecodeGroupHeader(bytes, 128, 5)) << "bit " << bit;
  }
}

TEST(GroupHeader, BelongsToItsOffsetAndItsSeed) {
  const std::string bytes = EncodedGroup(kGroupHeader, 5);
  EXPECT_FALSE(DecodeGroupHeader(bytes, 128, 6));
  const std::string moved = std::string(8, '\0') + bytes;
  EXPECT_FALSE(DecodeGroupHeader(moved, 136, 5));
  EXPECT_FALSE(DecodeGroupHeader(bytes, UINT64_MAX - 10, 5));
}

TEST(GroupHeader, ALengthBeyondAnySegmentIsRefused) {
  GroupHeader header = kGroupHeader;
  header.body_bytes = kSegmentBytesMax;
  EXPECT_TRUE(DecodeGroupHeader(EncodedGroup(header, 5), 128, 5));
  header.body_bytes = kSegmentBytesMax + 1;
  EXPECT_FALSE(DecodeGroupHeader(EncodedGroup(header, 5), 128, 5));
  header.body_bytes = UINT64_MAX;
  EXPECT_FALSE(DecodeGroupHeader(EncodedGroup(header, 5), 128, 5));
}

TEST(SegmentIdentity, EachPartOfItChangesTheSeed) {
  SegmentIdentity other_uuid = kTestIdentity;
  other_uuid.uuid[15] ^= 1;
  SegmentIdentity other_id = kTestIdentity;
  ++other_id.id;
  SegmentIdentity other_epoch = kTestIdentity;
  ++other_epoch.epoch;
  const uint64_t seed = kTestIdentity.Seed();
  EXPECT_NE(other_uuid.Seed(), seed);
  EXPECT_NE(other_id.Seed(), seed);
  EXPECT_NE(other_epoch.Seed(), seed);
}

TEST(SegmentName, IsTheIdInTenDigits) {
  EXPECT_EQ(SegmentName(12), "0000000012.seg");
  EXPECT_EQ(SegmentName(UINT32_MAX), "4294967295.seg");
  EXPECT_EQ(SegmentIdOf("0000000012.seg"), 12u);
  EXPECT_EQ(HintName(12), "0000000012.hint");
  EXPECT_EQ(HintIdOf("0000000012.hint"), 12u);
  for (const char* name :
       {"", ".seg", "12.seg", "00000000012.seg", "0000000000.seg",
        "000000001x.seg", "+000000012.seg", "-000000012.seg", " 00000012.seg",
        "0000000012.hint", "0000000012.seg~", "0000000012"}) {
    EXPECT_FALSE(SegmentIdOf(name)) << name;
  }
  EXPECT_FALSE(HintIdOf("0000000012.seg"));
}

}  // namespace
}  // namespace kvd
