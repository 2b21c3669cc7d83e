// SPDX-License-Identifier: MIT
#include "store/memory/index.h"

// Hashing is on the path of every command, and keys are short: the call into
// the library would cost as much as the hash.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/memory_hints.h"

namespace kvd {
namespace {

constexpr int kTagBits = 19;
constexpr int kAddressBits = 44;
constexpr int kTagShift = kAddressBits + 1;
constexpr uint64_t kTagMask = (uint64_t{1} << kTagBits) - 1;
constexpr uint64_t kHoldsValue = uint64_t{1} << kAddressBits;
constexpr uint64_t kAddressMask = kHoldsValue - 1;
static_assert(kTagBits + kTagShift == 64);

// A bucket's tags begin at a multiple of this many bits of the hash, so a split
// or merge that does not cross one needs no hash to be computed anew.
constexpr int kTagStep = 8;

constexpr size_t kUnitSlots = 128;
constexpr size_t kUnitsMax = 8;
// Slots that are nobody's home: the header's, the final 0, and room for what
// the last homes push out.
constexpr size_t kSpareSlots = 16;
// Keys per 100 home slots at which a bucket grows.
constexpr size_t kLoadPercentMax = 85;
// Two buckets merge when a bucket of this size can take them; well below
// kUnitsMax, lest they split again at once.
constexpr size_t kMergedUnitsMax = 6;

// The directory doubles only for an index of that many keys per reference, so
// that keys which collide cannot blow it up.
constexpr size_t kKeysPerReferenceMin = 64;
// References copied with each change while the directory is being replaced.
constexpr size_t kDirectorySlice = 16;

constexpr int kCursorBits = 48;
// More than any index holds.
constexpr size_t kScanCountMax = size_t{1} << 40;

size_t HomeSlots(size_t units) { return units * kUnitSlots - kSpareSlots; }

size_t KeysMax(size_t units) {
  return HomeSlots(units) * kLoadPercentMax / 100;
}

size_t UnitsFor(size_t keys) {
  size_t units = 1;
  while (units < kUnitsMax && KeysMax(units) < keys) ++units;
  return units;
}

// The top `bits` bits of `hash`, 0 ≤ bits < 64.
uint64_t HighBits(uint64_t hash, int bits) {
  return bits == 0 ? 0 : hash >> (64 - bits);
}

constexpr int TagBase(int depth) { return depth - depth % kTagStep; }

uint64_t TagOf(uint64_t hash, int depth) {
  return hash << TagBase(depth) >> (64 - kTagBits);
}

uint64_t TagOfWord(uint64_t word) { return word >> kTagShift; }

Entry* EntryOfWord(uint64_t word) {
  return reinterpret_cast<Entry*>((word & kAddressMask) * Entry::kAlignment);
}

uint64_t MakeWord(uint64_t tag, const Entry* entry) {
  const uint64_t address = reinterpret_cast<uintptr_t>(entry);
  KVD_CHECK(address % Entry::kAlignment == 0);
  KVD_CHECK(address / Entry::kAlignment <= kAddressMask);
  return tag << kTagShift | (entry->holds_value() ? kHoldsValue : 0) |
         address / Entry::kAlignment;
}

// The home slot of a tag in a bucket: monotonous, so that slots ascend by tag.
size_t HomeOf(uint64_t tag, int depth, size_t units) {
  const uint64_t below_depth = tag << (depth % kTagStep) & kTagMask;
  return below_depth * HomeSlots(units) >> kTagBits;
}

// Gives words the tags of buckets of that depth, and their order.
void Retag(const Index& index, uint64_t* words, size_t count, int depth) {
  constexpr size_t kAhead = 16;
  for (size_t i = 0; i < count; ++i) {
    if (i + kAhead < count) Prefetch(EntryOfWord(words[i + kAhead]));
    const Entry* entry = EntryOfWord(words[i]);
    words[i] = MakeWord(TagOf(index.Hash(entry->key()), depth), entry);
  }
  std::sort(words, words + count);
}

}  // namespace

// Followed by its slots; the last one is always 0, so that searches end.
struct Index::Bucket {
  uint32_t count;
  uint32_t slot_count;

