// SPDX-License-Identifier: MIT
#include "store/memory/cleared_tables.h"

#include <algorithm>
#include <utility>

namespace kvd {
namespace {

constexpr size_t kEntriesPerSlice = 2048;
// A table costs about as much as so many entries, beside those in it.
constexpr size_t kEntriesPerTable = 64;
// What a change pays for what it will have freed later: more than that.
constexpr size_t kEntriesPerPut = 2;
constexpr size_t kEntriesPerFlush = 4 * kEntriesPerTable;
// Puts pay together: freeing a few entries costs a search for them.
constexpr size_t kEntriesOwedMax = 256;

}  // namespace

void ClearedTables::Add(std::unique_ptr<Index> table, Keyspace* keyspace) {
  tables_.push_back({std::move(table), keyspace});
  ++cleared_;
  memory_.queued_bytes += kTableBytes;
}

void ClearedTables::PayForFlush() { Free(kEntriesPerFlush); }

void ClearedTables::Owe() {
  entries_owed_ += kEntriesPerPut;
  if (entries_owed_ < kEntriesOwedMax) return;
  Free(std::exchange(entries_owed_, 0));
}

bool ClearedTables::FreeSlice() { return Free(kEntriesPerSlice); }

bool ClearedTables::Free(size_t entries_max) {
  while (!tables_.empty() && entries_max > 0) {
    Table& oldest = tables_.front();
    const size_t before = oldest.index->size();
    const size_t left = oldest.keyspace->Free(oldest.index.get(), entries_max);
    size_t cost = before - left;
    if (left == 0) {
      tables_.pop_front();
      ++freed_;
      memory_.queued_bytes -= kTableBytes;
      cost += kEntriesPerTable;
    }
    entries_max -= std::min(entries_max, cost);
  }
  return !tables_.empty();
}

}  // namespace kvd
