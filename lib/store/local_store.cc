// SPDX-License-Identifier: MIT
#include "store/local_store.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "store/start/recovery.h"

namespace kvd {
namespace {

// How soon the next slice of background work follows when one did not suffice.
constexpr int64_t kNextSliceMs = 1;
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

LocalStore::LocalStore(StoreOptions options, const RecoveryReport& recovery,
                       std::unique_ptr<Databases> recovered,
                       std::unique_ptr<LogWriter> log, const Maintenance& with,
                       Executor& reads)
    : Store(core_),
      options_(std::move(options)),
      report_(recovery),
      log_(std::move(log)),
      journal_(*log_),
      core_(journal_, std::move(recovered), options_.memory_limit_bytes,
            options_.sync, options_.log, with.clock, with.wake),
      cache_({options_.value_cache_bytes, options_.open_group_bytes_max},
             *core_.databases, core_.limit, *log_),
      reader_({options_.read_files_max, options_.log}, with.directory, *log_,
              *core_.databases, damaged_, reads, with.wake),
      compactor_(
          with,
          {options_.compaction, options_.segment_bytes, options_.write_hints},
          *core_.databases, core_.cleared, damaged_, reader_, pins_),
      scrubber_(with, options_.scrub, damaged_, compactor_),
      hint_writer_(with, HintOptionsOf(options_), compactor_),
      backups_(with, reads,
               {options_.backup_stall_timeout_ms,
                options_.backup_rate_bytes_per_s, options_.segment_bytes},
               pins_),
      watch_(with, options_.look_interval_ms, compactor_, scrubber_,
             hint_writer_) {
  core_.values = this;
  core_.cold_bytes_max = options_.cold_bytes_max;
}

bool LocalStore::TrimValues() {
  // What is on disk may not be there to be read again.
  if (log_->abandoned()) return false;
  const bool more = cache_.Trim();
  if (core_.limit.HasNews()) core_.wake();
  return more;
}

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
  return std::make_unique<LocalStore>(std::move(options), recovered.report,
                                      std::move(databases), std::move(log),
                                      maintenance, workers.reads);
}

void LocalStore::Pump() {
  KVD_CHECK(core_.transaction == nullptr);
  TrimValues();
  reader_.Pump();
  log_->Pump();
}

bool LocalStore::Poll() {
  KVD_CHECK(core_.transaction == nullptr);
  const bool asks_again = std::exchange(core_.asks_again, false);
  const bool changed = log_->Poll();
  if (changed) core_.removals.DropSlice(log_->durable_seq());
  reader_.Poll();
  scrubber_.Poll();
  const bool compacted = compactor_.Poll();
  hint_writer_.Poll();
  const bool backed_up = backups_.Poll();
  // It must know what the others have removed.
  const bool lost = watch_.Poll();
  const bool memory_news = core_.limit.TakeNews();
  return compacted || changed || backed_up || memory_news || lost || asks_again;
}

std::optional<int64_t> LocalStore::Tick() {
  KVD_CHECK(core_.transaction == nullptr);
  bool more = core_.removals.DropSlice(log_->durable_seq());
  more |= core_.cleared.FreeSlice();
  more |= TrimValues();
  core_.limit.NoteRoom();
  std::optional<int64_t> next;
  if (!log_->failure() && !log_->stopped()) {
    if (core_.removes_expired) more |= core_.changes.RemoveExpiredKeys();
    log_->Pump();
    next = log_->Tick();
  }
  for (const auto& wanted :
       {compactor_.Tick(), scrubber_.Tick(), hint_writer_.Tick(),
        backups_.Tick(), watch_.Tick()}) {
    if (wanted) next = next ? std::min(*next, *wanted) : *wanted;
  }
  if (more) return kNextSliceMs;
  const auto deadline =
      core_.removes_expired ? core_.changes.NextDeadlineMs() : std::nullopt;
  if (deadline) {
    next = next ? std::min(*next, *deadline) : *deadline;
  }
  return next;
}

bool LocalStore::MustWait(Seq seq) const {
  return options_.sync == SyncMode::kAlways && seq > log_->durable_seq() &&
         !storage_lost();
}

const std::optional<Error>& LocalStore::failure() const {
  if (compactor_.failure()) return compactor_.failure();
  return log_->failure();
}

void LocalStore::Stop() {
  compactor_.Stop();
  scrubber_.Stop();
  hint_writer_.Stop();
  backups_.Stop();
  log_->Stop();
  watch_.Stop();
}
bool LocalStore::stopped() const {
  return !failure() && log_->stopped() && compactor_.idle() &&
         scrubber_.idle() && hint_writer_.idle() && backups_.idle() &&
         watch_.done();
}
std::string_view LocalStore::write_device() const {
  return log_->device().device();
}

std::string_view LocalStore::write_device_why() const {
  return log_->device().why();
}

void LocalStore::Read(ColdValues* values, std::function<void()> on_read) {
  reader_.Read(values, std::move(on_read));
}

uint64_t LocalStore::CompactSegments(std::vector<uint64_t> ids) {
  return compactor_.AskFor(std::move(ids));
}
std::vector<uint64_t> LocalStore::SealedSegments() const {
  std::vector<uint64_t> ids;
  for (const SealedSegment& segment : log_->manifest().sealed) {
    ids.push_back(segment.id);
  }
  return ids;
}

void LocalStore::Tune(const StoreTuning& tuning) {
  compactor_.Tune(tuning.compaction);
  scrubber_.Tune(tuning.scrub);
  backups_.Tune(tuning.backup_stall_timeout_ms, tuning.backup_rate_bytes_per_s);
  cache_.set_value_bytes_max(tuning.value_cache_bytes);
  core_.limit.set_bytes(tuning.memory_limit_bytes);
}

StoreStats LocalStore::Stats() const {
  StoreStats stats = StatsOfCore();
  const SegmentUsage& usage = core_.databases->usage();
  const LogWriter& log = *log_;
  stats.segments =
      log.manifest().sealed.size() + (log.active_segment() != 0 ? 1 : 0);
  stats.live_bytes = usage.live_bytes();
  stats.dead_bytes = usage.dead_bytes();
  for (const SealedSegment& segment : log.manifest().sealed) {
    stats.sealed_bytes += segment.bytes;
  }
  stats.damaged_segments = damaged_.size();
  stats.reclaimable_bytes = compactor_.reclaimable_bytes();
  stats.value_cache_bytes = cache_.bound();
  stats.log_buffer_bytes = log.buffer_bytes();
  stats.zeroing_limit_bytes = log.zeroing_limit();
  stats.values_evicted = cache_.evicted();
  stats.reads_at_once = reader_.reads_at_once();
  stats.reads_waited = reader_.reads_waited();
  stats.damaged_values = reader_.damaged_values();
  stats.groups_written = log.groups_written();
  stats.flushes = log.syncs();
  stats.last_seq = log.last_seq();
  stats.durable_seq = log.durable_seq();
  stats.free_disk_bytes = log.free_disk_bytes();
  stats.disk_full = log.disk_full();
  return stats;
}

}  // namespace kvd
