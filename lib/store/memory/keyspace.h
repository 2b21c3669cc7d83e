// SPDX-License-Identifier: MIT
//
// One database in memory: its keys, their deadlines, and the changes that a
// reply about it may reveal.
//
// A removed key leaves a ghost: an entry without a value that stays until the
// removal is durable, so that whoever sees the absence waits with the remover.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "log/format/place.h"
#include "store/memory/deadline_queue.h"
#include "store/memory/entry.h"
#include "store/memory/index.h"
#include "store/memory/segment_usage.h"

namespace kvd {

// What all keyspaces of a store take together, cleared tables included.
struct MemoryUse {
  uint64_t entry_bytes = 0;  // Of entries, with their keys and values.
  uint64_t value_bytes = 0;  // Of the values among them.
  // That entries would not take without their values: sizes are rounded up.
  uint64_t evictable_bytes = 0;
  uint64_t index_bytes = 0;     // Of slots and directories.
  uint64_t deadline_bytes = 0;  // Of the queues.
  uint64_t queued_bytes = 0;    // Of what is to be worked off later.
  // Of what an open transaction has replaced, and keeps to undo that. It is no
  // part of the sum: a commit frees it, and it was there before.
  uint64_t kept_bytes = 0;

  uint64_t all() const {
    return entry_bytes + index_bytes + deadline_bytes + queued_bytes;
  }
  // What cannot go to disk.
  uint64_t without_values() const { return all() - evictable_bytes; }

  bool operator==(const MemoryUse&) const = default;
};

// Thread: loop; the start's until there is one.
class Keyspace {
 public:
  Keyspace(uint64_t hash_seed, SegmentUsage* usage, MemoryUse* memory);

  // The entry, ghosts included, or null.
  Entry* Find(uint64_t hash, std::string_view key) const {
    return index_->Find(hash, key);
  }
  uint64_t Hash(std::string_view key) const { return index_->Hash(key); }
  uint64_t hash_seed() const { return hash_seed_; }

  // Gives a key its value. Key and value may point into the entry they replace.
  void Put(uint64_t hash, std::string_view key, std::string_view value,
           uint64_t seq, Place place, uint64_t deadline_ms);
  // For replay: the same with an entry that was made elsewhere, unless key or
  // database have a change that is as new.
  enum class Outcome { kAdded, kReplaced, kOutdated };
  Outcome PutIfNewest(uint64_t hash, EntryPtr entry);
  // Puts a ghost in the place of a live key.
  void Bury(uint64_t hash, std::string_view key, uint64_t seq, Place place);
  // For replay: leaves a ghost, newer than what is there of the key, if
  // anything.
  void Remember(uint64_t hash, std::string_view key, uint64_t seq, Place place);
  // Forgets the ghost of that removal, if it is still there.
  void DropGhost(uint64_t hash, std::string_view key, uint64_t seq);
  // Removes a live key without a trace, and returns its entry.
  EntryPtr Erase(uint64_t hash, std::string_view key, uint64_t seq);
  // Empties the database at once and hands its table over, to be freed by
  // Free() in slices; null if that would be as good as new.
  std::unique_ptr<Index> Clear(uint64_t seq);

  // --- Changes that can be undone, the newest first ---
  //
  // What was there is neither destroyed nor written over: the caller keeps it.
  // Erase() is another one.

  // The same as Put() or, with a ghost, as Bury(): returns the entry that was
  // there of the key, null if there was none.
  EntryPtr PutKeeping(uint64_t hash, EntryPtr entry);
  // Puts `old` back, if there was any, and takes `fresh` out, if it is there.
  void Restore(uint64_t hash, const Entry* fresh, EntryPtr old,
               uint64_t last_change);
  // The same as Clear().
  struct Cleared {
    std::unique_ptr<Index> index;  // Both null if they would be as good as new.
    std::unique_ptr<DeadlineQueue> deadlines;
    uint64_t ghosts = 0;
    uint64_t last_change = 0;
    uint64_t flushed = 0;
  };
  Cleared ClearKeeping(uint64_t seq);
  void Restore(Cleared cleared);

  // Frees up to `entries_max` entries of a cleared table; returns what is left.
  // When nothing is, the table counts as gone.
  size_t Free(Index* cleared, size_t entries_max);

  // Takes an entry's value out of memory; it is on disk, and the entry another
  // one afterwards.
  void MakeCold(Entry* entry);
  // Keeps a value that was read from disk, if it still is the key's: `seq` is
  // of the change that wrote it.
  void KeepValue(uint64_t hash, std::string_view key, uint64_t seq,
                 std::string_view value);

  // Live keys.
  uint64_t size() const { return index_->size() - ghosts_; }
  const Index& index() const { return *index_; }
  const DeadlineQueue& deadlines() const { return *deadlines_; }
  // The newest change of anything in here, and the newest flush.
  uint64_t last_change() const { return last_change_; }
  uint64_t flushed() const { return flushed_; }
  // For replay: what the MANIFEST knew.
  void set_flushed(uint64_t seq) { flushed_ = last_change_ = seq; }
  // The same of Index.
  void set_room_percent(size_t percent) { index_->set_room_percent(percent); }

  // The record that a put wrote for this entry.
  static uint64_t RecordBytesOf(const Entry& entry);

 private:
  void Count(const Entry& entry);
  void Uncount(const Entry& entry);
  void CountTables();
  void Account(const Entry& entry);
  void Forget(const Entry& entry);
  void AccountKept(const Entry& entry);
  void ForgetUndone(const Entry& entry);
  void Exchange(uint64_t hash, Entry* old, EntryPtr fresh);
  void Added(Entry* fresh);
  EntryPtr PutInPlaceOf(Entry* old, uint64_t hash, EntryPtr entry);

  uint64_t hash_seed_;
  SegmentUsage& usage_;
  MemoryUse& memory_;
  std::unique_ptr<Index> index_;
  std::unique_ptr<DeadlineQueue> deadlines_;
  uint64_t new_index_bytes_ = 0;      // Of an index that never held a key.
  uint64_t counted_index_bytes_ = 0;  // In memory_, as are …
  uint64_t counted_deadline_bytes_ = 0;
  uint64_t ghosts_ = 0;
  uint64_t last_change_ = 0;
  uint64_t flushed_ = 0;
};

}  // namespace kvd
