// SPDX-License-Identifier: MIT
#include "log/format/hint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "base/checksum.h"
#include "base/coding.h"
#include "base/planted_bug.h"

namespace kvd {
namespace {

constexpr std::string_view kHintMagic = "kvdhint\n";
constexpr uint32_t kHintVersion = 2;
constexpr size_t kHintChecksumAt = kHintHeaderBytes - 8;
constexpr size_t kChunkBytes = size_t{1} << 20;
constexpr size_t kEntriesAtFirst = 1024;
static_assert(kHintEntryBytes + kKeyBytesMax <= kChunkBytes);

// FORMAT.md, "Hint".
struct HintHeader {
  SegmentIdentity identity;
  uint64_t segment_bytes = 0;
  uint64_t segment_checksum = 0;
  uint64_t entries = 0;
  uint64_t blocks = 0;
  uint64_t index_offset = 0;
  uint64_t index_checksum = 0;
};

std::string EncodeHeader(const HintHeader& header) {
  std::string bytes(kHintHeaderBytes, '\0');
  char* to = bytes.data();
  std::memcpy(to, kHintMagic.data(), kHintMagic.size());
  StoreLe<uint32_t>(to + 8, kHintVersion);
  StoreLe<uint32_t>(to + 12, static_cast<uint32_t>(header.identity.kind));
  std::memcpy(to + 24, header.identity.uuid.data(), 16);
  StoreLe<uint64_t>(to + 40, header.identity.id);
  StoreLe<uint64_t>(to + 48, header.identity.epoch);
  StoreLe<uint64_t>(to + 56, header.segment_bytes);
  StoreLe<uint64_t>(to + 64, header.segment_checksum);
  StoreLe<uint64_t>(to + 72, header.entries);
  StoreLe<uint64_t>(to + 80, header.blocks);
  StoreLe<uint64_t>(to + 88, header.index_offset);
  StoreLe<uint64_t>(to + 96, header.index_checksum);
  StoreLe<uint64_t>(to + kHintChecksumAt,
                    Checksum({to, kHintChecksumAt}, header.identity.Seed()));
  return bytes;
}

// Of bytes whose checksum holds.
HintHeader DecodeHeader(const char* from) {
  HintHeader header;
  header.identity.kind = static_cast<SegmentKind>(LoadLe<uint32_t>(from + 12));
  std::memcpy(header.identity.uuid.data(), from + 24, 16);
  header.identity.id = LoadLe<uint64_t>(from + 40);
  header.identity.epoch = LoadLe<uint64_t>(from + 48);
  header.segment_bytes = LoadLe<uint64_t>(from + 56);
  header.segment_checksum = LoadLe<uint64_t>(from + 64);
  header.entries = LoadLe<uint64_t>(from + 72);
  header.blocks = LoadLe<uint64_t>(from + 80);
  header.index_offset = LoadLe<uint64_t>(from + 88);
  header.index_checksum = LoadLe<uint64_t>(from + 96);
  return header;
}

bool IsListed(RecordKind kind) {
  return kind == RecordKind::kPut || kind == RecordKind::kDelete ||
         kind == RecordKind::kExpire;
}

void EncodeEntry(char* to, const Record& record, uint64_t offset) {
  KVD_CHECK(offset <= kSegmentBytesMax);
  KVD_CHECK(record.key.size() <= kKeyBytesMax);
  KVD_CHECK(record.value.size() <= kValueBytesMax);
  KVD_CHECK(record.database < kInternalDatabases);

  StoreLe<uint64_t>(to, static_cast<uint64_t>(record.kind) << 56 | record.seq);
  StoreLe<uint64_t>(to + 8, record.deadline_ms);
  StoreLe<uint32_t>(to + 16, static_cast<uint32_t>(offset));
  StoreLe<uint32_t>(to + 20, static_cast<uint32_t>(record.value.size()));
  StoreLe<uint16_t>(to + 24, static_cast<uint16_t>(record.key.size()));
  StoreLe<uint16_t>(to + 26, record.database);
  if (!record.key.empty()) {
    std::memcpy(to + kHintEntryBytes, record.key.data(), record.key.size());
  }
}

uint64_t EntryBytes(const char* entry) {
  return kHintEntryBytes + LoadLe<uint16_t>(entry + 24);
}

// Of an entry that is there as a whole.
HintEntry DecodeEntry(const char* from) {
  HintEntry entry;
  const uint64_t kind_and_seq = LoadLe<uint64_t>(from);
  entry.kind = static_cast<RecordKind>(kind_and_seq >> 56);
  entry.seq = kind_and_seq & kSeqMax;
  entry.deadline_ms = LoadLe<uint64_t>(from + 8);
  entry.offset = LoadLe<uint32_t>(from + 16);
  entry.value_size = LoadLe<uint32_t>(from + 20);
  entry.key = {from + kHintEntryBytes, LoadLe<uint16_t>(from + 24)};
  entry.database = LoadLe<uint16_t>(from + 26);
  return entry;
}

// The order of entries. Puts precede removals, so that the first entry of a key
// says whether there is a put below some sequence number.
auto OrderOf(uint64_t hash, const HintEntry& entry) {
  return std::tuple(hash, entry.database, entry.key, entry.kind, entry.seq);
}

constexpr uint64_t kNoPut = UINT64_MAX;

// The sequence number of the oldest put of a key, by its first entry.
uint64_t PutSeq(const HintEntry& first) {
  return first.kind == RecordKind::kPut ? first.seq : kNoPut;
}

// Writes the blocks of a hint, then what leads to them.
class BlockWriter {
 public:
  BlockWriter(File& file, uint64_t seed) : file_(file), seed_(seed) {}

