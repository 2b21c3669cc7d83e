// SPDX-License-Identifier: MIT
//
// The keys of one database in memory: hash table of 8-byte slots that point to
// entries.
//
// It must never pause, not even at ten million keys, and must not need twice
// its memory to grow. Hence extendible hashing (Fagin et al., 1979) over the
// high bits of the hash: a directory of 2^depth references to buckets, and
// buckets that are flat tables of at most about a thousand slots, each of which
// grows, splits, shrinks and merges on its own.
//
//   hash     | bucket: depth bits | place in the bucket | … |
//   slot     | tag 19 bits | holds a value | address of the entry / 16, 44 bits
//   | bucket   | header | slots, ascending by tag, with gaps | 0 |
//
//  - A bucket is an ordered linear probing table (Amble & Knuth, 1974): a key's
//    home slot is its hash scaled to the bucket's size, so slot order is hash
//    order, and a search that meets a greater tag may stop.
//  - Buckets grow by eighths of their largest size and then split into halves.
//    Load stays within 0.6 to 0.85 and slots cost 9 to 13 bytes a key at every
//    size, where a table that doubles swings by a factor of two. (A start that
//    knows of keys to come has buckets grow by more; see set_room_percent().)
//  - A tag is 19 bits of the hash, starting at the last multiple of 8 bits at
//    or above the bucket's depth. So moving slots takes tags alone; entries are
//    read anew only when a bucket's depth passes 8, 16 or 24.
//  - A lookup costs two cache misses, slot and entry; the directory (a byte for
//    every forty keys or so) stays in the cache.
//  - SCAN cursors are positions in hash order, valid through any growth.
//  - A slot knows whether its entry holds a value, so that a sweep over the few
//    values in memory of many keys reads slots alone.
//
// The directory doubles and halves in slices too, a few references with each
// change; meanwhile buckets that would need the larger one get longer instead
// of splitting. Keys that collide (only a broken hash has many) make buckets
// longer as well: slower then, never wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "store/memory/entry.h"

namespace kvd {

// Owns its entries. An Entry* that it returned stays valid until that entry is
// replaced, erased or freed; growth never moves entries.
// Thread: one; it holds no lock.
class Index {
 public:
  using HashFunction = uint64_t (*)(std::string_view key, uint64_t seed);
  using EntryVisitor = std::function<void(Entry&)>;

  // No insertion, Replace or Erase adds more than this to work(), as long as
  // the hash function spreads the keys.
  static constexpr uint64_t kWorkPerChangeMax = 1280;

  // XXH3-64 with seed.
  static uint64_t DefaultHash(std::string_view key, uint64_t seed);

  // `seed` should be random, known to no client, and differ per process, so
  // that nobody can choose keys that collide. Tests may choose the hash too.
  explicit Index(uint64_t seed, HashFunction hash = &DefaultHash);
  // Frees what is left at once; see FreeSome() to avoid the pause.
  ~Index();
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;

  // The hash that the functions below want for `key`.
  uint64_t Hash(std::string_view key) const { return hash_(key, seed_); }

  // Hints that overlap the cache misses of a batch: call the first for every
  // key of the batch, then the second for every key, then Find(). `bytes` of
  // the entry are fetched, a line of the cache at a time.
  void PrefetchSlot(uint64_t hash) const;
  void PrefetchEntry(uint64_t hash, size_t bytes = Entry::kHeaderBytes) const;
  // Instead of the first, for keys that will probably be inserted.
  void PrefetchForInsert(uint64_t hash) const;

  // The entry of `key` (a ghost too), or null.
  Entry* Find(std::string_view key) const { return Find(Hash(key), key); }
  Entry* Find(uint64_t hash, std::string_view key) const;

  // Takes over an entry whose key is absent. Returns it.
  Entry* Insert(EntryPtr entry);
  Entry* Insert(uint64_t hash, EntryPtr entry);
  // The entry with the key of `*entry`, and changes nothing; or null if there
  // was none, and then takes `*entry` over.
  Entry* FindOrInsert(uint64_t hash, EntryPtr* entry);

  // Puts `entry` in the place of the one with the same key, which must be
  // present, and returns the old one.
  EntryPtr Replace(uint64_t hash, EntryPtr entry);

  // Removes a key and returns its entry; null if it is absent.
  EntryPtr Erase(std::string_view key) { return Erase(Hash(key), key); }
  EntryPtr Erase(uint64_t hash, std::string_view key);
  // Removes an entry of this index.
  EntryPtr Erase(Entry* entry);

  // Visits about `count` entries in hash order from `cursor` on (0 to begin)
  // and returns the cursor to go on from, or 0 at the end. A few more may be
  // visited, or fewer and even none although the end is not reached: a call's
  // work is bounded. Cursors are less than 2^48; any number is accepted.
  //
  // A key that is present from the first call of an iteration to the last is
  // visited at least once, whatever else changes between the calls. The visitor
  // must not change the index.
  uint64_t Scan(uint64_t cursor, size_t count,
                const EntryVisitor& visitor) const;

