// SPDX-License-Identifier: MIT
//
// The store: databases of keys in memory, every change in a journal before
// anyone hears of it. It knows nothing of sockets or protocols. The usual one
// is local_store.h, which ties index, log and recovery together.
//
// How the daemon drives it, all on the loop thread:
//   - for each command an Operation finds, reserves, changes (operation.h);
//   - Pump() at the end of a turn starts writing the open commit group;
//   - Wake means "call Poll()": completions came in, replies may be released
//     (durable_seq() grew) and commands that waited for room may run again;
//   - Tick() now and then: expiry, idle declaration, freeing in slices.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/durability.h"
#include "base/error.h"
#include "base/executor.h"
#include "base/log_sink.h"
#include "fs/file_system.h"
#include "log/write/log_figures.h"
#include "log/write/room.h"
#include "store/background/compaction_status.h"
#include "store/background/scrub_status.h"
#include "store/backing_status.h"
#include "store/key_events.h"
#include "store/memory/basics.h"
#include "store/start/recovery_report.h"
#include "store/values/cold_values.h"

namespace kvd {

class BackupSource;
class Batches;
class Keyspace;
struct StoreCore;

// A key whose hash is known: Store::PrefetchSlot() tells. The same in all
// databases of one store, as long as that is open.
struct HashedKey {
  std::string_view key;
  uint64_t hash = 0;
};

struct StoreOptions {
  SyncMode sync = SyncMode::kAlways;
  int64_t sync_interval_ms = 1000;  // For SyncMode::kInterval.
  WriteDevice write_device = WriteDevice::kAuto;
  bool gathers = false;                     // If the loop looks at gathers().
  uint64_t segment_bytes = 64ull << 20;     // A multiple of kBlockBytes.
  uint64_t first_segment_bytes = 4 << 20;   // Of each start, if that is less.
  uint64_t open_group_bytes_max = 8 << 20;  // Beyond it writers wait.
  int64_t idle_declare_ms = 100;            // Quiet time before an empty group.
  CompactionOptions compaction;
  ScrubOptions scrub;
  // How long a backup lasts whose reader takes nothing.
  int64_t backup_stall_timeout_ms = 60'000;
  uint64_t backup_rate_bytes_per_s = 64 << 20;  // 0: no limit.
  // Between two looks at whether the files are still there; 0: only at a stop.
  int64_t look_interval_ms = 1000;
  bool write_hints = true;  // Of sealed segments (log/format/hint.h).
  // How long the log has to go without sealing a segment before hints are
  // written, unless kHintsBehindMax segments have none.
  int64_t hint_delay_ms = 2000;
  // Values that stay in memory; the others are read from disk when needed.
  uint64_t value_cache_bytes = UINT64_MAX;
  // Entries and tables together; 0 for no limit. Values leave memory for keys,
  // and what would still add to it is refused. One command may go beyond it,
  // and so may one transaction by its values.
  uint64_t memory_limit_bytes = 0;
  // Values of one command that are read from disk, together; a single one may
  // be larger.
  uint64_t cold_bytes_max = 256 << 20;
  // Segments that are kept open for reading values.
  size_t read_files_max = 128;
  int load_threads = 0;  // That help Open() read; 0 for the calling one alone.
  LogSink log = [](Severity, const std::string&) {};
  // Called while Open() replays.
  using OnProgress = OnLoadProgress;
  OnProgress on_progress = [](const LoadProgress&) { return true; };
};

// Of StoreOptions, what may change while a store runs.
struct StoreTuning {
  CompactionOptions compaction;
  ScrubOptions scrub;
  int64_t backup_stall_timeout_ms = 60'000;
  uint64_t backup_rate_bytes_per_s = 64 << 20;
  uint64_t value_cache_bytes = UINT64_MAX;
  uint64_t memory_limit_bytes = 0;
};

struct StoreStats {
  uint64_t keys[kDatabases] = {};
  uint64_t keys_with_deadline[kDatabases] = {};
  uint64_t segments = 0;           // Sealed and active.
  uint64_t live_bytes = 0;         // Records that a key points to.
  uint64_t dead_bytes = 0;         // Records that nothing points to.
  uint64_t sealed_bytes = 0;       // Of files that no longer change.
  uint64_t damaged_segments = 0;   // Found while running, and left alone.
  uint64_t reclaimable_bytes = 0;  // By a compaction of everything sealed.
  uint64_t index_bytes = 0;        // Memory of slots …
  uint64_t deadline_bytes = 0;     // … of the queues of deadlines …
  uint64_t entry_bytes = 0;        // … of entries, keys and values …
  uint64_t value_bytes = 0;        // … and of the values among them.
  uint64_t slab_bytes = 0;         // Where small entries are, or may be soon.
  uint64_t queued_bytes = 0;       // Memory of what is worked off later:
  uint64_t removals_queued = 0;    // removals that were not durable …
  uint64_t tables_queued = 0;      // … and the tables of flushed databases.
  uint64_t value_cache_bytes = 0;  // What values may take now.
  uint64_t log_buffer_bytes = 0;   // Memory of commit groups.
  // Segments for commit groups of this size and more are not zeroed.
  uint64_t zeroing_limit_bytes = 0;
  bool memory_full = false;     // Writes that add to it are refused.
  uint64_t values_evicted = 0;  // From memory; they are on disk.
  uint64_t reads_at_once = 0;   // Values that the page cache had …
  uint64_t reads_waited = 0;    // … and that the disk was asked for.
  uint64_t damaged_values = 0;  // Reads that found damage.
  uint64_t expired_keys = 0;    // Removed because of their deadline.
  uint64_t groups_written = 0;
  uint64_t flushes = 0;
  Seq last_seq = 0;
  Seq durable_seq = 0;
  uint64_t free_disk_bytes = 0;  // As of the last look.
  bool disk_full = false;        // Writes are refused until room appears.
};

// Where a store has work done that takes its time; they outlive it.
struct Workers {
  Executor& slow_work;    // Prepares segments and writes the MANIFEST.
  Executor& maintenance;  // Compaction, hints and the scrub.
  Executor& reads;        // Values from disk; may run several jobs at once.
};

class Store {
 public:
  // Opens or creates the local store in `directory`, which the caller has
  // locked: replays the log, cuts a torn tail, and refuses damage
  // (kCorruption), a newer format (kFormat). Runs on any thread; the store that
  // it returns belongs to one thread from then on. `wake` is called on any
  // thread. All references must outlive the store.
  static Result<std::unique_ptr<Store>> Open(Directory& directory,
                                             StoreOptions options,
                                             Workers workers, Clock& clock,
                                             Wake wake);
  virtual ~Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  virtual const RecoveryReport& recovery() const = 0;
  // How far a store is that takes in what there is after it was opened, while
  // it is driven; nothing once all is there.
  virtual std::optional<LoadProgress> loading() const { return std::nullopt; }

