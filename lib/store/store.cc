// SPDX-License-Identifier: MIT
#include "store/store.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/planted_bug.h"
#include "base/random.h"
#include "store/start/recovery.h"
#include "store/store_impl.h"

namespace kvd {
namespace {

// Slices of background work on the loop: what they handle at the most at once.
constexpr size_t kGhostsPerSlice = 4096;
constexpr size_t kFreedEntriesPerSlice = 2048;
// A table costs about as much as so many entries, beside those in it.
constexpr size_t kEntriesPerTable = 64;
// What a change pays for what it will have freed later: more than that.
constexpr size_t kGhostsPerRemoval = 2;
constexpr size_t kFreedEntriesPerPut = 2;
constexpr size_t kFreedEntriesPerFlush = 4 * kEntriesPerTable;
// Puts pay together: freeing a few entries costs a search for them.
constexpr size_t kOwedEntriesMax = 256;
constexpr int kExpiredKeysPerSlice = 512;
// How soon the next slice follows when one did not suffice.
constexpr int64_t kNextSliceMs = 1;
// The wall clock may be set forward: deadlines are looked at this often.
constexpr int64_t kDeadlineLookMs = 1000;
// A key whose deadline has passed and that is still there waits for room.
constexpr int64_t kOverdueLookMs = 100;
// Memory has room again, as far as the log is concerned, when this part of the
// limit is free; else a store at its limit would fill the log with it.
constexpr uint64_t kRoomPart = 16;
// Of an entry that a command is about to use: a key and a value of some 100
// bytes, wherever they begin in a line of the cache. Of a smaller entry this
// fetches a part of its neighbour, which costs less than a value that is
// missed.
constexpr size_t kPrefetchedBytes = 192;

// Of a cleared table beside its entries and slots.
constexpr uint64_t kClearedTableBytes =
    sizeof(Index) + sizeof(Store::Impl::ClearedTable);

}  // namespace

Store::Impl::Impl(StoreOptions store_options, Clock& store_clock)
    : options(std::move(store_options)), clock(store_clock) {
  const uint64_t hash_seed = RandomU64();
  for (auto& keyspace : keyspaces) {
    keyspace = std::make_unique<Keyspace>(hash_seed, &usage, &memory);
  }
}

uint64_t Store::Impl::Removal::memory_bytes() const {
  // Short keys are kept inside.
  const bool inside = key.capacity() < sizeof(key) / 2;
  return sizeof(*this) + (inside ? 0 : key.capacity() + 1);
}

uint8_t Store::Impl::NumberOf(const Keyspace& keyspace) const {
  uint8_t number = 0;
  while (keyspaces[number].get() != &keyspace) ++number;
  return number;
}

SegmentIdentity Store::Impl::IdentityOf(uint64_t segment) const {
  const Manifest& manifest = log->manifest();
  // Compaction's victims leave the MANIFEST before all entries have left them.
  for (const auto* segments : {&manifest.sealed, &compactor->victims()}) {
    for (const SealedSegment& sealed : *segments) {
      if (sealed.id == segment) return manifest.IdentityOf(sealed);
    }
  }
  return manifest.IdentityOfLive(segment);
}

Seq Store::Impl::Remove(Keyspace& keyspace, uint64_t hash, std::string_view key,
                        RecordKind kind) {
  const uint8_t database = NumberOf(keyspace);
  const auto [seq, place] = log->Append(kind, database, key, {}, 0);
  usage.AddDead(place.segment, RecordBytes(key.size(), 0));
  const bool waits = options.sync == SyncMode::kAlways &&
                     !IsPlanted(PlantedBug::kShowUndurableAbsence);
  // `key` may point into the entry, which goes last.
  if (waits) {
    undurable_removals.push_back({seq, database, hash, std::string(key)});
    if (!IsPlanted(PlantedBug::kUncountedQueue)) {
      memory.queued_bytes += undurable_removals.back().memory_bytes();
    }
    keyspace.Bury(hash, key, seq, place);
    DropDurableGhosts(kGhostsPerRemoval);
  } else {
    keyspace.Erase(hash, key, seq);
  }
  return seq;
}

Seq Store::Impl::Flush(Keyspace& keyspace) {
  const auto [seq, place] =
      log->Append(RecordKind::kFlush, NumberOf(keyspace), {}, {}, 0);
  usage.AddDatabaseChange(place.segment);
  if (auto table = keyspace.Clear(seq)) {
    cleared.push_back({std::move(table), &keyspace});
    ++tables_cleared;
    memory.queued_bytes += kClearedTableBytes;
  }
  FreeClearedTables(kFreedEntriesPerFlush);
  return seq;
}

Seq Store::Impl::Swap(uint8_t one, uint8_t other) {
  const char value = static_cast<char>(other);
  const auto [seq, place] =
      log->Append(RecordKind::kSwap, one, {}, {&value, 1}, 0);
  usage.AddDatabaseChange(place.segment);
  databases.Apply({RecordKind::kSwap, one, seq, 0, {}, {&value, 1}});
  if (!IsPlanted(PlantedBug::kShowUndurableSwap)) {
    swapped[one] = swapped[other] = seq;
  }
  return seq;
}

bool Store::Impl::DropDurableGhosts(size_t ghosts_max) {
  const Seq durable = log->durable_seq();
  for (size_t i = 0; i < ghosts_max; ++i) {
    if (undurable_removals.empty() ||
        undurable_removals.front().seq > durable) {
      return false;
    }
    const Removal& removal = undurable_removals.front();
    keyspaces[removal.database]->DropGhost(removal.hash, removal.key,
                                           removal.seq);
    if (!IsPlanted(PlantedBug::kUncountedQueue)) {
      memory.queued_bytes -= removal.memory_bytes();
    }
    undurable_removals.pop_front();
  }
  return true;
}

bool Store::Impl::FreeClearedTables(size_t entries_max) {
  while (!cleared.empty() && entries_max > 0) {
    ClearedTable& oldest = cleared.front();
    const size_t before = oldest.table->size();
    const size_t left = oldest.keyspace->Free(oldest.table.get(), entries_max);
    size_t cost = before - left;
    if (left == 0) {
      cleared.pop_front();
      ++tables_freed;
      memory.queued_bytes -= kClearedTableBytes;
      cost += kEntriesPerTable;
    }
    entries_max -= std::min(entries_max, cost);
  }
  return !cleared.empty();
}

void Store::Impl::PayForPut() {
  if (cleared.empty()) return;
  entries_owed += kFreedEntriesPerPut;
  if (entries_owed < kOwedEntriesMax) return;
  FreeClearedTables(std::exchange(entries_owed, 0));
}

bool Store::Impl::RemoveExpiredKeys() {
  const int64_t now = clock.WallMs();
  int budget = kExpiredKeysPerSlice;
  for (const auto& keyspace : keyspaces) {
    while (const Entry* entry = keyspace->deadlines().Earliest()) {
      if (static_cast<int64_t>(entry->deadline_ms()) > now) break;
      if (budget-- == 0) return true;
      const uint64_t bytes = RecordBytes(entry->key().size(), 0);
      if (log->RoomFor(bytes, Purpose::kExpiry) != Room::kReady) return false;
      Remove(*keyspace, keyspace->Hash(entry->key()), entry->key(),
             RecordKind::kExpire);
      ++expired_keys;
    }
  }
  return false;
}

std::optional<int64_t> Store::Impl::NextDeadlineMs() const {
  std::optional<int64_t> next;
  const int64_t now = clock.WallMs();
  for (const auto& keyspace : keyspaces) {
    const Entry* entry = keyspace->deadlines().Earliest();
    if (entry == nullptr) continue;
    const int64_t due = static_cast<int64_t>(entry->deadline_ms()) - now;
    const int64_t left =
        due <= 0 ? kOverdueLookMs : std::min(due, kDeadlineLookMs);
    next = next ? std::min(*next, left) : left;
  }
  return next;
}

void Store::Impl::NoteMemoryFull() {
  if (std::exchange(memory_full_noted, true)) return;
  options.log(
      Severity::kWarning,
      "keys and tables have reached memory.limit: writes that add a key "
      "or make a value larger are refused until there is room");
}

void Store::Impl::NoteMemoryRoom() {
  const uint64_t limit = options.memory_limit_bytes;
  if (!memory_full_noted ||
      memory.without_values() > limit - limit / kRoomPart) {
    return;
  }
  memory_full_noted = false;
  options.log(Severity::kInfo, "there is room below memory.limit again");
}

bool Store::Impl::TrimValues() {
  // What is on disk may not be there to be read again.
  if (log->abandoned()) return false;
  const bool more = cache.Trim();
  if (HasMemoryNews()) wake();
  return more;
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::Open(Directory& directory,
                                           StoreOptions options,
                                           Workers workers, Clock& clock,
                                           Wake wake) {
  auto impl = std::make_unique<Impl>(std::move(options), clock);
  KVD_TRY_ASSIGN(Recovered recovered, Recover(directory, impl.get()));
  LogWriterOptions log_options;
  log_options.sync = impl->options.sync;
  log_options.sync_interval_ms = impl->options.sync_interval_ms;
  log_options.device = impl->options.write_device;
  log_options.gathers = impl->options.gathers;
  log_options.segment_bytes = impl->options.segment_bytes;
  log_options.first_segment_bytes = impl->options.first_segment_bytes;
  log_options.open_group_bytes_max = impl->options.open_group_bytes_max;
  log_options.idle_declare_ms = impl->options.idle_declare_ms;
  log_options.log = impl->options.log;
  log_options.give_space_back = std::move(recovered.give_space_back);
  KVD_TRY_ASSIGN(
      impl->log,
      LogWriter::Start(directory, std::move(recovered.manifest),
                       std::move(log_options), workers.slow_work, clock, wake));
  Executor& maintenance = workers.maintenance;
  impl->compactor =
      std::make_unique<Compactor>(*impl, directory, maintenance, wake);
  impl->scrubber =
      std::make_unique<Scrubber>(*impl, directory, maintenance, wake);
  impl->hint_writer =
      std::make_unique<HintWriter>(*impl, directory, maintenance, wake);
  impl->watch =
      std::make_unique<StorageWatch>(*impl, directory, maintenance, wake);
  impl->reader =
      std::make_unique<ValueReader>(*impl, directory, workers.reads, wake);
  impl->wake = std::move(wake);
  return std::unique_ptr<Store>(new Store(std::move(impl)));
}

const RecoveryReport& Store::recovery() const { return impl_->report; }

uint64_t Store::PrefetchSlot(int database, std::string_view key) const {
  const Index& index = impl_->InternalOf(database).index();
  const uint64_t hash = index.Hash(key);
  index.PrefetchSlot(hash);
  return hash;
}

void Store::PrefetchEntry(int database, uint64_t hash) const {
  impl_->InternalOf(database).index().PrefetchEntry(hash, kPrefetchedBytes);
}

void Store::Pump() {
  impl_->TrimValues();
  impl_->reader->Pump();
  impl_->log->Pump();
}

bool Store::gathers() const { return impl_->log->Gathers(); }

bool Store::Poll() {
  const bool changed = impl_->log->Poll();
  if (changed) impl_->DropDurableGhosts(kGhostsPerSlice);
  impl_->reader->Poll();
  impl_->scrubber->Poll();
  const bool compacted = impl_->compactor->Poll();
  impl_->hint_writer->Poll();
  // It must know what the others have removed.
  const bool lost = impl_->watch->Poll();
  const bool memory_news = impl_->HasMemoryNews();
  if (memory_news) impl_->memory_awaited = false;
  return compacted || changed || memory_news || lost;
}

std::optional<int64_t> Store::Tick() {
  bool more = impl_->DropDurableGhosts(kGhostsPerSlice);
  more |= impl_->FreeClearedTables(kFreedEntriesPerSlice);
  more |= impl_->TrimValues();
  impl_->NoteMemoryRoom();
  std::optional<int64_t> next;
  if (!impl_->log->failure() && !impl_->log->stopped()) {
    more |= impl_->RemoveExpiredKeys();
    impl_->log->Pump();
    next = impl_->log->Tick();
  }
  for (const auto& wanted :
       {impl_->compactor->Tick(), impl_->scrubber->Tick(),
        impl_->hint_writer->Tick(), impl_->watch->Tick()}) {
    if (wanted) next = next ? std::min(*next, *wanted) : *wanted;
  }
  if (more) return kNextSliceMs;
  if (const auto deadline = impl_->NextDeadlineMs()) {
    next = next ? std::min(*next, *deadline) : *deadline;
  }
  return next;
}

Seq Store::durable_seq() const { return impl_->log->durable_seq(); }
Seq Store::last_seq() const { return impl_->log->last_seq(); }

bool Store::MustWait(Seq seq) const {
  return impl_->options.sync == SyncMode::kAlways &&
         seq > impl_->log->durable_seq() && !storage_lost();
}

const std::optional<Error>& Store::failure() const {
  if (impl_->compactor->failure()) return impl_->compactor->failure();
  return impl_->log->failure();
}

bool Store::storage_lost() const { return impl_->watch->lost().has_value(); }

void Store::Stop() {
  impl_->compactor->Stop();
  impl_->scrubber->Stop();
  impl_->hint_writer->Stop();
  impl_->log->Stop();
  impl_->watch->Stop();
}
bool Store::stopped() const {
  return !failure() && impl_->log->stopped() && impl_->compactor->idle() &&
         impl_->scrubber->idle() && impl_->hint_writer->idle() &&
         impl_->watch->done();
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
  impl_->reader->Read(values, std::move(on_read));
}

uint64_t Store::Compact() { return impl_->compactor->Ask(); }
uint64_t Store::CompactSegments(std::vector<uint64_t> ids) {
  return impl_->compactor->AskFor(std::move(ids));
}
const CompactionStatus& Store::compaction() const {
  return impl_->compactor->status();
}

const ScrubStatus& Store::scrub() const { return impl_->scrubber->status(); }

std::vector<uint64_t> Store::SealedSegments() const {
  std::vector<uint64_t> ids;
  for (const SealedSegment& segment : impl_->log->manifest().sealed) {
    ids.push_back(segment.id);
  }
  return ids;
}

uint64_t Store::memory_bytes() const { return impl_->memory.all(); }
uint64_t Store::memory_limit_bytes() const {
  return impl_->options.memory_limit_bytes;
}

StoreStats Store::Stats() const {
  StoreStats stats;
  for (int i = 0; i < kDatabases; ++i) {
    const Keyspace& keyspace = impl_->InternalOf(i);
    stats.keys[i] = keyspace.size();
    stats.keys_with_deadline[i] = keyspace.deadlines().size();
  }
  const LogWriter& log = *impl_->log;
  stats.segments =
      log.manifest().sealed.size() + (log.active_segment() != 0 ? 1 : 0);
  stats.live_bytes = impl_->usage.live_bytes();
  stats.dead_bytes = impl_->usage.dead_bytes();
  for (const SealedSegment& segment : log.manifest().sealed) {
    stats.sealed_bytes += segment.bytes;
  }
  stats.damaged_segments = impl_->damaged.size();
  stats.reclaimable_bytes = impl_->compactor->reclaimable_bytes();
  stats.index_bytes = impl_->memory.index_bytes;
  stats.deadline_bytes = impl_->memory.deadline_bytes;
  stats.entry_bytes = impl_->memory.entry_bytes;
  stats.queued_bytes = impl_->memory.queued_bytes;
  stats.removals_queued = impl_->undurable_removals.size();
  stats.tables_queued = impl_->cleared.size();
  stats.value_bytes = impl_->memory.value_bytes;
  stats.value_cache_bytes = impl_->cache.bound();
  stats.log_buffer_bytes = log.buffer_bytes();
  stats.zeroing_limit_bytes = log.zeroing_limit();
  stats.memory_full = impl_->IsMemoryFull();
  stats.values_evicted = impl_->cache.evicted();
  stats.reads_at_once = impl_->reader->reads_at_once();
  stats.reads_waited = impl_->reader->reads_waited();
  stats.damaged_values = impl_->reader->damaged_values();
  stats.expired_keys = impl_->expired_keys;
  stats.groups_written = log.groups_written();
  stats.flushes = log.syncs();
  stats.last_seq = log.last_seq();
  stats.durable_seq = log.durable_seq();
  stats.free_disk_bytes = log.free_disk_bytes();
  stats.disk_full = log.disk_full();
  return stats;
}

}  // namespace kvd
