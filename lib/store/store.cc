// SPDX-License-Identifier: MIT
#include "store/store.h"

#include "store/memory/entry_heap.h"
#include "store/store_core.h"

namespace kvd {
namespace {

// Of an entry that a command is about to use: a key and a value of some 100
// bytes, wherever they begin in a line of the cache. Of a smaller entry this
// fetches a part of its neighbour, which costs less than a value that is
// missed.
constexpr size_t kPrefetchedBytes = 192;

}  // namespace

uint64_t Store::PrefetchSlot(int database, std::string_view key) const {
  const Index& index = core_.databases->OfClient(database).index();
  const uint64_t hash = index.Hash(key);
  index.PrefetchSlot(hash);
  return hash;
}

void Store::PrefetchEntry(int database, uint64_t hash) const {
  core_.databases->OfClient(database).index().PrefetchEntry(hash,
                                                            kPrefetchedBytes);
}

void Store::set_removes_expired(bool removes) {
  core_.removes_expired = removes;
}

uint64_t Store::memory_bytes() const { return core_.databases->memory().all(); }

uint64_t Store::memory_limit_bytes() const { return core_.limit.bytes(); }

uint64_t Store::MeanTtlMs(int database) const {
  constexpr size_t kSample = 256;
  const int64_t now_ms = core_.clock.WallMs();
  double sum_ms = 0;
  int living = 0;
  const Keyspace& keyspace = core_.databases->OfClient(database);
  keyspace.deadlines().Sample(kSample, [&](const Entry& entry) {
    const auto left_ms = static_cast<int64_t>(entry.deadline_ms()) - now_ms;
    if (left_ms <= 0) return;
    sum_ms += static_cast<double>(left_ms);
    ++living;
  });
  return living == 0 ? 0 : static_cast<uint64_t>(sum_ms / living);
}

void Store::ListenTo(KeyEvents* events) { core_.changes.ListenTo(events); }

StoreStats Store::StatsOfCore() const {
  StoreStats stats;
  const Databases& databases = *core_.databases;
  for (int i = 0; i < kDatabases; ++i) {
    const Keyspace& keyspace = databases.OfClient(i);
    stats.keys[i] = keyspace.size();
    stats.keys_with_deadline[i] = keyspace.deadlines().size();
  }
  const MemoryUse& memory = databases.memory();
  stats.index_bytes = memory.index_bytes;
  stats.deadline_bytes = memory.deadline_bytes;
  stats.entry_bytes = memory.entry_bytes;
  stats.slab_bytes = EntryHeap::Instance().slab_bytes();
  stats.queued_bytes = memory.queued_bytes + memory.kept_bytes;
  stats.removals_queued = core_.removals.size();
  stats.tables_queued = core_.cleared.size();
  stats.value_bytes = memory.value_bytes;
  stats.memory_full = core_.limit.IsFull();
  stats.expired_keys = core_.changes.expired_keys();
  return stats;
}

}  // namespace kvd
