// SPDX-License-Identifier: MIT
//
// What tests of hints share: sealed segments with what their hints should say,
// and hints that were changed.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/checksum.h"
#include "base/coding.h"
#include "base/limits.h"
#include "log/format/hint.h"
#include "log/read/segment_reader.h"
#include "tests/log/format/segment_builder.h"
#include "tests/support/sim_file_system.h"

namespace kvd {

inline constexpr size_t kEntriesAt = 72;
inline constexpr size_t kBlocksAt = 80;
inline constexpr size_t kIndexOffsetAt = 88;
inline constexpr size_t kIndexChecksumAt = 96;
inline constexpr size_t kHeaderChecksumAt = 120;

// What a hint says about one record, with a key of its own.
using Listed =
    std::tuple<uint64_t, int, int, uint64_t, uint64_t, uint64_t, std::string>;

inline Listed ListedOf(const HintEntry& entry) {
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

inline SegmentBuilder& Remove(SegmentBuilder& builder, std::string_view key,
                              RecordKind kind = RecordKind::kDelete) {
  return builder.Add({kind, 0, 0, 0, key, ""});
}

// Some of everything, in one block.
inline SegmentBuilder SmallSegment(
    const SegmentIdentity& identity = kTestIdentity) {
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
inline SegmentBuilder LargeSegment(size_t records, size_t keys, uint64_t seed) {
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

inline SegmentBuilder LongestKeys(size_t keys) {
  SegmentBuilder builder;
  for (size_t i = 0; i < keys; ++i) {
    std::string key(kKeyBytesMax, 'k');
    key.replace(key.size() - 4, 4, fmt::format("{:04}", i));
    builder.Put(key, "v");
    builder.Finish();
  }
  return builder;
}

inline uint64_t SameHash(uint16_t, std::string_view) { return 7; }

inline void SignHeader(std::string* hint, uint64_t seed) {
  StoreLe<uint64_t>(
      hint->data() + kHeaderChecksumAt,
      Checksum(std::string_view(*hint).substr(0, kHeaderChecksumAt), seed));
}

// The same for the block index, whose checksum the header has.
inline void SignIndex(std::string* hint, uint64_t seed) {
  const size_t index = LoadLe<uint64_t>(hint->data() + kIndexOffsetAt);
  StoreLe<uint64_t>(hint->data() + kIndexChecksumAt,
                    Checksum(std::string_view(*hint).substr(index), seed));
  SignHeader(hint, seed);
}

// Makes the checksums of header, lines and blocks hold again after a change,
// and the hashes in the lines.
inline std::string Signed(std::string hint, uint64_t seed) {
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

inline std::vector<std::string> EntriesOf(const std::string& hint) {
  std::vector<std::string> entries;
  const size_t end = LoadLe<uint64_t>(hint.data() + kIndexOffsetAt);
  for (size_t at = kHintHeaderBytes; at < end; at += entries.back().size()) {
    entries.push_back(hint.substr(
        at, kHintEntryBytes + LoadLe<uint16_t>(hint.data() + at + 24)));
  }
  return entries;
}

// A hint of other entries in blocks of so many each; all checksums hold.
inline std::string Recut(const std::string& hint,
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
inline std::multiset<Listed> ReadAll(HintReader& reader, size_t* bad_blocks) {
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

inline void ExpectAllListed(HintReader& reader, const Sealed& sealed) {
  size_t bad_blocks = 0;
  const std::multiset<Listed> all = ReadAll(reader, &bad_blocks);
  EXPECT_EQ(bad_blocks, 0u);
  EXPECT_EQ(reader.entries(), sealed.listed.size());
  EXPECT_EQ(all,
            std::multiset<Listed>(sealed.listed.begin(), sealed.listed.end()));
}

// Asks for every key at every edge, and for absent ones. Returns how many
// answers were kUnknown; any other must be right.
inline size_t Ask(HintReader& reader, const Sealed& sealed) {
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

}  // namespace kvd
