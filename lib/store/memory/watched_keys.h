// SPDX-License-Identifier: MIT
//
// Keys that clients watch (watch.h), by their names: a key need not be there,
// and changes are looked up as they are made. Nobody watches, usually: then a
// change costs a look at empty().
//
// A watcher hears of one change, the first. What a transaction told it is taken
// back when that is undone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/memory/basics.h"

namespace kvd {

// Whoever watches.
struct Watcher {
  std::optional<Seq> touched;  // By that change.
};

// Databases are clients' numbers: a swap brings other keys under the names that
// are watched. Thread: loop.
class WatchedKeys {
 public:
  struct Key {
    int database;
    std::string key;
    bool existed;  // When it was added, and since then while nothing touched.
    Watcher* watcher;
  };
  using Handle = std::multimap<uint64_t, Key>::iterator;

  bool empty() const { return keys_.empty(); }

  // `hash` is the key's in all databases. `watcher` stays until its last key
  // has gone. Nothing if it watches that key already.
  std::optional<Handle> Add(uint64_t hash, Key key);
  // Forgets keys of one watcher, all of them, and what touched it.
  void Remove(const std::vector<Handle>& keys, Watcher* watcher);
  // Of one key, about.
  static size_t MemoryBytesOf(const Handle& key);

  // --- Changes, as they are made ---

  void NotePut(int database, uint64_t hash, std::string_view key, Seq seq);
  // Whether it expired or was removed.
  void NoteRemoval(int database, uint64_t hash, std::string_view key, Seq seq);
  void NoteFlush(int database, Seq seq);
  // Of all databases.
  void NoteFlushAll(Seq seq);
  // All keys: nobody knows what has happened to them.
  void NoteUnknown(Seq seq);
  // Before two databases change places; `exists` says whether a key is in one.
  using Exists =
      std::function<bool(int database, uint64_t hash, std::string_view key)>;
  void NoteSwap(int one, int other, Seq seq, const Exists& exists);

  // --- Transactions ---

  // From now on TakeBack() forgets what touched; Keep() ends that. It may begin
  // within another one, and is a part of that then.
  void BeginUndoable() { parts_.push_back(touched_.size()); }
  void TakeBack();
  void Keep();

 private:
  void Touch(Watcher* watcher, Seq seq);
  template <typename Each>
  void ForEach(int database, uint64_t hash, std::string_view key, Each each);

  std::multimap<uint64_t, Key> keys_;
  std::vector<size_t> parts_;      // Where each begins in touched_.
  std::vector<Watcher*> touched_;  // By what may be undone; null: has gone.
};

}  // namespace kvd
