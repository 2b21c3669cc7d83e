// SPDX-License-Identifier: MIT
//
// The parts of a store, put together. For what has the whole store alone: a
// part gets references to those others that it needs.
#pragma once

#include <memory>

#include "base/clock.h"
#include "base/executor.h"
#include "fs/file_system.h"
#include "log/log_writer.h"
#include "store/background/backup_source.h"
#include "store/background/compactor.h"
#include "store/background/hint_writer.h"
#include "store/background/scrubber.h"
#include "store/background/segment_pins.h"
#include "store/background/storage_watch.h"
#include "store/changes.h"
#include "store/memory/cleared_tables.h"
#include "store/memory/damaged_segments.h"
#include "store/memory/databases.h"
#include "store/memory/memory_limit.h"
#include "store/memory/undurable_removals.h"
#include "store/memory/value_cache.h"
#include "store/memory/watched_keys.h"
#include "store/start/recovery_report.h"
#include "store/store.h"
#include "store/transaction.h"
#include "store/values/value_reader.h"

namespace kvd {

// Each part is declared behind those that it refers to.
struct Store::Impl {
  // What a start recovered and began goes in. `reads` runs reads of values.
  Impl(StoreOptions store_options, const RecoveryReport& recovery_report,
       std::unique_ptr<Databases> recovered,
       std::unique_ptr<LogWriter> log_writer, const Maintenance& with,
       Executor& reads);

  // Evicts, for the bound's sake and for writers that wait for memory; true
  // when there is more to do.
  bool TrimValues();

  const StoreOptions options;
  const RecoveryReport report;
  Clock& clock;
  const Wake wake;
  const std::unique_ptr<Databases> databases;
  const std::unique_ptr<LogWriter> log;

  ClearedTables cleared;
  UndurableRemovals removals;
  MemoryLimit limit;
  DamagedSegments damaged;
  WatchedKeys watched_keys;
  Changes changes;
  ValueCache cache;
  ValueReader reader;

  bool removes_expired = true;  // Those that nobody looks up.

  SegmentPins pins;
  Compactor compactor;
  Scrubber scrubber;
  HintWriter hint_writer;
  BackupSource backups;
  StorageWatch watch;

  Transaction* transaction = nullptr;  // The open one.
  bool asks_again = false;  // One that was undone, at the next Poll().
};

}  // namespace kvd