  Result<void> Add(uint64_t hash, std::string_view entry) {
    if (block_entries_ == 0) first_hash_ = hash;
    block_.append(entry);
    ++block_entries_;
    if (block_.size() < kHintBlockBytes ||
        block_entries_ < kHintBlockEntriesMin) {
      return {};
    }
    return EndBlock();
  }

  // Ends the last block; writes index and header. The header comes last, so
  // that a file which a full disk cut short has none.
  Result<void> Finish(HintHeader header) {
    if (block_entries_ != 0) KVD_TRY(EndBlock());
    header.entries = entries_;
    header.blocks = index_.size() / kHintBlockLineBytes;
    header.index_offset = offset_;
    header.index_checksum = Checksum(index_, seed_);
    KVD_TRY(file_.WriteAt(offset_, index_));
    return file_.WriteAt(0, EncodeHeader(header));
  }

 private:
  Result<void> EndBlock() {
    AppendLe<uint64_t>(&index_, first_hash_);
    AppendLe<uint64_t>(&index_, offset_);
    AppendLe<uint32_t>(&index_, static_cast<uint32_t>(block_.size()));
    AppendLe<uint32_t>(&index_, block_entries_);
    AppendLe<uint64_t>(&index_, Checksum(block_, seed_));
    KVD_TRY(file_.WriteAt(offset_, block_));
    offset_ += block_.size();
    entries_ += block_entries_;
    block_.clear();
    block_entries_ = 0;
    return {};
  }

