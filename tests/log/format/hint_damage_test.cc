// SPDX-License-Identifier: MIT
//
// Damaged hints, and those of other formats.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/coding.h"
#include "tests/log/format/hint_rig.h"
#include "tests/log/format/segment_builder.h"
#include "tests/support/sim_file_system.h"

namespace kvd {
namespace {

using Op = SimFileSystem::Op;

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

}  // namespace
}  // namespace kvd
