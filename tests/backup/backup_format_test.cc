// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "backup/backup_reader.h"
#include "backup/backup_writer.h"
#include "base/checksum.h"

namespace kvd {
namespace {

BackupSegment SegmentOf(uint64_t id, std::string_view bytes, bool here = true) {
  return {id, bytes.size(), Checksum(bytes, 0), here};
}

// Bytes that zstd cannot make much smaller.
std::string Noise(size_t size) {
  std::string bytes(size, '\0');
  uint64_t state = size;
  for (char& byte : bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<char>(state >> 56);
  }
  return bytes;
}

BackupHeader HeaderOf(uint64_t revision) {
  BackupHeader header;
  header.uuid.fill(7);
  header.revision = revision;
  header.made_ms = 1;
  return header;
}

// A backup of these segments, by id; what is not `here` is in its base.
std::string Make(const BackupHeader& header, std::string_view manifest,
                 const std::map<uint64_t, std::string>& segments,
                 const std::vector<uint64_t>& absent = {}) {
  std::vector<BackupSegment> list;
  for (const auto& [id, bytes] : segments) {
    const bool here =
        std::find(absent.begin(), absent.end(), id) == absent.end();
    list.push_back(SegmentOf(id, bytes, here));
  }
  std::string out;
  BackupWriter writer(header, manifest, list, &out);
  while (const BackupSegment* next = writer.next()) {
    // In uneven pieces.
    std::string_view rest = segments.at(next->id);
    while (!rest.empty()) {
      const std::string_view piece = rest.substr(0, 100'003);
      EXPECT_TRUE(writer.Append(piece, &out).ok());
      rest.remove_prefix(piece.size());
    }
  }
  writer.Finish(&out);
  return out;
}

BackupReader::Source From(std::string_view bytes) {
  return [bytes](std::span<char> out) mutable -> Result<size_t> {
    const size_t size = std::min(out.size(), bytes.size());
    std::memcpy(out.data(), bytes.data(), size);
    bytes.remove_prefix(size);
    return size;
  };
}

struct Read {
  BackupHeader header;
  std::string manifest;
  std::map<uint64_t, std::string> segments;
  uint64_t digest = 0;
};

// All of a backup, or why not.
Result<Read> ReadAll(std::string_view bytes) {
  KVD_TRY_ASSIGN(const auto reader, BackupReader::Open("backup", From(bytes)));
  Read read{reader->header(), reader->manifest(), {}, 0};
  while (true) {
    KVD_TRY_ASSIGN(const auto piece, reader->Next());
    if (!piece) break;
    std::string& segment = read.segments[piece->segment->id];
    EXPECT_EQ(segment.size(), piece->offset);
    segment += piece->bytes;
  }
  read.digest = reader->digest();
  EXPECT_EQ(reader->file_bytes(), bytes.size());
  return read;
}

TEST(BackupFormat, GivesBackWhatWasPutIn) {
  const std::map<uint64_t, std::string> segments = {
      {3, "short"}, {4, Noise(3 << 20)}, {9, std::string(1 << 20, 'x')}};
  const std::string bytes = Make(HeaderOf(41), "the MANIFEST", segments);
  const Result<Read> read = ReadAll(bytes);
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(read->header.revision, 41u);
  EXPECT_FALSE(read->header.incremental);
  EXPECT_EQ(read->manifest, "the MANIFEST");
  EXPECT_EQ(read->segments, segments);
  const auto trailer = DecodeBackupTrailer(
      std::string_view(bytes).substr(bytes.size() - kBackupTrailerBytes));
  ASSERT_TRUE(trailer.has_value());
  EXPECT_EQ(trailer->digest, read->digest);
  EXPECT_EQ(trailer->bytes, bytes.size() - kBackupTrailerBytes);
}

TEST(BackupFormat, AStoreWithoutSegmentsHasABackup) {
  const Result<Read> read = ReadAll(Make(HeaderOf(0), "m", {}));
  ASSERT_TRUE(read.ok()) << read.error().message();
  EXPECT_EQ(read->manifest, "m");
  EXPECT_TRUE(read->segments.empty());
}

TEST(BackupFormat, AnIncrementalOneListsWhatItDoesNotHold) {
  BackupHeader header = HeaderOf(50);
  header.incremental = true;
  header.base_digest = 99;
  header.base_revision = 41;
  const std::string bytes = Make(header, "m", {{1, "a"}, {2, "b"}}, {1});
  const auto reader = BackupReader::Open("backup", From(bytes));
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ((*reader)->header().base_digest, 99u);
  EXPECT_EQ((*reader)->header().base_revision, 41u);
  ASSERT_EQ((*reader)->segments().size(), 2u);
  EXPECT_FALSE((*reader)->segments()[0].here);
  const Result<Read> read = ReadAll(bytes);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->segments, (std::map<uint64_t, std::string>{{2, "b"}}));
}

TEST(BackupFormat, AFullOneLacksNothing) {
  const Result<Read> read =
      ReadAll(Make(HeaderOf(1), "m", {{1, "a"}, {2, "b"}}, {1}));
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code(), ErrorCode::kCorruption);
}

TEST(BackupFormat, IsRefusedAtEveryCut) {
  const std::string bytes =
      Make(HeaderOf(41), "MANIFEST", {{3, "short"}, {4, Noise(300)}});
  for (size_t size = 0; size < bytes.size(); ++size) {
    const Result<Read> read = ReadAll(std::string_view(bytes).substr(0, size));
    ASSERT_FALSE(read.ok()) << size;
    if (size >= 8) {
      EXPECT_EQ(read.error().code(), ErrorCode::kCorruption) << size;
    }
  }
  EXPECT_TRUE(ReadAll(bytes).ok());
}

TEST(BackupFormat, IsRefusedWithAnyBitChanged) {
  const std::string bytes =
      Make(HeaderOf(41), "MANIFEST", {{3, "short"}, {4, Noise(300)}});
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string changed = bytes;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    ASSERT_FALSE(ReadAll(changed).ok()) << "bit " << bit;
  }
}