  File& file_;
  uint64_t seed_;
  uint64_t offset_ = kHintHeaderBytes;  // Of the open block.
  uint64_t entries_ = 0;                // In the blocks before it.
  std::string block_;
  uint32_t block_entries_ = 0;
  uint64_t first_hash_ = 0;
  std::string index_;
};

Result<void> RemoveIfThere(Directory& directory, std::string_view name) {
  Result<void> removed = directory.Remove(name);
  if (!removed && removed.error().code() == ErrorCode::kNotFound) return {};
  return removed;
}

// Whether the segment can have such a record.
bool MakesSense(const HintEntry& entry, const SealedSegment& segment) {
  return IsListed(entry.kind) && entry.database < kInternalDatabases &&
         entry.seq >= segment.first_seq && entry.seq <= segment.last_seq &&
         (entry.kind == RecordKind::kPut ||
          (entry.value_size == 0 && entry.deadline_ms == 0)) &&
         entry.value_size <= kValueBytesMax &&
         entry.offset >= kSegmentHeaderBytes + kGroupHeaderBytes &&
         entry.offset + RecordBytes(entry.key.size(), entry.value_size) <=
             segment.bytes;
}

}  // namespace

uint64_t HintHash(uint16_t database, std::string_view key) {
  return Checksum(key, database);
}

void HintBuilder::Add(const Record& record, uint64_t offset) {
  ++records_;
  first_seq_ = std::min(first_seq_, record.seq);
  last_seq_ = std::max(last_seq_, record.seq);
  if (!IsListed(record.kind)) return;
  char* entry = Allocate(kHintEntryBytes + record.key.size());
  EncodeEntry(entry, record, offset);
  // One large block, which goes back to the system as a whole; it grows by
  // less than a vector would by itself.
  if (order_.size() == order_.capacity()) {
    order_.reserve(order_.size() + order_.size() / 4 + kEntriesAtFirst);
  }
  order_.push_back({hash_(record.database, record.key), entry});
}

uint64_t HintBuilder::memory_bytes() const {
  return chunks_.size() * kChunkBytes + order_.capacity() * sizeof(Sortable);
}

char* HintBuilder::Allocate(size_t bytes) {
  if (chunk_left_ < bytes) {
    chunks_.push_back(std::make_unique_for_overwrite<char[]>(kChunkBytes));
    chunk_left_ = kChunkBytes;
  }
  char* place = chunks_.back().get() + (kChunkBytes - chunk_left_);
  chunk_left_ -= bytes;
  return place;
}

void HintBuilder::Sort() {
  std::sort(order_.begin(), order_.end(),
            [](const Sortable& a, const Sortable& b) {
              if (a.hash != b.hash) return a.hash < b.hash;
              return OrderOf(a.hash, DecodeEntry(a.entry)) <
                     OrderOf(b.hash, DecodeEntry(b.entry));
            });
}

Result<void> HintBuilder::WriteFile(File& file, const SegmentIdentity& identity,
                                    const SealedSegment& segment) const {
  BlockWriter writer(file, identity.Seed());
  for (const Sortable& sorted : order_) {
    KVD_TRY(writer.Add(sorted.hash, {sorted.entry, EntryBytes(sorted.entry)}));
  }
  HintHeader header;
  header.identity = identity;
  header.segment_bytes = segment.bytes;
  header.segment_checksum = segment.checksum;
  KVD_TRY(writer.Finish(header));
  return file.Sync();
}

Result<void> HintBuilder::Write(Directory& directory, const StoreUuid& uuid,
                                const SealedSegment& segment) {
  KVD_CHECK(records_ == segment.records);
  KVD_CHECK(records_ == 0 ||
            (first_seq_ == segment.first_seq && last_seq_ == segment.last_seq));
  Sort();
  const std::string name = HintName(segment.id);
  KVD_TRY(RemoveIfThere(directory, name));
  KVD_TRY_ASSIGN(const std::unique_ptr<File> file, directory.Create(name));
  Result<void> written = WriteFile(
      *file, {uuid, segment.id, segment.epoch, segment.kind}, segment);
  // What is left of it would not be accepted, but takes up space.
  if (!written) (void)directory.Remove(name);
  return written;
}

uint64_t HintBlocks::entries() const {
  uint64_t entries = 0;
  for (const Block& block : blocks_) entries += block.entries;
  return entries;
}

Result<void> HintBlocks::Visit(
    const std::function<void(const HintEntry&)>& visit) const {
  std::string_view rest = bytes_;
  uint64_t offset = offset_;
  for (const Block& block : blocks_) {
    std::string_view entries = rest.substr(0, block.bytes);
    bool intact = Checksum(entries, seed_) == block.checksum;
    uint64_t count = 0;
    for (; intact && !entries.empty(); ++count) {
      intact = entries.size() >= kHintEntryBytes &&
               entries.size() >= EntryBytes(entries.data());
      if (!intact) break;
      const HintEntry entry = DecodeEntry(entries.data());
      intact = MakesSense(entry, segment_);
      if (intact) visit(entry);
      entries.remove_prefix(EntryBytes(entries.data()));
    }
    if (!intact || count != block.entries) {
      return Fail(ErrorCode::kCorruption, "{}: damaged block at offset {}",
                  path_, offset);
    }
    rest.remove_prefix(block.bytes);
    offset += block.bytes;
  }
  return {};
}

HintReader::HintReader(std::unique_ptr<File> file, std::string path,
                       uint64_t seed, const SealedSegment& segment,
                       HintHashFunction hash)
    : file_(std::move(file)),
      path_(std::move(path)),
      seed_(seed),
      segment_(segment),
      hash_(hash) {}

Result<HintReader> HintReader::Open(Directory& directory, const StoreUuid& uuid,
                                    const SealedSegment& segment,
                                    HintHashFunction hash) {
  const std::string name = HintName(segment.id);
  const SegmentIdentity identity = {uuid, segment.id, segment.epoch,
                                    segment.kind};
  KVD_TRY_ASSIGN(std::unique_ptr<File> file,
                 directory.Open(name, Directory::OpenMode::kRead));
  HintReader reader(std::move(file),
                    fmt::format("{}/{}", directory.path(), name),
                    identity.Seed(), segment, hash);
  KVD_TRY_ASSIGN(const IndexPlace place, reader.ReadHeader(identity));
  KVD_TRY(reader.ReadIndex(place));
  return reader;
}

tl::unexpected<Error> HintReader::Damaged(std::string_view what) const {
  return Fail(ErrorCode::kCorruption, "{}: {}", path_, what);
}

Result<void> HintReader::ReadExactly(uint64_t offset, uint64_t bytes,
                                     std::string* out) {
  out->resize(bytes);
  KVD_TRY_ASSIGN(const size_t got, file_->ReadAt(offset, *out));
  if (got != bytes) return Damaged("cut short");
  return {};
}

Result<HintReader::IndexPlace> HintReader::ReadHeader(
    const SegmentIdentity& identity) {
  std::string bytes;
  KVD_TRY(ReadExactly(0, kHintHeaderBytes, &bytes));
  const char* from = bytes.data();
  const bool trust = IsPlanted(PlantedBug::kTrustStaleHint);
  if (trust) seed_ = DecodeHeader(from).identity.Seed();
  if (!bytes.starts_with(kHintMagic) ||
      LoadLe<uint64_t>(from + kHintChecksumAt) !=
          Checksum({from, kHintChecksumAt}, seed_)) {
    return Damaged("damaged header, or the hint of another segment");
  }
  if (LoadLe<uint32_t>(from + 8) != kHintVersion ||
      LoadLe<uint64_t>(from + 16) != 0) {
    return Fail(ErrorCode::kFormat, "{}: written in a newer format", path_);
  }
  const HintHeader header = DecodeHeader(from);
  const bool bound = header.identity == identity &&
                     header.segment_bytes == segment_.bytes &&
                     header.segment_checksum == segment_.checksum;
  if (!bound && !trust) {
    return Damaged("made of other bytes than the segment's");
  }
  entries_ = header.entries;
  return IndexPlace{header.blocks, header.index_offset, header.index_checksum};
}

Result<void> HintReader::ReadIndex(const IndexPlace& place) {
  KVD_TRY_ASSIGN(const uint64_t file_bytes, file_->Size());
  // The size of the index is the writer's word until the MANIFEST's number of
  // records and the file's size bear it out.
  if (entries_ > segment_.records ||
      place.blocks > entries_ / kHintBlockEntriesMin + 1 ||
      place.offset > file_bytes ||
      (file_bytes - place.offset) % kHintBlockLineBytes != 0 ||
      (file_bytes - place.offset) / kHintBlockLineBytes != place.blocks) {
    return Damaged("its sizes contradict each other");
  }
  std::string index;
  KVD_TRY(ReadExactly(place.offset, file_bytes - place.offset, &index));
  if (Checksum(index, seed_) != place.checksum) {
    return Damaged("damaged block index");
  }
  blocks_.reserve(place.blocks);
  for (size_t at = 0; at < index.size(); at += kHintBlockLineBytes) {
    const char* from = index.data() + at;
    blocks_.push_back({LoadLe<uint64_t>(from), LoadLe<uint64_t>(from + 8),
                       LoadLe<uint32_t>(from + 16), LoadLe<uint32_t>(from + 20),
                       LoadLe<uint64_t>(from + 24)});
  }
  if (!IndexMakesSense(place.offset)) {
    return Damaged("its block index contradicts itself");
  }
  return {};
}

// Blocks follow each other without a gap, in the order of their hashes, and
// have the bytes for what they list.
bool HintReader::IndexMakesSense(uint64_t blocks_end) const {
  uint64_t offset = kHintHeaderBytes;
  uint64_t entries = 0;
  uint64_t hash = 0;
  for (const Block& block : blocks_) {
    if (block.offset != offset || block.first_hash < hash ||
        block.entries == 0 || block.bytes / kHintEntryBytes < block.entries ||
        block.bytes > kHintBlockBytesMax) {
      return false;
    }
    offset += block.bytes;
    entries += block.entries;
    hash = block.first_hash;
  }
  return offset == blocks_end && entries == entries_;
}

Result<void> HintReader::Load(size_t block) {
  if (loaded_ == block) return {};
  loaded_ = kNoBlock;
  const Block& line = blocks_[block];
  KVD_TRY(ReadExactly(line.offset, line.bytes, &bytes_));
  if (Checksum(bytes_, seed_) != line.checksum || !IsWhole(block)) {
    return Damaged(fmt::format("damaged block at offset {}", line.offset));
  }
  loaded_ = block;
  return {};
}

// Whether the bytes read are entries from first to last, in order.
bool HintReader::IsWhole(size_t block) const {
  const Block& line = blocks_[block];
  uint64_t entries = 0;
  auto before = OrderOf(0, HintEntry{});
  for (std::string_view rest = bytes_; !rest.empty(); ++entries) {
    if (rest.size() < kHintEntryBytes ||
        rest.size() < EntryBytes(rest.data())) {
      return false;
    }
    const HintEntry entry = DecodeEntry(rest.data());
    const auto order = OrderOf(hash_(entry.database, entry.key), entry);
    if (!MakesSense(entry, segment_)) return false;
    if (entries == 0 ? std::get<0>(order) != line.first_hash : order < before) {
      return false;
    }
    before = order;
    rest.remove_prefix(EntryBytes(rest.data()));
  }
  return entries == line.entries &&
         (block + 1 == blocks_.size() ||
          std::get<0>(before) <= blocks_[block + 1].first_hash);
}

Result<size_t> HintReader::ReadBlocks(size_t first, uint64_t bytes_max,
                                      HintBlocks* piece) {
  KVD_CHECK(first < blocks_.size());
  piece->path_ = path_;
  piece->seed_ = seed_;
  piece->segment_ = segment_;
  piece->offset_ = blocks_[first].offset;
  piece->blocks_.clear();
  uint64_t bytes = 0;
  size_t next = first;
  while (next < blocks_.size() && (next == first || bytes < bytes_max)) {
    const Block& block = blocks_[next++];
    piece->blocks_.push_back({block.bytes, block.entries, block.checksum});
    bytes += block.bytes;
  }
  KVD_TRY(ReadExactly(piece->offset_, bytes, &piece->bytes_));
  return next;
}

Result<void> HintReader::ReadBlock(size_t block, const HintVisitor& visit) {
  KVD_CHECK(block < blocks_.size());
  KVD_TRY(Load(block));
  for (size_t at = 0; at < bytes_.size();
       at += EntryBytes(bytes_.data() + at)) {
    visit(DecodeEntry(bytes_.data() + at));
  }
  return {};
}

// The first entry of a key in the block that is loaded.
std::optional<HintEntry> HintReader::FindLoaded(uint16_t database,
                                                std::string_view key) const {
  for (size_t at = 0; at < bytes_.size();
       at += EntryBytes(bytes_.data() + at)) {
    const HintEntry entry = DecodeEntry(bytes_.data() + at);
    if (entry.database == database && entry.key == key) return entry;
  }
  return std::nullopt;
}

Result<uint64_t> HintReader::OldestPut(uint16_t database,
                                       std::string_view key) {
  const uint64_t hash = hash_(database, key);
  const auto first_from =
      std::lower_bound(blocks_.begin(), blocks_.end(), hash,
                       [](const Block& block, uint64_t than) {
                         return block.first_hash < than;
                       });
  size_t low = static_cast<size_t>(first_from - blocks_.begin());
  size_t high = low;
  while (high < blocks_.size() && blocks_[high].first_hash == hash) ++high;

  // Finds the first block that does not begin before the key; `oldest` is what
  // its first entry says. There is more than one to choose from only where a
  // hash fills whole blocks.
  uint64_t oldest = kNoPut;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    KVD_TRY(Load(middle));
    const HintEntry first = DecodeEntry(bytes_.data());
    if (std::tuple(first.database, first.key) < std::tuple(database, key)) {
      low = middle + 1;
    } else {
      high = middle;
      oldest = first.database == database && first.key == key ? PutSeq(first)
                                                              : kNoPut;
    }
  }
  // The key's entries begin there, or else in the block before.
  if (low == 0) return oldest;
  KVD_TRY(Load(low - 1));
  const auto found = FindLoaded(database, key);
  return found ? PutSeq(*found) : oldest;
}

