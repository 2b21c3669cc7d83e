// SPDX-License-Identifier: MIT
//
// A hint of any bytes is read without harm: what is read could be in the
// segment, and the answers about keys agree with what is listed. So that a
// mutation gets past the checksums, header, lines and blocks are made right
// first where they lie inside the file, unless the input's first byte says
// otherwise; and the hash is one that mutated keys often share.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/checksum.h"
#include "base/coding.h"
#include "log/format/hint.h"

namespace {

using kvd::Checksum;
using kvd::ErrorCode;
using kvd::Fail;
using kvd::HintAnswer;
using kvd::HintEntry;
using kvd::HintReader;
using kvd::LoadLe;
using kvd::RecordKind;
using kvd::Result;
using kvd::StoreLe;

constexpr kvd::StoreUuid kUuid = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55,
                                  0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb,
                                  0xcc, 0xdd, 0xee, 0xff};
constexpr kvd::SealedSegment kSegment = {/*id=*/12,
                                         /*epoch=*/7,
                                         kvd::SegmentKind::kLog,
                                         /*bytes=*/1 << 20,
                                         /*records=*/1000,
                                         /*first_seq=*/1,
                                         /*last_seq=*/UINT32_MAX,
                                         /*checksum=*/0x0123456789abcdef};
// Questions are asked of at most so many entries.
constexpr size_t kQuestionsMax = 200;

uint64_t CoarseHash(uint16_t database, std::string_view key) {
  return database + (key.empty() ? 0 : static_cast<uint8_t>(key[0]) / 16);
}

class MemoryFile final : public kvd::File {
 public:
  explicit MemoryFile(const std::string& bytes) : bytes_(bytes) {}

  uint64_t identity() const override { return 1; }
  Result<size_t> ReadAt(uint64_t offset, std::span<char> out) override {
    // What is asked for is bounded by what there can be.
    KVD_CHECK(out.size() <=
              std::max<uint64_t>(bytes_.size(), kvd::kHintBlockBytesMax));
    if (offset >= bytes_.size()) return size_t{0};
    const size_t size = std::min<size_t>(out.size(), bytes_.size() - offset);
    std::memcpy(out.data(), bytes_.data() + offset, size);
    return size;
  }
  Result<bool> TryReadAt(uint64_t, std::span<char>) override { return false; }
  Result<uint64_t> Size() override { return uint64_t{bytes_.size()}; }
  Result<void> WriteAt(uint64_t, std::string_view) override { return No(); }
  Result<void> AllocateZeroed(uint64_t) override { return No(); }
  Result<void> AllocateReserved(uint64_t) override { return No(); }
  Result<void> ZeroReserved(uint64_t) override { return No(); }
  Result<void> KeepRoom(uint64_t) override { return No(); }
  Result<void> Truncate(uint64_t) override { return No(); }
  Result<void> Sync() override { return No(); }

 private:
  static tl::unexpected<kvd::Error> No() {
    return Fail(ErrorCode::kPermission, "a hint is read, not changed");
  }

  const std::string& bytes_;
};

// Holds one file, under any name.
class MemoryDirectory final : public kvd::Directory {
 public:
  explicit MemoryDirectory(const std::string& bytes) : bytes_(bytes) {}

  const std::string& path() const override { return path_; }
  Result<std::unique_ptr<kvd::File>> Open(std::string_view, OpenMode) override {
    return std::make_unique<MemoryFile>(bytes_);
  }
  Result<std::unique_ptr<kvd::File>> Create(std::string_view) override {
    return No();
  }
  Result<std::vector<std::string>> List() override { return No(); }
  Result<void> Remove(std::string_view) override { return No(); }
  Result<void> Rename(std::string_view, std::string_view) override {
    return No();
  }
  Result<bool> Exchange(std::string_view, std::string_view) override {
    return No();
  }
  Result<void> Sync() override { return No(); }
  std::vector<kvd::Missing> FindMissing(
      std::span<const kvd::ExpectedFile>) override {
    return {};
  }
  Result<void> Lock() override { return No(); }
  Result<uint64_t> FreeBytes() override { return No(); }
  Result<std::unique_ptr<kvd::DurableWriter>> NewDurableWriter(
      kvd::WriteDevice, kvd::Wake) override {
    return No();
  }
  std::unique_ptr<kvd::ReadQueue> NewReadQueue(size_t, kvd::Wake) override {
    return nullptr;
  }

 private:
  static tl::unexpected<kvd::Error> No() {
    return Fail(ErrorCode::kPermission, "a hint is read, not changed");
  }

  const std::string& bytes_;
  std::string path_ = "M";
};

// Gives a line its block's checksum and first hash.
void SignBlock(std::string* bytes, size_t line, uint64_t seed) {
  const uint64_t offset = LoadLe<uint64_t>(bytes->data() + line + 8);
  const uint64_t size = LoadLe<uint32_t>(bytes->data() + line + 16);
  if (offset > bytes->size() || size > bytes->size() - offset) return;
  const std::string_view block(bytes->data() + offset, size);
  StoreLe<uint64_t>(bytes->data() + line + 24, Checksum(block, seed));
  if (size < kvd::kHintEntryBytes) return;
  const uint64_t key_size = LoadLe<uint16_t>(block.data() + 24);
  StoreLe<uint64_t>(bytes->data() + line,
                    CoarseHash(LoadLe<uint8_t>(block.data() + 26),
                               block.substr(kvd::kHintEntryBytes, key_size)));
}

