// SPDX-License-Identifier: MIT
//
// The hint file of a sealed segment: what its records say, without the values.
// FORMAT.md, "Hint".
//
// Two ask. Compaction wants to know whether a segment holds a put that a
// tombstone still has to cover, in a small, fixed amount of memory. The start
// wants keys, places, sizes and deadlines without reading the values.
//
// A hint is derived data. Whatever is wrong with it, the segment still has the
// answer, so an Error or kUnknown from here means "scan the segment", not that
// anything is lost. A wrong answer, on the other hand, could lose data: every
// byte is verified before it is used, and a hint of other bytes than those
// which the MANIFEST names is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/limits.h"
#include "fs/file_system.h"
#include "log/format/manifest.h"
#include "log/format/record.h"
#include "log/format/segment.h"

namespace kvd {

inline constexpr uint64_t kHintHeaderBytes = 128;
inline constexpr uint64_t kHintEntryBytes = 28;  // Beside the key.
inline constexpr uint64_t kHintBlockLineBytes = 32;
// A block ends when it has this many bytes and this many entries.
inline constexpr uint64_t kHintBlockBytes = uint64_t{64} << 10;
inline constexpr uint64_t kHintBlockEntriesMin = 8;
// So that a block, and what a reader takes, is never larger than this.
inline constexpr uint64_t kHintBlockBytesMax =
    kHintBlockEntriesMin * (kHintEntryBytes + kKeyBytesMax);

// What a record costs in a hint beside its key, long keys included.
static_assert(kHintEntryBytes + kHintBlockLineBytes / kHintBlockEntriesMin <=
              32);
static_assert(kHintBlockBytes + kHintEntryBytes + kKeyBytesMax <=
              kHintBlockBytesMax);

// A put or a removal of the segment.
struct HintEntry {
  RecordKind kind = RecordKind::kPut;  // Or kDelete, kExpire.
  uint16_t database = 0;
  uint64_t seq = 0;
  uint64_t deadline_ms = 0;  // Since the epoch; 0 for none.
  uint32_t offset = 0;       // Of the record, in the segment.
  uint32_t value_size = 0;
  std::string_view key;
};

// By which entries are sorted; part of the format. Tests may choose another
// one, the same for builder and reader.
using HintHashFunction = uint64_t (*)(uint16_t database, std::string_view key);
uint64_t HintHash(uint16_t database, std::string_view key);

// Collects the records of one segment in memory and writes their hint. Takes a
// megabyte and less than one and a half times the segment's bytes, however
// small the records are: some 45 bytes for each beside its key.
// Thread: one at a time.
class HintBuilder {
 public:
  explicit HintBuilder(HintHashFunction hash = &HintHash) : hash_(hash) {}

  // About so many records will come: makes room for them at once, instead of
  // moving again and again what is there.
  void Expect(uint64_t records) { order_.reserve(records); }

  // Every record of the segment goes in, in any order; those of kinds that a
  // hint does not list are only counted. Copies what it needs.
  void Add(const Record& record, uint64_t offset);

  uint64_t entries() const { return order_.size(); }
  uint64_t memory_bytes() const;

  // Writes and syncs the hint of `segment`, in the place of one that is there;
  // its name is durable with the directory's next sync. The records must be
  // those of the segment, all of them: a hint that lacks one would lie. After
  // an error there is no hint of this name, or none that gives a wrong answer.
  Result<void> Write(Directory& directory, const StoreUuid& uuid,
                     const SealedSegment& segment);

 private:
  struct Sortable {
    uint64_t hash;
    const char* entry;  // As it stands in the file.
  };

  char* Allocate(size_t bytes);
  void Sort();
  Result<void> WriteFile(File& file, const SegmentIdentity& identity,
                         const SealedSegment& segment) const;

  HintHashFunction hash_;
  std::vector<std::unique_ptr<char[]>> chunks_;
  size_t chunk_left_ = 0;
  std::vector<Sortable> order_;
  uint64_t records_ = 0;
  uint64_t first_seq_ = UINT64_MAX;
  uint64_t last_seq_ = 0;
};

enum class HintAnswer {
  kYes,
  kNo,
  kUnknown,  // Damaged or unreadable where the answer is; the segment has it.
};

// Some blocks of a hint, as they were read; another thread than the reader's
// may verify them. To be used again and again. Thread: one at a time.
class HintBlocks {
 public:
  // Verifies the blocks, each by its checksum, and visits their entries: in the
  // order of the file, keys valid as long as the piece is. After an Error some
  // may have been visited.
  Result<void> Visit(const std::function<void(const HintEntry&)>& visit) const;