  // Hints for keys that will be looked up soon, so that their cache misses
  // overlap: the first for every key of a batch, then the second with what the
  // first returned, which is the key's hash. They change nothing.
  uint64_t PrefetchSlot(int database, std::string_view key) const;
  void PrefetchEntry(int database, uint64_t hash) const;

  // Starts writing the open group if the device is free.
  virtual void Pump() = 0;
  // Whether Pump() wants to be called again at once: the loop should not sleep.
  virtual bool gathers() const = 0;
  // Whether background work keeps to a rate: Tick() wants to be called every
  // ms.
  virtual bool keeps_pace() const = 0;

  // Takes completions in. True when durable_seq() grew, room appeared or the
  // store failed: the caller then looks at replies and waiting commands.
  virtual bool Poll() = 0;

  // Bounded background work. Returns in how many milliseconds it wants to be
  // called again at the latest; nothing for "when something changed".
  virtual std::optional<int64_t> Tick() = 0;

  // Every change up to this one survives a crash.
  virtual Seq durable_seq() const = 0;
  // The newest executed change.
  virtual Seq last_seq() const = 0;
  // Has all changes so far made durable soon, whatever the mode.
  virtual void WantDurable() = 0;
  // Whether a reply that shows the effect of change `seq` has to wait. Never in
  // SyncMode::kInterval and kNever.
  virtual bool MustWait(Seq seq) const = 0;

