// SPDX-License-Identifier: MIT
//
// The keys that one client watches: whether any of them has changed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "store/memory/watched_keys.h"
#include "store/store.h"

namespace kvd {

class Entry;

// A key is touched when it is written, whether it was there or not; when it
// goes, be it removed, expired or flushed; and when two databases change places
// of which either has it. One that was absent when it was added is not touched
// by staying so; a key counts as absent when its deadline has passed. What a
// transaction touched is not touched when that is undone.
// Thread: loop. The store outlives it. Costs nothing while it is empty.
class Watch {
 public:
  explicit Watch(Store& store);
  ~Watch() { Clear(); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // Also watches this key of the client's database `database`, whatever that
  // may mean later. A key that is watched already stays so. Not while a
  // Transaction is open.
  void Add(int database, std::string_view key);
  // Forgets all keys, and what has touched them.
  void Clear();

  bool empty() const { return keys_.empty(); }
  size_t size() const { return keys_.size(); }
  // What the table of watched keys holds for it, about.
  size_t memory_bytes() const { return memory_bytes_; }

  // The first change since Add() that touched one of the keys, nothing if none
  // has: a reply that says so waits for it. A key whose deadline has passed
  // since then is touched, too, and is a miss from now on, as for
  // Operation::Find().
  std::optional<Seq> Touched();

 private:
  bool IsExpired(const Entry& entry) const;
  void Expire(Keyspace* keyspace, uint64_t hash, const Entry& entry);

  StoreCore& store_;
  Watcher watcher_;
  std::vector<WatchedKeys::Handle> keys_;
  size_t memory_bytes_ = 0;
};

}  // namespace kvd