  // Visits entries that hold a value, in hash order from `cursor` on (0 to
  // begin), until the visitor says false or some `slots_max` slots were looked
  // at, whose number is added to `*slots_seen`. Returns the cursor to go on
  // from, or 0 at the end; entries right before it may be visited again. The
  // visitor must not change the index.
  using ValueVisitor = std::function<bool(Entry&)>;
  uint64_t SweepValues(uint64_t cursor, size_t slots_max, size_t* slots_seen,
                       const ValueVisitor& visitor) const;

  // An entry chosen by a random number, each with nearly equal chance; null if
  // the index is empty.
  Entry* Random(uint64_t random) const;

  // Destroys up to `entries_max` entries, each after a visit if there is a
  // visitor, and returns how many are left: to drop a table in slices. After
  // the first call only FreeSome(), size() and the destructor may be used.
  size_t FreeSome(size_t entries_max, const EntryVisitor& visitor = nullptr);

  size_t size() const { return size_; }

  // How many percent more keys than it has a bucket that grows gets room for;
  // kRoomPercentMin at first. More spares work where keys are known to come.
  static constexpr size_t kRoomPercentMin = 12;
  void set_room_percent(size_t percent) { room_percent_ = percent; }

  // Bytes that slots and directory take, entries excluded.
  size_t memory_bytes() const { return memory_bytes_; }

  // Slots and directory references moved so far, to show that each change does
  // a bounded amount of work.
  uint64_t work() const { return work_; }

 private:
  struct Bucket;
  class BucketRef;

  // A directory's word: where a bucket is, how many high bits of the hash its
  // keys share, and over how many home slots it spreads them.
  class BucketRef {
   public:
    BucketRef() = default;  // Indeterminate, so that arrays cost nothing.
    BucketRef(Bucket* bucket, int depth, size_t units);

    Bucket* bucket() const {
      return reinterpret_cast<Bucket*>((bits_ >> kAddressShift) * kAlignment);
    }
    int depth() const { return static_cast<int>(bits_ & kDepthMask); }
    size_t units() const { return (bits_ >> kUnitsShift) & kUnitsMask; }

   private:
    static constexpr int kUnitsShift = 6;
    static constexpr int kAddressShift = 20;
    static constexpr uint64_t kDepthMask = 63;
    static constexpr uint64_t kUnitsMask = 15;
    static constexpr uint64_t kAlignment = 16;

    uint64_t bits_;
  };
  static_assert(sizeof(BucketRef) == 8);

  using Directory = std::unique_ptr<BucketRef[]>;
  using Words = std::vector<uint64_t>;

  static constexpr int kDepthMax = 28;

  size_t directory_size() const { return size_t{1} << depth_; }
  size_t DirectoryPosition(uint64_t hash) const;
  BucketRef RefOf(uint64_t hash) const;
  static uint64_t* FirstSlot(BucketRef ref, uint64_t tag);
  static uint64_t* FindSlot(BucketRef ref, uint64_t tag, std::string_view key);
  uint64_t* SlotOf(uint64_t hash, const Entry* entry) const;

  bool TryInsertAt(uint64_t* slot, uint64_t word, Bucket* bucket);
  EntryPtr TakeOut(uint64_t hash, uint64_t* slot);
  bool MakeRoom(uint64_t hash);
  bool TrySplit(uint64_t hash);
  bool TryMerge(uint64_t hash);
  void ShrinkIfSparse(uint64_t hash);
  size_t UnitsWithRoom(size_t keys) const;
  void Rebuild(uint64_t hash, size_t units);
  void Lengthen(uint64_t hash);

  Bucket* NewBucket(size_t slots_min, size_t units);
  void FreeBucket(Bucket* bucket);
  BucketRef Build(const uint64_t* words, size_t count, int depth, size_t units,
                  size_t slots_min);
  void Gather(BucketRef ref);

  void Assign(size_t first, size_t width, BucketRef ref);
  void StartDirectory(int depth);
  void AdvanceDirectory();
  void CopyToNextDirectory(size_t position);
  void ShrinkDirectoryIfSparse();

  const uint64_t seed_;
  const HashFunction hash_;
  size_t size_ = 0;
  size_t memory_bytes_ = 0;
  uint64_t work_ = 0;
  size_t room_percent_ = kRoomPercentMin;

  int depth_ = 0;
  Directory directory_;
  // The directory that is about to replace the current one, of double or half
  // its size; positions of the smaller of the two below `next_filled_` are
  // done.
  Directory next_directory_;
  int next_depth_ = 0;
  size_t next_filled_ = 0;
  size_t buckets_at_depth_[kDepthMax + 1] = {};

  Words scratch_;
  // Where FreeSome() goes on.
  size_t free_position_ = 0;
};

}  // namespace kvd