  // The disk fault after which nothing can be promised; the owner answers what
  // is in flight with "outcome unknown" and exits.
  virtual const std::optional<Error>& failure() const = 0;
  // Whether the failure is that the files are not there any more. What is in
  // memory can still be read, and what is not, as far as its file is held open;
  // nothing waits any more, and writes are refused (Room::kLost).
  virtual bool storage_lost() const = 0;

  // Begins the clean stop: writes the open group, seals the active segment and
  // marks the manifest. Call Poll() on each Wake until stopped(). No Operation
  // may change anything from now on.
  virtual void Stop() = 0;
  virtual bool stopped() const = 0;

  // After Room::kTooLarge: what does not fit, as the text of an error reply.
  virtual std::string WhyTooLarge() const {
    return "ERR command is too large for one commit group; nothing was "
           "changed";
  }

  // How commands run, where it is in batches; else null.
  virtual Batches* batches() { return nullptr; }

  // Reads what a command wants that an Operation could not run without waiting,
  // then calls `on_read` from some Poll(): the command is run again.
  virtual void Read(ColdValues* values, std::function<void()> on_read) = 0;

  // Starts a compaction of every sealed segment that has anything to gain. The
  // number of the run that does it; it has ended when
  // compaction().runs_ended is as high, which some Poll() that said true shows.
  // A run under way is followed by another one.
  virtual uint64_t Compact() = 0;
  // A compaction of exactly these segments in one job, none if one is under
  // way: for tests that choose at random.
  virtual uint64_t CompactSegments(std::vector<uint64_t> ids) = 0;
  virtual const CompactionStatus& compaction() const = 0;
  virtual const ScrubStatus& scrub() const = 0;
  // Ids of the sealed segments, oldest first.
  virtual std::vector<uint64_t> SealedSegments() const = 0;

  // From now on these count. Memory beyond a lower bound is given back by and
  // by: keys stay, whatever the limit.
  virtual void Tune(const StoreTuning& tuning) = 0;
  // Whether keys are removed once their deadline has passed, and not only when
  // somebody comes across them: at the start they are.
  void set_removes_expired(bool removes);

  // From now on changes are noted there, which outlives the store; null:
  // nowhere.
  void ListenTo(KeyEvents* events);

  // What entries and tables take, and what they may; 0 for no limit.
  uint64_t memory_bytes() const;
  uint64_t memory_limit_bytes() const;

  virtual StoreStats Stats() const = 0;
  // The mean time to live of a database's keys that have a deadline, in ms, by
  // a sample of a few hundred; 0 if there are none. Keys whose time is over do
  // not count.
  uint64_t MeanTtlMs(int database) const;
  virtual const LogFigures& log_figures() const = 0;
  virtual void ResetLogFigures() = 0;
  virtual SyncMode sync() const = 0;
  // Who writes the log, and why not the fastest; for people.
  virtual std::string_view write_device() const = 0;
  virtual std::string_view write_device_why() const = 0;
  // Where the data is, if not here; as of a moment ago, without asking.
  virtual BackingStatus Backing() const { return {}; }

 protected:
  // `core` belongs to the store that this is.
  explicit Store(StoreCore& core) : core_(core) {}
  // What every kind of store knows of keys and memory.
  StoreStats StatsOfCore() const;

 private:
  friend class Backup;
  friend class Operation;
  friend class Transaction;
  friend class Watch;
  friend class StoreState;  // Tests compare all that there is.

  // Null where a backup is somebody else's matter.
  virtual BackupSource* backups() { return nullptr; }

  StoreCore& core_;
};

}  // namespace kvd
