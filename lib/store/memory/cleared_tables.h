// SPDX-License-Identifier: MIT
//
// Tables of flushed databases, which are freed in slices: a flush takes as long
// as one change, however many keys there were.
//
// Whoever adds to what is freed later frees some of what waits: a flush some
// hundred entries; a put, which may be in the next table to be cleared, two for
// its own one. So no more than about a table's worth waits, however busy the
// loop is, and it counts for memory.limit meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>

#include "store/memory/index.h"
#include "store/memory/keyspace.h"

namespace kvd {

// Thread: loop.
class ClearedTables {
 public:
  // `memory` outlives it, and so do the keyspaces of what is added.
  explicit ClearedTables(MemoryUse* memory) : memory_(*memory) {}

  // A table that Keyspace::Clear() returned, oldest first.
  void Add(std::unique_ptr<Index> table, Keyspace* keyspace);

  // Each frees some of the oldest; the last says whether more is left.
  void PayForFlush();
  void PayForPut() {
    if (!tables_.empty()) Owe();
  }
  bool FreeSlice();

  bool empty() const { return tables_.empty(); }
  size_t size() const { return tables_.size(); }
  // How many were ever cleared, and how many of them, the first ones, are gone.
  uint64_t cleared() const { return cleared_; }
  uint64_t freed() const { return freed_; }

 private:
  struct Table {
    std::unique_ptr<Index> index;
    Keyspace* keyspace;
  };
  // Beside its entries and slots.
  static constexpr uint64_t kTableBytes = sizeof(Index) + sizeof(Table);

  void Owe();
  bool Free(size_t entries_max);

  MemoryUse& memory_;
  std::deque<Table> tables_;
  uint64_t cleared_ = 0;
  uint64_t freed_ = 0;
  size_t entries_owed_ = 0;  // By puts.
};

}  // namespace kvd
