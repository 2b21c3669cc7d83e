// SPDX-License-Identifier: MIT
#include "store/watch.h"

#include <string>

#include "base/planted_bug.h"
#include "store/operation.h"
#include "store/store_core.h"

namespace kvd {

Watch::Watch(Store& store) : store_(store.core_) {}

void Watch::Add(int database, std::string_view key) {
  const Keyspace& keyspace = store_.databases->OfClient(database);
  const uint64_t hash = keyspace.Hash(key);
  const Entry* entry = keyspace.Find(hash, key);
  bool exists = entry != nullptr && !entry->is_ghost();
  if (exists && IsExpired(*entry)) {
    // Absent it stays, whatever the wall clock says later.
    entry->set_judged_expired();
    exists = false;
  }
  const auto added = store_.watched_keys.Add(
      hash, {database, std::string(key), exists, &watcher_});
  if (!added) return;
  keys_.push_back(*added);
  memory_bytes_ +=
      WatchedKeys::MemoryBytesOf(*added) + sizeof(WatchedKeys::Handle);
}

void Watch::Clear() {
  store_.watched_keys.Remove(keys_, &watcher_);
  keys_.clear();
  memory_bytes_ = 0;
}

std::optional<Seq> Watch::Touched() {
  if (IsPlanted(PlantedBug::kWatchMissesExpiry)) return watcher_.touched;
  for (const WatchedKeys::Handle& key : keys_) {
    if (watcher_.touched) break;
    const WatchedKeys::Key& watched = key->second;
    Keyspace& keyspace = store_.databases->OfClient(watched.database);
    if (store_.reads != nullptr) {
      store_.reads->SawKey(keyspace, key->first, watched.key,
                           keyspace.Find(key->first, watched.key));
    }
    const Entry* entry =
        watched.existed ? keyspace.Find(key->first, watched.key) : nullptr;
    if (entry != nullptr && !entry->is_ghost() && IsExpired(*entry)) {
      Expire(&keyspace, key->first, *entry);
    }
  }
  return watcher_.touched;
}

bool Watch::IsExpired(const Entry& entry) const {
  if (!entry.has_deadline()) return false;
  return entry.IsExpiredAt(store_.transaction != nullptr
                               ? store_.transaction->now_ms()
                               : store_.clock.WallMs());
}

void Watch::Expire(Keyspace* keyspace, uint64_t hash, const Entry& entry) {
  const uint64_t bytes = Operation::RemoveBytes(entry.key().size());
  // In a transaction a record might be undone, and the key expired all the
  // same.
  if (store_.transaction == nullptr &&
      store_.journal.RoomFor(bytes, Purpose::kExpiry) == Room::kReady) {
    store_.changes.Remove(*keyspace, hash, entry.key(), RecordKind::kExpire);
    return;
  }
  entry.set_judged_expired();
  watcher_.touched = entry.seq();
}

}  // namespace kvd