  uint64_t* slots() { return reinterpret_cast<uint64_t*>(this + 1); }
  size_t bytes() const {
    return sizeof(Bucket) + slot_count * sizeof(uint64_t);
  }
};

Index::BucketRef::BucketRef(Bucket* bucket, int depth, size_t units)
    : bits_(reinterpret_cast<uintptr_t>(bucket) / kAlignment << kAddressShift |
            units << kUnitsShift | static_cast<uint64_t>(depth)) {
  KVD_CHECK(this->bucket() == bucket);
}

uint64_t Index::DefaultHash(std::string_view key, uint64_t seed) {
  return XXH3_64bits_withSeed(key.data(), key.size(), seed);
}

Index::Index(uint64_t seed, HashFunction hash) : seed_(seed), hash_(hash) {
  static_assert(sizeof(Bucket) == sizeof(uint64_t));
  static_assert(TagBase(kDepthMax) + kTagBits < kCursorBits);
  directory_ = std::make_unique_for_overwrite<BucketRef[]>(1);
  memory_bytes_ += sizeof(BucketRef);
  buckets_at_depth_[0] = 1;
  directory_[0] = Build(nullptr, 0, 0, 1, 0);
}

Index::~Index() { FreeSome(SIZE_MAX); }

size_t Index::DirectoryPosition(uint64_t hash) const {
  return hash >> 1 >> (63 - depth_);  // A shift by 64 would be undefined.
}

Index::BucketRef Index::RefOf(uint64_t hash) const {
  return directory_[DirectoryPosition(hash)];
}

void Index::PrefetchSlot(uint64_t hash) const {
  const BucketRef ref = RefOf(hash);
  const uint64_t tag = TagOf(hash, ref.depth());
  Prefetch(ref.bucket()->slots() + HomeOf(tag, ref.depth(), ref.units()));
}

void Index::PrefetchEntry(uint64_t hash, size_t bytes) const {
  constexpr size_t kLineBytes = 64;
  const BucketRef ref = RefOf(hash);
  const uint64_t tag = TagOf(hash, ref.depth());
  const uint64_t* slot = FirstSlot(ref, tag);
  // The entry of another key is none that anybody will look at.
  if (TagOfWord(*slot) != tag) return;
  const char* entry = reinterpret_cast<const char*>(EntryOfWord(*slot));
  for (size_t at = 0; at < bytes; at += kLineBytes) {
    Prefetch(entry + at);
  }
}

void Index::PrefetchForInsert(uint64_t hash) const {
  constexpr size_t kSlotsPerLine = 8;
  const BucketRef ref = RefOf(hash);
  const uint64_t tag = TagOf(hash, ref.depth());
  Bucket* bucket = ref.bucket();
  const uint64_t* home =
      bucket->slots() + HomeOf(tag, ref.depth(), ref.units());
  // The count, too, and where those go that are moved out of the way.
  Prefetch(bucket);
  Prefetch(home);
  Prefetch(home + kSlotsPerLine);
}

// The first slot with that tag; without one, where it would be.
uint64_t* Index::FirstSlot(BucketRef ref, uint64_t tag) {
  uint64_t* slot =
      ref.bucket()->slots() + HomeOf(tag, ref.depth(), ref.units());
  while (*slot != 0 && TagOfWord(*slot) < tag) ++slot;
  return slot;
}

uint64_t* Index::FindSlot(BucketRef ref, uint64_t tag, std::string_view key) {
  uint64_t* slot = FirstSlot(ref, tag);
  for (; *slot != 0 && TagOfWord(*slot) == tag; ++slot) {
    if (EntryOfWord(*slot)->key() == key) return slot;
  }
  return nullptr;
}

uint64_t* Index::SlotOf(uint64_t hash, const Entry* entry) const {
  const BucketRef ref = RefOf(hash);
  const uint64_t tag = TagOf(hash, ref.depth());
  const uint64_t word = MakeWord(tag, entry);
  uint64_t* slot =
      ref.bucket()->slots() + HomeOf(tag, ref.depth(), ref.units());
  while (*slot != word) {
    KVD_CHECK(*slot != 0);
    ++slot;
  }
  return slot;
}

Entry* Index::Find(uint64_t hash, std::string_view key) const {
  const BucketRef ref = RefOf(hash);
  const uint64_t* slot = FindSlot(ref, TagOf(hash, ref.depth()), key);
  return slot == nullptr ? nullptr : EntryOfWord(*slot);
}

Entry* Index::Insert(EntryPtr entry) {
  const uint64_t hash = Hash(entry->key());
  return Insert(hash, std::move(entry));
}

Entry* Index::Insert(uint64_t hash, EntryPtr entry) {
  Entry* inserted = entry.get();
  const Entry* present = FindOrInsert(hash, &entry);
  KVD_CHECK(present == nullptr);
  return inserted;
}

Entry* Index::FindOrInsert(uint64_t hash, EntryPtr* entry) {
  BucketRef ref = RefOf(hash);
  uint64_t tag = TagOf(hash, ref.depth());
  uint64_t* slot = FirstSlot(ref, tag);
  for (; *slot != 0 && TagOfWord(*slot) == tag; ++slot) {
    Entry* present = EntryOfWord(*slot);
    if (present->key() == (*entry)->key()) return present;
  }
  AdvanceDirectory();
  bool moved = MakeRoom(hash);
  for (;;) {
    if (moved) {
      ref = RefOf(hash);
      tag = TagOf(hash, ref.depth());
      slot = FirstSlot(ref, tag);
    }
    if (TryInsertAt(slot, MakeWord(tag, entry->get()), ref.bucket())) break;
    Lengthen(hash);
    moved = true;
  }
  ++size_;
  entry->release();
  return nullptr;
}

EntryPtr Index::Replace(uint64_t hash, EntryPtr entry) {
  const BucketRef ref = RefOf(hash);
  const uint64_t tag = TagOf(hash, ref.depth());
  uint64_t* slot = FindSlot(ref, tag, entry->key());
  KVD_CHECK(slot != nullptr);
  EntryPtr old(EntryOfWord(*slot));
  *slot = MakeWord(tag, entry.release());
  return old;
}

EntryPtr Index::Erase(uint64_t hash, std::string_view key) {
  const BucketRef ref = RefOf(hash);
  uint64_t* slot = FindSlot(ref, TagOf(hash, ref.depth()), key);
  return slot == nullptr ? nullptr : TakeOut(hash, slot);
}

EntryPtr Index::Erase(Entry* entry) {
  const uint64_t hash = Hash(entry->key());
  return TakeOut(hash, SlotOf(hash, entry));
}

// Puts `word` into `slot`; what stands there and behind it, up to the next gap,
// moves on by one. False if there is no gap.
bool Index::TryInsertAt(uint64_t* slot, uint64_t word, Bucket* bucket) {
  uint64_t* free = slot;
  while (*free != 0) ++free;
  if (free == bucket->slots() + bucket->slot_count - 1) return false;

  std::memmove(slot + 1, slot, (free - slot) * sizeof(uint64_t));
  *slot = word;
  ++bucket->count;
  work_ += free - slot + 1;
  return true;
}

EntryPtr Index::TakeOut(uint64_t hash, uint64_t* slot) {
  const BucketRef ref = RefOf(hash);
  EntryPtr entry(EntryOfWord(*slot));
  // Who was pushed out of its home moves back towards it, so that no gap ever
  // lies between a home and its keys.
  for (; slot[1] != 0; ++slot) {
    const size_t position = slot - ref.bucket()->slots();
    if (HomeOf(TagOfWord(slot[1]), ref.depth(), ref.units()) > position) break;
    slot[0] = slot[1];
    ++work_;
  }
  *slot = 0;
  ++work_;
  --ref.bucket()->count;
  --size_;
  ShrinkIfSparse(hash);
  AdvanceDirectory();
  return entry;
}

// Keeps the load of the bucket where `hash` belongs below its bound. Says
// whether slots were moved.
bool Index::MakeRoom(uint64_t hash) {
  for (bool moved = false;; moved = true) {
    const BucketRef ref = RefOf(hash);
    const size_t count = ref.bucket()->count;
    if (count < KeysMax(ref.units())) return moved;
    if (ref.units() < kUnitsMax) {
      Rebuild(hash, std::max(ref.units() + 1, UnitsWithRoom(count)));
      return true;
    }
    if (!TrySplit(hash)) return moved;  // It gets longer than it should be.
  }
}

size_t Index::UnitsWithRoom(size_t keys) const {
  return UnitsFor(keys + keys * room_percent_ / 100);
}

bool Index::TrySplit(uint64_t hash) {
  const BucketRef old = RefOf(hash);
  const int depth = old.depth() + 1;
  if (depth > depth_ && next_directory_ == nullptr) StartDirectory(depth);
  const bool halving = next_directory_ != nullptr && next_depth_ < depth_;
  if (depth > (halving ? next_depth_ : depth_)) return false;

  scratch_.clear();
  Gather(old);
  uint64_t* words = scratch_.data();
  const size_t count = scratch_.size();
  const uint64_t bit = uint64_t{1} << (63 - old.depth() % kTagStep);
  const size_t left_count =
      std::partition_point(words, words + count,
                           [bit](uint64_t word) { return (word & bit) == 0; }) -
      words;
  if (depth % kTagStep == 0) {
    Retag(*this, words, left_count, depth);
    Retag(*this, words + left_count, count - left_count, depth);
  }
  // Both get room to grow, lest they are rebuilt soon.
  const auto build = [&](const uint64_t* from, size_t keys) {
    return Build(from, keys, depth, UnitsWithRoom(keys), 0);
  };
  const BucketRef left = build(words, left_count);
  const BucketRef right = build(words + left_count, count - left_count);

  const size_t width = size_t{1} << (depth_ - depth);
  const size_t first = DirectoryPosition(hash) & ~(2 * width - 1);
  Assign(first, width, left);
  Assign(first + width, width, right);
  FreeBucket(old.bucket());
  --buckets_at_depth_[depth - 1];
  buckets_at_depth_[depth] += 2;
  return true;
}

void Index::ShrinkIfSparse(uint64_t hash) {
  const BucketRef ref = RefOf(hash);
  const size_t count = ref.bucket()->count;
  if (count <= KeysMax(kMergedUnitsMax / 2) && TryMerge(hash)) {
    ShrinkDirectoryIfSparse();
  } else if (UnitsFor(count) + 2 <= ref.units()) {
    Rebuild(hash, ref.units() - 1);
  }
}

// Joins the bucket with the one that differs in the last bit they decide by, if
// that is no deeper and one bucket can take both.
bool Index::TryMerge(uint64_t hash) {
  const int depth = RefOf(hash).depth();
  if (depth == 0) return false;
  const size_t width = size_t{1} << (depth_ - depth);
  const size_t first = DirectoryPosition(hash) & ~(2 * width - 1);
  const BucketRef left = directory_[first];
  const BucketRef right = directory_[first + width];
  if (left.depth() != right.depth()) return false;
  const size_t count = left.bucket()->count + right.bucket()->count;
  if (count > KeysMax(kMergedUnitsMax)) return false;

  scratch_.clear();
  Gather(left);
  Gather(right);
  if (depth % kTagStep == 0) {
    // The bits before the tag are known from where the bucket is.
    for (size_t i = 0; i < count; ++i) {
      const size_t position = first + (i < left.bucket()->count ? 0 : width);
      const uint64_t above = position >> (depth_ - depth);
      const uint64_t tag =
          above << (kTagBits - kTagStep) | TagOfWord(scratch_[i]) >> kTagStep;
      scratch_[i] = (tag & kTagMask) << kTagShift |
                    (scratch_[i] & (kHoldsValue | kAddressMask));
    }
  }
  const BucketRef merged =
      Build(scratch_.data(), count, depth - 1, UnitsFor(count + count / 8), 0);
  Assign(first, 2 * width, merged);
  FreeBucket(left.bucket());
  FreeBucket(right.bucket());
  buckets_at_depth_[depth] -= 2;
  ++buckets_at_depth_[depth - 1];
  return true;
}

void Index::Rebuild(uint64_t hash, size_t units) {
  const BucketRef old = RefOf(hash);
  scratch_.clear();
  Gather(old);
  const BucketRef rebuilt =
      Build(scratch_.data(), scratch_.size(), old.depth(), units, 0);
  const size_t width = size_t{1} << (depth_ - old.depth());
  Assign(DirectoryPosition(hash) & ~(width - 1), width, rebuilt);
  FreeBucket(old.bucket());
}

// Gives the bucket more slots at its end, though not more homes.
void Index::Lengthen(uint64_t hash) {
  const BucketRef old = RefOf(hash);
  const size_t slots = old.bucket()->slot_count;
  scratch_.clear();
  Gather(old);
  const BucketRef longer =
      Build(scratch_.data(), scratch_.size(), old.depth(), old.units(),
            slots + std::max(kUnitSlots, slots / 8));
  const size_t width = size_t{1} << (depth_ - old.depth());
  Assign(DirectoryPosition(hash) & ~(width - 1), width, longer);
  FreeBucket(old.bucket());
}

// An empty bucket of at least `slots_min` slots, the last one included.
Index::Bucket* Index::NewBucket(size_t slots_min, size_t units) {
  const size_t unit_count =
      std::max(units, (slots_min + kUnitSlots) / kUnitSlots);
  const size_t bytes = unit_count * kUnitSlots * sizeof(uint64_t);
  auto* bucket = static_cast<Bucket*>(std::calloc(1, bytes));
  KVD_CHECK(bucket != nullptr);
  bucket->slot_count = static_cast<uint32_t>(unit_count * kUnitSlots - 1);
  memory_bytes_ += bytes;
  return bucket;
}

void Index::FreeBucket(Bucket* bucket) {
  memory_bytes_ -= bucket->bytes();
  std::free(bucket);
}

// A new bucket with these words, which ascend by tag.
Index::BucketRef Index::Build(const uint64_t* words, size_t count, int depth,
                              size_t units, size_t slots_min) {
  size_t end = 0;
  for (size_t i = 0; i < count; ++i) {
    end = std::max(end, HomeOf(TagOfWord(words[i]), depth, units)) + 1;
  }
  Bucket* bucket = NewBucket(std::max(end + 1, slots_min), units);
  end = 0;
  for (size_t i = 0; i < count; ++i) {
    end = std::max(end, HomeOf(TagOfWord(words[i]), depth, units));
    bucket->slots()[end++] = words[i];
  }
  bucket->count = static_cast<uint32_t>(count);
  work_ += count;
  return BucketRef(bucket, depth, units);
}

// Appends a bucket's words to scratch_, in order.
void Index::Gather(BucketRef ref) {
  Bucket* bucket = ref.bucket();
  scratch_.resize(scratch_.size() + bucket->count);
  uint64_t* to = scratch_.data() + scratch_.size() - bucket->count;
  for (size_t i = 0; i < bucket->slot_count; ++i) {
    if (bucket->slots()[i] != 0) *to++ = bucket->slots()[i];
  }
  KVD_CHECK(to == scratch_.data() + scratch_.size());
}

void Index::Assign(size_t first, size_t width, BucketRef ref) {
  for (size_t position = first; position < first + width; ++position) {
    directory_[position] = ref;
    const size_t smaller = next_depth_ > depth_ ? position : position >> 1;
    if (next_directory_ != nullptr && smaller < next_filled_) {
      CopyToNextDirectory(smaller);
    }
  }
  work_ += width;
}

// Begins to double or halve the directory, if that is not out of proportion.
void Index::StartDirectory(int depth) {
  const size_t references = size_t{1} << depth;
  if (depth > depth_ &&
      (depth > kDepthMax || references * kKeysPerReferenceMin > size_)) {
    return;
  }
  next_directory_ = std::make_unique_for_overwrite<BucketRef[]>(references);
  memory_bytes_ += references * sizeof(BucketRef);
  next_depth_ = depth;
  next_filled_ = 0;
  AdvanceDirectory();
}

void Index::AdvanceDirectory() {
  if (next_directory_ == nullptr) return;
  const size_t smaller_size = size_t{1} << std::min(depth_, next_depth_);
  const size_t end = std::min(next_filled_ + kDirectorySlice, smaller_size);
  work_ += 2 * (end - next_filled_);
  for (; next_filled_ < end; ++next_filled_) CopyToNextDirectory(next_filled_);
  if (end < smaller_size) return;

  memory_bytes_ -= directory_size() * sizeof(BucketRef);
  directory_ = std::move(next_directory_);
  depth_ = next_depth_;
}

// `smaller` is a position of the smaller one of both directories.
void Index::CopyToNextDirectory(size_t smaller) {
  if (next_depth_ > depth_) {
    next_directory_[2 * smaller] = directory_[smaller];
    next_directory_[2 * smaller + 1] = directory_[smaller];
  } else {
    next_directory_[smaller] = directory_[2 * smaller];
  }
}

// Halves the directory when no bucket needs even the half, so that a few splits
// do not double it again.
void Index::ShrinkDirectoryIfSparse() {
  if (depth_ < 2 || next_directory_ != nullptr) return;
  if (buckets_at_depth_[depth_] + buckets_at_depth_[depth_ - 1] != 0) return;
  StartDirectory(depth_ - 1);
}

uint64_t Index::Scan(uint64_t cursor, size_t count,
                     const EntryVisitor& visitor) const {
  constexpr uint64_t kEnd = uint64_t{1} << kCursorBits;
  // Also bounds the walk over buckets that hold next to nothing.
  count = std::clamp<size_t>(count, 1, kScanCountMax);
  const size_t slots_max = 4 * count + kUnitsMax * kUnitSlots;
  size_t slots_seen = 0;
  size_t visited = 0;
  while (cursor < kEnd && visited < count && slots_seen < slots_max) {
    const uint64_t hash = cursor << (64 - kCursorBits);
    const BucketRef ref = RefOf(hash);
    const int depth = ref.depth();
    const uint64_t tag = TagOf(hash, depth);
    // A cursor may lie within a tag when this bucket was deeper at the last
    // call; all of that tag is visited again, and whole tags only are visited.
    uint64_t last_tag = tag;
    const uint64_t* slots = ref.bucket()->slots();
    for (size_t i = HomeOf(tag, depth, ref.units());
         i + 1 < ref.bucket()->slot_count; ++i) {
      ++slots_seen;
      if (slots[i] == 0 || TagOfWord(slots[i]) < tag) continue;
      const uint64_t slot_tag = TagOfWord(slots[i]);
      if (visited >= count && slot_tag != last_tag) {
        const int base = TagBase(depth);
        return (HighBits(hash, base) << kTagBits | slot_tag)
               << (kCursorBits - base - kTagBits);
      }
      visitor(*EntryOfWord(slots[i]));
      ++visited;
      last_tag = slot_tag;
    }
    cursor = (HighBits(hash, depth) + 1) << (kCursorBits - depth);
  }
  return cursor < kEnd ? cursor : 0;
}

uint64_t Index::SweepValues(uint64_t cursor, size_t slots_max,
                            size_t* slots_seen,
                            const ValueVisitor& visitor) const {
  constexpr uint64_t kEnd = uint64_t{1} << kCursorBits;
  size_t seen = 0;
  while (cursor < kEnd && seen < slots_max) {
    const uint64_t hash = cursor << (64 - kCursorBits);
    const BucketRef ref = RefOf(hash);
    const int depth = ref.depth();
    const uint64_t* slots = ref.bucket()->slots();
    const uint64_t tag = TagOf(hash, depth);
    for (size_t i = HomeOf(tag, depth, ref.units());
         i + 1 < ref.bucket()->slot_count; ++i) {
      ++seen;
      if ((slots[i] & kHoldsValue) == 0 || TagOfWord(slots[i]) < tag) continue;
      if (visitor(*EntryOfWord(slots[i]))) continue;
      const int base = TagBase(depth);
      *slots_seen += seen;
      const uint64_t at =
          (HighBits(hash, base) << kTagBits | TagOfWord(slots[i]))
          << (kCursorBits - base - kTagBits);
      // 0 would be the end; bits this low are beneath all tags.
      return std::max<uint64_t>(at, 1);
    }
    cursor = (HighBits(hash, depth) + 1) << (kCursorBits - depth);
  }
  *slots_seen += seen;
  return cursor < kEnd ? cursor : 0;
}

Entry* Index::Random(uint64_t random) const {
  if (size_ == 0) return nullptr;
  // Buckets of one depth hold nearly the same number of keys, so any bucket,
  // then any of its keys, is fair. Skipping to the next key from an empty slot
  // would not be: it favours keys that follow a gap.
  size_t position = DirectoryPosition(random);
  while (directory_[position].bucket()->count == 0) {
    position = (position + 1) % directory_size();
  }
  Bucket* bucket = directory_[position].bucket();
  for (int tries = 0; tries < 32; ++tries) {
    random = DefaultHash({}, random);
    const uint64_t word = bucket->slots()[random % bucket->slot_count];
    if (word != 0) return EntryOfWord(word);
  }
  const uint64_t* slot = bucket->slots();
  while (*slot == 0) ++slot;
  return EntryOfWord(*slot);
}

size_t Index::FreeSome(size_t entries_max, const EntryVisitor& visitor) {
  while (entries_max > 0 && free_position_ < directory_size()) {
    const BucketRef ref = directory_[free_position_];
    Bucket* bucket = ref.bucket();
    for (size_t i = 0; entries_max > 0 && bucket->count > 0; ++i) {
      uint64_t& word = bucket->slots()[i];
      if (word == 0) continue;
      EntryPtr entry(EntryOfWord(word));
      if (visitor) visitor(*entry);
      word = 0;
      --bucket->count;
      --size_;
      --entries_max;
    }
    if (bucket->count > 0) break;
    FreeBucket(bucket);
    free_position_ += size_t{1} << (depth_ - ref.depth());
  }
  return size_;
}

}  // namespace kvd
