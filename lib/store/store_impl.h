// SPDX-License-Identifier: MIT
//
// What Store and Operation share. Not for users of the store.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "log/format/manifest.h"
#include "log/log_writer.h"
#include "store/background/compactor.h"
#include "store/background/hint_writer.h"
#include "store/background/scrubber.h"
#include "store/background/storage_watch.h"
#include "store/memory/damaged_segments.h"
#include "store/memory/keyspace.h"
#include "store/memory/segment_usage.h"
#include "store/memory/value_cache.h"
#include "store/store.h"
#include "store/values/value_reader.h"

namespace kvd {

class Store::Impl {
 public:
  Impl(StoreOptions options, Clock& clock);

  // Recovery: what the MANIFEST knows of databases.
  void Adopt(const DatabaseMap& databases);

  // Recovery: begins again.
  void ForgetAll();

  Keyspace& InternalOf(int client_database) {
    return *keyspaces[databases.internal[static_cast<size_t>(client_database)]];
  }
  uint8_t NumberOf(const Keyspace& keyspace) const;
  // Of a segment that entries point to.
  SegmentIdentity IdentityOf(uint64_t segment) const;

  // Whether memory.limit is reached, and whether values have nothing to do with
  // it.
  bool IsOverLimit() const {
    return options.memory_limit_bytes != 0 &&
           memory.all() >= options.memory_limit_bytes;
  }
  bool IsMemoryFull() const {
    return options.memory_limit_bytes != 0 &&
           memory.without_values() >= options.memory_limit_bytes;
  }
  // For the log, once each time that it comes to refusals.
  void NoteMemoryFull();
  void NoteMemoryRoom();
  // Evicts, for the bound's sake and for writers that wait for memory; true
  // when there is more to do.
  bool TrimValues();
  // Whether writers that wait for memory should ask again.
  bool HasMemoryNews() const {
    return memory_awaited &&
           (!IsOverLimit() || (IsMemoryFull() && cleared.empty()));
  }

  // A logged removal, within granted room.
  Seq Remove(Keyspace& keyspace, uint64_t hash, std::string_view key,
             RecordKind kind);
  Seq Flush(Keyspace& keyspace);
  // A logged exchange of two clients' databases, within granted room.
  Seq Swap(uint8_t one, uint8_t other);

  // Bounded slices of background work; true when more is left.
  bool DropDurableGhosts(size_t ghosts_max);
  bool FreeClearedTables(size_t entries_max);
  // Whoever adds to what is freed later frees some of what waits: a put, which
  // may be in the next table to be cleared, two entries for its own one. So no
  // more than about a table's worth waits, however busy the loop is.
  void PayForPut();
  bool RemoveExpiredKeys();
  // Milliseconds until a deadline passes; nothing without deadlines.
  std::optional<int64_t> NextDeadlineMs() const;

  struct Removal {
    Seq seq;
    uint8_t database;
    uint64_t hash;
    std::string key;

    uint64_t memory_bytes() const;
  };
  struct ClearedTable {
    std::unique_ptr<Index> table;
    Keyspace* keyspace;
  };

  StoreOptions options;
  Clock& clock;
  RecoveryReport report;
  SegmentUsage usage;
  MemoryUse memory;
  bool memory_awaited = false;  // Some writer waits until values have gone.
  bool memory_full_noted = false;
  uint64_t expired_keys = 0;
  DatabaseMap databases;  // As executed, durable or not.
  // The newest swap of each client's database since the start. All that is seen
  // in there depends on it.
  std::array<Seq, kDatabases> swapped = {};
  std::array<std::unique_ptr<Keyspace>, kDatabases> keyspaces;  // Internal.
  std::deque<Removal> undurable_removals;
  std::deque<ClearedTable> cleared;
  uint64_t tables_cleared = 0;  // Ever, and …
  uint64_t tables_freed = 0;    // … those that are gone, which came first.
  size_t entries_owed = 0;      // By PayForPut().
  std::unique_ptr<LogWriter> log;
  DamagedSegments damaged;
  std::unique_ptr<Compactor> compactor;
  std::unique_ptr<Scrubber> scrubber;
  std::unique_ptr<HintWriter> hint_writer;
  std::unique_ptr<StorageWatch> watch;
  std::unique_ptr<ValueReader> reader;
  ValueCache cache{*this};
  Wake wake = [] {};
};

}  // namespace kvd
