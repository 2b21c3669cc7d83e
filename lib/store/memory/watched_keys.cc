// SPDX-License-Identifier: MIT
#include "store/memory/watched_keys.h"

#include <algorithm>
#include <utility>

namespace kvd {
namespace {

// Of a node of a tree: three pointers and a colour.
constexpr size_t kNodeBytes = 4 * sizeof(void*);

}  // namespace

template <typename Each>
void WatchedKeys::ForEach(int database, uint64_t hash, std::string_view key,
                          Each each) {
  const auto [begin, end] = keys_.equal_range(hash);
  for (auto it = begin; it != end; ++it) {
    Key& watched = it->second;
    if (watched.database == database && watched.key == key) each(watched);
  }
}

std::optional<WatchedKeys::Handle> WatchedKeys::Add(uint64_t hash, Key key) {
  bool has_it = false;
  ForEach(key.database, hash, key.key, [&](const Key& watched) {
    has_it |= watched.watcher == key.watcher;
  });
  if (has_it) return std::nullopt;
  return keys_.emplace(hash, std::move(key));
}

void WatchedKeys::Remove(const std::vector<Handle>& keys, Watcher* watcher) {
  for (const Handle& key : keys) keys_.erase(key);
  std::replace(touched_.begin(), touched_.end(), watcher,
               static_cast<Watcher*>(nullptr));
  watcher->touched.reset();
}

size_t WatchedKeys::MemoryBytesOf(const Handle& key) {
  const std::string& name = key->second.key;
  // Short ones are kept inside.
  const bool inside = name.capacity() < sizeof(name) / 2;
  return kNodeBytes + sizeof(*key) + (inside ? 0 : name.capacity() + 1);
}

void WatchedKeys::Touch(Watcher* watcher, Seq seq) {
  if (watcher->touched) return;
  watcher->touched = seq;
  if (!parts_.empty()) touched_.push_back(watcher);
}

void WatchedKeys::NotePut(int database, uint64_t hash, std::string_view key,
                          Seq seq) {
  ForEach(database, hash, key,
          [&](const Key& watched) { Touch(watched.watcher, seq); });
}

void WatchedKeys::NoteRemoval(int database, uint64_t hash, std::string_view key,
                              Seq seq) {
  // What goes though nothing was there had expired before.
  ForEach(database, hash, key, [&](const Key& watched) {
    if (watched.existed) Touch(watched.watcher, seq);
  });
}

void WatchedKeys::NoteFlush(int database, Seq seq) {
  for (auto& [hash, watched] : keys_) {
    if (watched.database == database && watched.existed) {
      Touch(watched.watcher, seq);
    }
  }
}

void WatchedKeys::NoteFlushAll(Seq seq) {
  for (auto& [hash, watched] : keys_) {
    if (watched.existed) Touch(watched.watcher, seq);
  }
}

void WatchedKeys::NoteUnknown(Seq seq) {
  for (auto& [hash, watched] : keys_) Touch(watched.watcher, seq);
}

void WatchedKeys::NoteSwap(int one, int other, Seq seq, const Exists& exists) {
  for (auto& [hash, watched] : keys_) {
    if (watched.database != one && watched.database != other) continue;
    const int comes_from = watched.database == one ? other : one;
    if (watched.existed || exists(comes_from, hash, watched.key)) {
      Touch(watched.watcher, seq);
    }
  }
}

void WatchedKeys::TakeBack() {
  for (; touched_.size() > parts_.back(); touched_.pop_back()) {
    if (touched_.back() != nullptr) touched_.back()->touched.reset();
  }
  parts_.pop_back();
}

void WatchedKeys::Keep() {
  parts_.pop_back();
  if (parts_.empty()) touched_.clear();
}

}  // namespace kvd