HintAnswer HintReader::HoldsPutBelow(uint16_t database, std::string_view key,
                                     uint64_t seq) {
  const Result<uint64_t> oldest = OldestPut(database, key);
  if (!oldest) return HintAnswer::kUnknown;
  return *oldest < seq ? HintAnswer::kYes : HintAnswer::kNo;
}

Result<HintOrigin> ReadHintOrigin(Directory& directory, uint64_t id) {
  const std::string name = HintName(id);
  KVD_TRY_ASSIGN(const std::unique_ptr<File> file,
                 directory.Open(name, Directory::OpenMode::kRead));
  std::string bytes(kHintHeaderBytes, '\0');
  KVD_TRY_ASSIGN(const size_t got, file->ReadAt(0, bytes));
  const char* from = bytes.data();
  const HintHeader header = DecodeHeader(from);
  if (got != bytes.size() || !bytes.starts_with(kHintMagic) ||
      LoadLe<uint64_t>(from + kHintChecksumAt) !=
          Checksum({from, kHintChecksumAt}, header.identity.Seed())) {
    return Fail(ErrorCode::kCorruption, "{}/{}: damaged header",
                directory.path(), name);
  }
  if (LoadLe<uint32_t>(from + 8) != kHintVersion ||
      LoadLe<uint64_t>(from + 16) != 0) {
    return Fail(ErrorCode::kFormat, "{}/{}: written in another format",
                directory.path(), name);
  }
  return HintOrigin{header.identity, header.segment_bytes,
                    header.segment_checksum, header.entries};
}

}  // namespace kvd
