// SPDX-License-Identifier: MIT
#include "store/store.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "store/memory/entry_heap.h"
#include "store/start/recovery.h"
#include "store/store_impl.h"

namespace kvd {
namespace {

// How soon the next slice of background work follows when one did not suffice.
constexpr int64_t kNextSliceMs = 1;
// Of an entry that a command is about to use: a key and a value of some 100
// bytes, wherever they begin in a line of the cache. Of a smaller entry this
// fetches a part of its neighbour, which costs less than a value that is
// missed.
constexpr size_t kPrefetchedBytes = 192;

RecoveryOptions RecoveryOptionsOf(const StoreOptions& options) {
  RecoveryOptions recovery;
  recovery.load_threads = options.load_threads;
  recovery.value_bytes_max = options.value_cache_bytes;
  recovery.log = options.log;
  recovery.on_progress = options.on_progress;
  return recovery;
}

LogWriterOptions LogOptionsOf(const StoreOptions& options) {
  LogWriterOptions log;
  log.sync = options.sync;
  log.sync_interval_ms = options.sync_interval_ms;
  log.device = options.write_device;
  log.gathers = options.gathers;
  log.segment_bytes = options.segment_bytes;
  log.first_segment_bytes = options.first_segment_bytes;
  log.open_group_bytes_max = options.open_group_bytes_max;
  log.idle_declare_ms = options.idle_declare_ms;
  log.log = options.log;
  return log;
}

HintOptions HintOptionsOf(const StoreOptions& options) {
  HintOptions hints;
  hints.write = options.write_hints;
  hints.delay_ms = options.hint_delay_ms;
  hints.rate_bytes_per_s = options.compaction.rate_bytes_per_s;
  hints.segment_bytes = options.segment_bytes;
  return hints;
}

}  // namespace

Store::Impl::Impl(StoreOptions store_options,
                  const RecoveryReport& recovery_report,
                  std::unique_ptr<Databases> recovered,
                  std::unique_ptr<LogWriter> log_writer,
                  const Maintenance& with, Executor& reads)
    : options(std::move(store_options)),
      report(recovery_report),
      clock(with.clock),
      wake(with.wake),
      databases(std::move(recovered)),
      log(std::move(log_writer)),
      cleared(&databases->memory()),
      removals(&databases->memory()),
      limit(options.memory_limit_bytes, databases->memory(), cleared,
            options.log),
      changes(*log, *databases, removals, cleared, watched_keys, options.sync,
              clock),
      cache({options.value_cache_bytes, options.open_group_bytes_max},
            *databases, limit, *log),
      reader({options.read_files_max, options.log}, with.directory, *log,
             *databases, damaged, reads, wake),
      compactor(
          with,
          {options.compaction, options.segment_bytes, options.write_hints},
          *databases, cleared, damaged, reader, pins),
      scrubber(with, options.scrub, damaged, compactor),
      hint_writer(with, HintOptionsOf(options), compactor),
      backups(with, reads,
              {options.backup_stall_timeout_ms, options.backup_rate_bytes_per_s,
               options.segment_bytes},
              pins),
      watch(with, options.look_interval_ms, compactor, scrubber, hint_writer) {}

bool Store::Impl::TrimValues() {
  // What is on disk may not be there to be read again.
  if (log->abandoned()) return false;
  const bool more = cache.Trim();
  if (limit.HasNews()) wake();
  return more;
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::Open(Directory& directory,
                                           StoreOptions options,
                                           Workers workers, Clock& clock,
                                           Wake wake) {
  auto databases = std::make_unique<Databases>();
  KVD_TRY_ASSIGN(
      Recovered recovered,
      Recover(directory, RecoveryOptionsOf(options), databases.get()));
  LogWriterOptions log_options = LogOptionsOf(options);
  log_options.give_space_back = std::move(recovered.give_space_back);
  KVD_TRY_ASSIGN(
      std::unique_ptr<LogWriter> log,
      LogWriter::Start(directory, std::move(recovered.manifest),
                       std::move(log_options), workers.slow_work, clock, wake));
  const Maintenance maintenance = {directory, *log, workers.maintenance,
                                   clock,     wake, options.log};
  auto impl = std::make_unique<Impl>(std::move(options), recovered.report,
                                     std::move(databases), std::move(log),
                                     maintenance, workers.reads);
  return std::unique_ptr<Store>(new Store(std::move(impl)));
}

const RecoveryReport& Store::recovery() const { return impl_->report; }

uint64_t Store::PrefetchSlot(int database, std::string_view key) const {
  const Index& index = impl_->databases->OfClient(database).index();
  const uint64_t hash = index.Hash(key);
  index.PrefetchSlot(hash);
  return hash;
}

void Store::PrefetchEntry(int database, uint64_t hash) const {
  impl_->databases->OfClient(database).index().PrefetchEntry(hash,
                                                             kPrefetchedBytes);
}

void Store::Pump() {
  KVD_CHECK(impl_->transaction == nullptr);
  impl_->TrimValues();
  impl_->reader.Pump();
  impl_->log->Pump();
}

bool Store::keeps_pace() const {
  return impl_->compactor.status().running || impl_->backups.keeps_pace();
}

bool Store::gathers() const { return impl_->log->Gathers(); }

bool Store::Poll() {
  KVD_CHECK(impl_->transaction == nullptr);
  const bool asks_again = std::exchange(impl_->asks_again, false);
  const bool changed = impl_->log->Poll();
  if (changed) impl_->removals.DropSlice(impl_->log->durable_seq());
  impl_->reader.Poll();
  impl_->scrubber.Poll();
  const bool compacted = impl_->compactor.Poll();
  impl_->hint_writer.Poll();
  const bool backed_up = impl_->backups.Poll();
  // It must know what the others have removed.
  const bool lost = impl_->watch.Poll();
  const bool memory_news = impl_->limit.TakeNews();
  return compacted || changed || backed_up || memory_news || lost || asks_again;
}

std::optional<int64_t> Store::Tick() {
  KVD_CHECK(impl_->transaction == nullptr);
  bool more = impl_->removals.DropSlice(impl_->log->durable_seq());
  more |= impl_->cleared.FreeSlice();
  more |= impl_->TrimValues();
  impl_->limit.NoteRoom();
  std::optional<int64_t> next;
  if (!impl_->log->failure() && !impl_->log->stopped()) {
    if (impl_->removes_expired) more |= impl_->changes.RemoveExpiredKeys();
    impl_->log->Pump();
    next = impl_->log->Tick();
  }
  for (const auto& wanted : {impl_->compactor.Tick(), impl_->scrubber.Tick(),
                             impl_->hint_writer.Tick(), impl_->backups.Tick(),
                             impl_->watch.Tick()}) {
    if (wanted) next = next ? std::min(*next, *wanted) : *wanted;
  }
  if (more) return kNextSliceMs;
  const auto deadline =
      impl_->removes_expired ? impl_->changes.NextDeadlineMs() : std::nullopt;
  if (deadline) {
    next = next ? std::min(*next, *deadline) : *deadline;
  }
  return next;
}

Seq Store::durable_seq() const { return impl_->log->durable_seq(); }
Seq Store::last_seq() const { return impl_->log->last_seq(); }

void Store::WantDurable() { impl_->log->WantDurable(); }

bool Store::MustWait(Seq seq) const {
  return impl_->options.sync == SyncMode::kAlways &&
         seq > impl_->log->durable_seq() && !storage_lost();
}

const std::optional<Error>& Store::failure() const {
  if (impl_->compactor.failure()) return impl_->compactor.failure();
  return impl_->log->failure();
}

bool Store::storage_lost() const { return impl_->watch.lost().has_value(); }

void Store::Stop() {
  impl_->compactor.Stop();
  impl_->scrubber.Stop();
  impl_->hint_writer.Stop();
  impl_->backups.Stop();
  impl_->log->Stop();
  impl_->watch.Stop();
}
bool Store::stopped() const {
  return !failure() && impl_->log->stopped() && impl_->compactor.idle() &&
         impl_->scrubber.idle() && impl_->hint_writer.idle() &&
         impl_->backups.idle() && impl_->watch.done();
}
const LogFigures& Store::log_figures() const { return impl_->log->figures(); }

void Store::ResetLogFigures() { impl_->log->ResetFigures(); }

SyncMode Store::sync() const { return impl_->options.sync; }

std::string_view Store::write_device() const {
  return impl_->log->device().device();
}

std::string_view Store::write_device_why() const {
  return impl_->log->device().why();
}

void Store::Read(ColdValues* values, std::function<void()> on_read) {
  impl_->reader.Read(values, std::move(on_read));
}

uint64_t Store::Compact() { return impl_->compactor.Ask(); }
uint64_t Store::CompactSegments(std::vector<uint64_t> ids) {
  return impl_->compactor.AskFor(std::move(ids));
}
const CompactionStatus& Store::compaction() const {
  return impl_->compactor.status();
}

const ScrubStatus& Store::scrub() const { return impl_->scrubber.status(); }

std::vector<uint64_t> Store::SealedSegments() const {
  std::vector<uint64_t> ids;
  for (const SealedSegment& segment : impl_->log->manifest().sealed) {
    ids.push_back(segment.id);
  }
  return ids;
}

void Store::Tune(const StoreTuning& tuning) {
  impl_->compactor.Tune(tuning.compaction);
  impl_->scrubber.Tune(tuning.scrub);
  impl_->backups.Tune(tuning.backup_stall_timeout_ms,
                      tuning.backup_rate_bytes_per_s);
  impl_->cache.set_value_bytes_max(tuning.value_cache_bytes);
  impl_->limit.set_bytes(tuning.memory_limit_bytes);
}

void Store::ListenTo(KeyEvents* events) { impl_->changes.ListenTo(events); }

void Store::set_removes_expired(bool removes) {
  impl_->removes_expired = removes;
}

uint64_t Store::memory_bytes() const {
  return impl_->databases->memory().all();
}
uint64_t Store::memory_limit_bytes() const { return impl_->limit.bytes(); }

uint64_t Store::MeanTtlMs(int database) const {
  constexpr size_t kSample = 256;
  const int64_t now_ms = impl_->clock.WallMs();
  double sum_ms = 0;
  int living = 0;
  const Keyspace& keyspace = impl_->databases->OfClient(database);
  keyspace.deadlines().Sample(kSample, [&](const Entry& entry) {
    const auto left_ms = static_cast<int64_t>(entry.deadline_ms()) - now_ms;
    if (left_ms <= 0) return;
    sum_ms += static_cast<double>(left_ms);
    ++living;
  });
  return living == 0 ? 0 : static_cast<uint64_t>(sum_ms / living);
}

StoreStats Store::Stats() const {
  StoreStats stats;
  const Databases& databases = *impl_->databases;
  for (int i = 0; i < kDatabases; ++i) {
    const Keyspace& keyspace = databases.OfClient(i);
    stats.keys[i] = keyspace.size();
    stats.keys_with_deadline[i] = keyspace.deadlines().size();
  }
  const LogWriter& log = *impl_->log;
  stats.segments =
      log.manifest().sealed.size() + (log.active_segment() != 0 ? 1 : 0);
  stats.live_bytes = databases.usage().live_bytes();
  stats.dead_bytes = databases.usage().dead_bytes();
  for (const SealedSegment& segment : log.manifest().sealed) {
    stats.sealed_bytes += segment.bytes;
  }
  stats.damaged_segments = impl_->damaged.size();
  stats.reclaimable_bytes = impl_->compactor.reclaimable_bytes();
  const MemoryUse& memory = databases.memory();
  stats.index_bytes = memory.index_bytes;
  stats.deadline_bytes = memory.deadline_bytes;
  stats.entry_bytes = memory.entry_bytes;
  stats.slab_bytes = EntryHeap::Instance().slab_bytes();
  stats.queued_bytes = memory.queued_bytes + memory.kept_bytes;
  stats.removals_queued = impl_->removals.size();
  stats.tables_queued = impl_->cleared.size();
  stats.value_bytes = memory.value_bytes;
  stats.value_cache_bytes = impl_->cache.bound();
  stats.log_buffer_bytes = log.buffer_bytes();
  stats.zeroing_limit_bytes = log.zeroing_limit();
  stats.memory_full = impl_->limit.IsFull();
  stats.values_evicted = impl_->cache.evicted();
  stats.reads_at_once = impl_->reader.reads_at_once();
  stats.reads_waited = impl_->reader.reads_waited();
  stats.damaged_values = impl_->reader.damaged_values();
  stats.expired_keys = impl_->changes.expired_keys();
  stats.groups_written = log.groups_written();
  stats.flushes = log.syncs();
  stats.last_seq = log.last_seq();
  stats.durable_seq = log.durable_seq();
  stats.free_disk_bytes = log.free_disk_bytes();
  stats.disk_full = log.disk_full();
  return stats;
}

}  // namespace kvd