TEST(BackupFormat, IsRefusedWithSomethingBehindIt) {
  const std::string bytes = Make(HeaderOf(41), "m", {{3, "short"}});
  EXPECT_FALSE(ReadAll(bytes + '\0').ok());
  EXPECT_FALSE(ReadAll(bytes + bytes).ok());
}

TEST(BackupFormat, IsRefusedWithBlocksOfAnother) {
  const std::string a = Make(HeaderOf(41), "m", {{3, "short"}, {4, "other"}});
  const std::string b = Make(HeaderOf(42), "m", {{3, "short"}, {4, "other"}});
  ASSERT_EQ(a.size(), b.size());
  const size_t half = a.size() - kBackupTrailerBytes - 20;
  EXPECT_FALSE(ReadAll(a.substr(0, half) + b.substr(half)).ok());
}

TEST(BackupFormat, OtherFilesAndVersionsHaveTheirWords) {
  const auto text = ReadAll("just some text that is no backup");
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.error().code(), ErrorCode::kInvalid);
  EXPECT_EQ(text.error().message(), "backup: this is no backup of kvd");

  std::string bytes = EncodeBackupHeader(HeaderOf(1));
  bytes[8] = 2;
  const uint64_t sum =
      Checksum(std::string_view(bytes).substr(0, kBackupHeaderBytes - 8), 0);
  std::memcpy(&bytes[kBackupHeaderBytes - 8], &sum, sizeof sum);
  const auto newer = ReadAll(bytes);
  ASSERT_FALSE(newer.ok());
  EXPECT_EQ(newer.error().code(), ErrorCode::kFormat);
}

TEST(BackupFormat, TheWriterRefusesADamagedSegment) {
  BackupSegment segment = SegmentOf(5, "right");
  std::string out;
  BackupWriter writer(HeaderOf(1), "m", {segment}, &out);
  const Result<void> added = writer.Append("wrong", &out);
  ASSERT_FALSE(added.ok());
  EXPECT_EQ(added.error().code(), ErrorCode::kCorruption);
  EXPECT_NE(added.error().message().find("segment 5"), std::string::npos);
}

TEST(BackupFormat, ALengthThatWasMadeUpTakesNoMemory) {
  BackupHeader header = HeaderOf(1);
  header.manifest_bytes = UINT64_MAX;
  header.segments = UINT64_MAX;
  EXPECT_FALSE(ReadAll(EncodeBackupHeader(header)).ok());
  header.manifest_bytes = 0;
  EXPECT_FALSE(ReadAll(EncodeBackupHeader(header)).ok());
  header.segments = UINT64_MAX / kBackupEntryBytes;
  EXPECT_FALSE(ReadAll(EncodeBackupHeader(header)).ok());
}

}  // namespace
}  // namespace kvd