void Sign(std::string* bytes, uint64_t seed) {
  if (bytes->size() < kvd::kHintHeaderBytes) return;
  const uint64_t index = LoadLe<uint64_t>(bytes->data() + 88);
  if (index <= bytes->size()) {
    for (size_t line = index; line + kvd::kHintBlockLineBytes <= bytes->size();
         line += kvd::kHintBlockLineBytes) {
      SignBlock(bytes, line, seed);
    }
    StoreLe<uint64_t>(bytes->data() + 96,
                      Checksum(std::string_view(*bytes).substr(index), seed));
  }
  StoreLe<uint64_t>(bytes->data() + 120, Checksum({bytes->data(), 120}, seed));
}

struct Listed {
  RecordKind kind;
  uint16_t database;
  uint64_t seq;
  std::string key;
};

void CheckEntry(const HintEntry& entry) {
  KVD_CHECK(entry.kind == RecordKind::kPut ||
            entry.kind == RecordKind::kDelete ||
            entry.kind == RecordKind::kExpire);
  KVD_CHECK(entry.database < kvd::kInternalDatabases);
  KVD_CHECK(entry.seq >= kSegment.first_seq && entry.seq <= kSegment.last_seq);
  KVD_CHECK(entry.offset +
                kvd::RecordBytes(entry.key.size(), entry.value_size) <=
            kSegment.bytes);
}

// Reads all blocks. False when one of them is damaged.
bool ReadAll(HintReader* reader, std::vector<Listed>* all) {
  bool whole = true;
  for (size_t i = 0; i < reader->blocks(); ++i) {
    size_t visited = 0;
    const Result<void> read = reader->ReadBlock(i, [&](const HintEntry& entry) {
      CheckEntry(entry);
      ++visited;
      all->push_back(
          {entry.kind, entry.database, entry.seq, std::string(entry.key)});
    });
    KVD_CHECK(read.ok() == (visited > 0));
    whole = whole && read.ok();
  }
  KVD_CHECK(!whole || all->size() == reader->entries());
  return whole;
}

// As loading reads it, some blocks at a time: whoever reads block by block
// finds no more entries, and no damage that this does not find unless it is one
// of order.
void ReadInPieces(HintReader* reader, bool whole) {
  constexpr uint64_t kChunkBytes = 300;
  kvd::HintBlocks piece;
  uint64_t entries = 0;
  for (size_t next = 0; next < reader->blocks();) {
    const Result<size_t> read = reader->ReadBlocks(next, kChunkBytes, &piece);
    KVD_CHECK(read.ok() && *read > next);
    next = *read;
    const Result<void> visited = piece.Visit([&](const HintEntry& entry) {
      CheckEntry(entry);
      ++entries;
    });
    KVD_CHECK(visited.ok() || !whole);
  }
  KVD_CHECK(!whole || entries == reader->entries());
}

bool IsSorted(const std::vector<Listed>& all) {
  const auto order = [](const Listed& entry) {
    return std::tuple(CoarseHash(entry.database, entry.key), entry.database,
                      std::string_view(entry.key), entry.kind, entry.seq);
  };
  return std::is_sorted(
      all.begin(), all.end(),
      [&](const Listed& a, const Listed& b) { return order(a) < order(b); });
}

void Ask(HintReader* reader, const std::vector<Listed>& all, bool whole,
         const Listed& about, uint64_t below) {
  const bool right =
      std::any_of(all.begin(), all.end(), [&](const Listed& entry) {
        return entry.kind == RecordKind::kPut && entry.seq < below &&
               entry.database == about.database && entry.key == about.key;
      });
  const HintAnswer answer =
      reader->HoldsPutBelow(about.database, about.key, below);
  KVD_CHECK(answer != HintAnswer::kYes || right);
  KVD_CHECK(answer != HintAnswer::kNo || !right);
  KVD_CHECK(answer != HintAnswer::kUnknown || !whole);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const kvd::SegmentIdentity identity = {kUuid, kSegment.id, kSegment.epoch,
                                         kSegment.kind};
  if (data[0] != 0) Sign(&bytes, identity.Seed());

  MemoryDirectory directory(bytes);
  Result<HintReader> reader =
      HintReader::Open(directory, kUuid, kSegment, &CoarseHash);
  if (!reader) {
    KVD_CHECK(reader.error().message().starts_with("M/0000000012.hint: "));
    KVD_CHECK(reader.error().code() == ErrorCode::kCorruption ||
              reader.error().code() == ErrorCode::kFormat);
    return 0;
  }
  std::vector<Listed> all;
  const bool whole = ReadAll(&*reader, &all);
  ReadInPieces(&*reader, whole);
  // Only a writer with a bug lets keys of one hash lie the wrong way round in
  // two blocks.
  if (!IsSorted(all)) return 0;
  for (size_t i = 0; i < std::min(all.size(), kQuestionsMax); ++i) {
    for (const uint64_t below : {all[i].seq, all[i].seq + 1, UINT64_MAX}) {
      Ask(&*reader, all, whole, all[i], below);
    }
    Listed absent = all[i];
    absent.key += '!';
    Ask(&*reader, all, whole, absent, UINT64_MAX);
  }
  return 0;
}