  // How many there are, if the piece is not damaged.
  uint64_t entries() const;

 private:
  friend class HintReader;

  struct Block {
    uint32_t bytes;
    uint32_t entries;
    uint64_t checksum;
  };

  std::string path_;
  uint64_t seed_ = 0;
  SealedSegment segment_;
  uint64_t offset_ = 0;  // Of the first block.
  std::vector<Block> blocks_;
  std::string bytes_;
};

// The entry's key is valid during the call.
using HintVisitor = std::function<void(const HintEntry&)>;

// An open hint. Holds the file, the block index (at most 4 bytes an entry) and
// one block of at most kHintBlockBytesMax.
// Thread: one at a time. Several readers of one hint may be open.
class HintReader {
 public:
  // Reads and verifies header and block index. kNotFound: there is no hint.
  // kCorruption: it is damaged, or that of other bytes than `segment` names.
  // kFormat: a newer kvd wrote it.
  static Result<HintReader> Open(Directory& directory, const StoreUuid& uuid,
                                 const SealedSegment& segment,
                                 HintHashFunction hash = &HintHash);

  // Whether the segment holds a put of this key (of an internal database) with
  // a sequence number below `seq`. Reads one block of the file; a second one
  // when that begins with the key's very hash; more, by bisection, only when
  // one hash fills whole blocks.
  HintAnswer HoldsPutBelow(uint16_t database, std::string_view key,
                           uint64_t seq);

  uint64_t entries() const { return entries_; }
  size_t blocks() const { return blocks_.size(); }

  // Reads blocks from `first` on, some `bytes_max` of them and one at least,
  // and returns the first one behind them.
  Result<size_t> ReadBlocks(size_t first, uint64_t bytes_max,
                            HintBlocks* piece);

  // Visits all entries of a block in the order of the file: no order that means
  // anything to a caller. A key may occur several times. The visitor must not
  // use the reader. After an Error, which concerns this block alone, none was
  // visited.
  Result<void> ReadBlock(size_t block, const HintVisitor& visit);

 private:
  struct Block {
    uint64_t first_hash;
    uint64_t offset;
    uint32_t bytes;
    uint32_t entries;
    uint64_t checksum;
  };
  struct IndexPlace {
    uint64_t blocks;
    uint64_t offset;
    uint64_t checksum;
  };

  HintReader(std::unique_ptr<File> file, std::string path, uint64_t seed,
             const SealedSegment& segment, HintHashFunction hash);

  tl::unexpected<Error> Damaged(std::string_view what) const;

  Result<void> ReadExactly(uint64_t offset, uint64_t bytes, std::string* out);
  Result<IndexPlace> ReadHeader(const SegmentIdentity& identity);
  Result<void> ReadIndex(const IndexPlace& place);
  bool IndexMakesSense(uint64_t blocks_end) const;
  Result<void> Load(size_t block);
  bool IsWhole(size_t block) const;
  // UINT64_MAX when there is none.
  Result<uint64_t> OldestPut(uint16_t database, std::string_view key);
  std::optional<HintEntry> FindLoaded(uint16_t database,
                                      std::string_view key) const;

  static constexpr size_t kNoBlock = SIZE_MAX;

  std::unique_ptr<File> file_;
  std::string path_;
  uint64_t seed_;
  SealedSegment segment_;
  HintHashFunction hash_;
  uint64_t entries_ = 0;
  std::vector<Block> blocks_;
  size_t loaded_ = kNoBlock;  // The block whose verified bytes these are.
  std::string bytes_;
};

// What a hint says of its segment. For whoever has no MANIFEST: a sealed
// segment does not change, so what was once said of it holds.
struct HintOrigin {
  SegmentIdentity identity;
  uint64_t segment_bytes = 0;
  uint64_t segment_checksum = 0;
  uint64_t entries = 0;
};
// Of the hint of this name; it may be that of another segment. Errors are those
// of HintReader::Open().
Result<HintOrigin> ReadHintOrigin(Directory& directory, uint64_t id);

}  // namespace kvd
