// SPDX-License-Identifier: MIT
//
// What operations, transactions and watches work on: the databases in memory
// and the journal of their changes. Every kind of store has one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/durability.h"
#include "base/executor.h"
#include "base/log_sink.h"
#include "store/changes.h"
#include "store/journal.h"
#include "store/memory/cleared_tables.h"
#include "store/memory/databases.h"
#include "store/memory/memory_limit.h"
#include "store/memory/undurable_removals.h"
#include "store/memory/watched_keys.h"
#include "store/transaction.h"
#include "store/values/cold_values.h"

namespace kvd {

// Values that are not in memory. Thread: loop.
class ValueSource {
 public:
  // The record of `wanted`, verified, when no waiting is needed for it; nothing
  // otherwise.
  virtual std::optional<Result<std::string>> TryRead(
      const ColdValue& wanted) = 0;
  // A command used a value that was read: whether to keep it in memory.
  virtual bool MayKeep(uint64_t value_bytes) const = 0;

 protected:
  ~ValueSource() = default;
};

// Hears what operations look at, where others may change that before it is
// certain what was made of it. Thread: loop.
class ReadNotes {
 public:
  // `entry` is null or a ghost if the key is not there. The key lives for as
  // long as the words of the command do.
  virtual void SawKey(const Keyspace& keyspace, uint64_t hash,
                      std::string_view key, const Entry* entry) = 0;
  // Counts, listings: what depends on all keys of a database.
  virtual void SawAll(const Keyspace& keyspace) = 0;

 protected:
  ~ReadNotes() = default;
};

// Each part is declared behind those that it refers to. References outlive it.
struct StoreCore {
  // `sync`: see Changes.
  StoreCore(Journal& with_journal, std::unique_ptr<Databases> recovered,
            uint64_t memory_limit_bytes, SyncMode sync, const LogSink& log,
            Clock& with_clock, Wake with_wake)
      : journal(with_journal),
        clock(with_clock),
        wake(std::move(with_wake)),
        databases(std::move(recovered)),
        cleared(&databases->memory()),
        removals(&databases->memory()),
        limit(memory_limit_bytes, databases->memory(), cleared, log),
        changes(journal, *databases, removals, cleared, watched_keys, sync,
                clock) {}

  Journal& journal;
  Clock& clock;
  const Wake wake;
  const std::unique_ptr<Databases> databases;

  ClearedTables cleared;
  UndurableRemovals removals;
  MemoryLimit limit;
  WatchedKeys watched_keys;
  Changes changes;

  ValueSource* values = nullptr;  // Null: all are in memory.
  uint64_t cold_bytes_max = 0;    // StoreOptions.

  ReadNotes* reads = nullptr;  // Null: nobody has to know.

  bool removes_expired = true;  // Those that nobody looks up.

  Transaction* transaction = nullptr;  // The open one.
  bool asks_again = false;  // One that was undone, at the next Poll().
};

}  // namespace kvd
