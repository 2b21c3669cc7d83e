// SPDX-License-Identifier: MIT
#include "log/log_writer.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/coding.h"
#include "base/planted_bug.h"
#include "log/write/segment_file.h"

namespace kvd {
namespace {

// What a segment holds beside the records of its only group: headers, padding,
// and a group that declares it durable.
constexpr uint64_t kSegmentOverheadBytes =
    kSegmentHeaderBytes + 2 * (kGroupHeaderBytes + kGroupAlignment);
// What the buffers of groups keep of their memory through a lull.
constexpr uint64_t kIdleBufferBytes = 16 << 10;
// A trial takes space that others might miss.
constexpr uint64_t kTrialFreeBytesMin = uint64_t{64} << 20;

// Writes that nobody flushes are for the page cache, which io_uring leaves to
// threads of the kernel's: nothing is gained.
WriteDevice DeviceFor(const LogWriterOptions& options) {
  const bool lazy = options.sync != SyncMode::kAlways;
  return lazy && options.device == WriteDevice::kAuto ? WriteDevice::kThread
                                                      : options.device;
}

// Creates a segment of zeros, durable in bytes and name. Thread: slow work.
Result<std::unique_ptr<File>> CreateSegment(Directory& directory, uint64_t id,
                                            uint64_t bytes, bool zeroed) {
  KVD_TRY_ASSIGN(std::unique_ptr<File> file, CreateSegmentFile(directory, id));
  Result<void> done =
      zeroed ? file->AllocateZeroed(bytes) : file->AllocateReserved(bytes);
  if (done) done = file->Sync();
  if (done && !IsPlanted(PlantedBug::kSegmentNameNotSynced)) {
    done = directory.Sync();
  }
  if (!done) {
    // It would take the very space whose lack is being reported. Should this
    // fail too, the next start removes the file.
    (void)directory.Remove(SegmentName(id));
    return Unexpected(done.error());
  }
  return file;
}

}  // namespace

LogWriter::LogWriter(Directory& directory, Manifest manifest,
                     LogWriterOptions options, Executor& slow_work,
                     Clock& clock, Wake wake)
    : directory_(directory),
      options_(std::move(options)),
      slow_work_(slow_work),
      clock_(clock),
      wake_(std::move(wake)),
      manifest_(std::move(manifest)) {}

Result<std::unique_ptr<LogWriter>> LogWriter::Start(Directory& directory,
                                                    Manifest manifest,
                                                    LogWriterOptions options,
                                                    Executor& slow_work,
                                                    Clock& clock, Wake wake) {
  KVD_CHECK(manifest.Live().empty());
  options.segment_bytes =
      std::clamp<uint64_t>(AlignUp(options.segment_bytes, kBlockBytes),
                           4 * kBlockBytes, kSegmentBytesMax);
  options.first_segment_bytes =
      std::clamp(AlignDown(options.first_segment_bytes, kBlockBytes),
                 4 * kBlockBytes, options.segment_bytes);
  std::unique_ptr<LogWriter> writer(
      new LogWriter(directory, std::move(manifest), std::move(options),
                    slow_work, clock, wake));
  writer->next_seq_ = writer->manifest_.next_seq;
  writer->written_seq_ = writer->last_seq();
  writer->durable_seq_ = writer->last_seq();
  writer->declared_seq_ = writer->last_seq();
  writer->last_sync_ms_ = writer->last_group_ms_ = writer->NowMs();
  KVD_TRY_ASSIGN(
      writer->device_,
      directory.NewDurableWriter(DeviceFor(writer->options_), std::move(wake)));
  writer->PrepareAhead();
  return writer;
}

LogWriter::~LogWriter() {
  // Jobs hold references to this writer's mailbox and files, until they put
  // their event there: whoever takes that may destroy the writer.
  while (jobs_ > 0) {
    if (events_.Wait()) --jobs_;
  }
}

uint32_t LogWriter::active_segment() const {
  return active_ ? static_cast<uint32_t>(active_->identity.id) : 0;
}

// --- Room -------------------------------------------------------------------

uint64_t LogWriter::SegmentBytesFor(uint64_t bytes) {
  // With what FitsActive() keeps for removals, a sixteenth of the whole, so
  // that the group may enter before another segment is prepared.
  const uint64_t used = bytes + kSegmentOverheadBytes;
  const uint64_t reserve = std::min(kRemovalReserveBytes, used / 15 + 1);
  return AlignUp(used + reserve, kBlockBytes);
}

Room LogWriter::RoomFor(uint64_t bytes, Purpose purpose) {
  if (bytes > kGroupBodyBytesMax) return Room::kTooLarge;
  if (abandoned_) return Room::kLost;
  if (failure_ || stopping_) return Room::kWait;

  const bool over_cap =
      open_.records() > 0 &&
      open_.body_bytes() + bytes > options_.open_group_bytes_max;
  if (!over_cap && FitsActive(bytes, purpose)) return Room::kReady;

  // Only an open group without records can become larger than the cap or move
  // to another segment.
  if (active_ && open_.records() > 0) {
    // It waits for nobody while somebody waits for it to leave.
    gathering_.StopWaiting();
    Pump();
    if (open_.records() > 0) return Room::kWait;
  }
  if (FitsActive(bytes, purpose)) return Room::kReady;
  if (!FitsPrepared(bytes)) return WantSegment(bytes);
  if (retiring_) return Room::kWait;
  Roll();
  return FitsActive(bytes, purpose) ? Room::kReady : Room::kWait;
}

bool LogWriter::FitsActive(uint64_t bytes, Purpose purpose) const {
  if (!active_) return false;
  const bool uses_reserve =
      purpose == Purpose::kRemoval || IsPlanted(PlantedBug::kExpiryFromReserve);
  if (active_->removals_only && !uses_reserve) return false;
  const uint64_t end = AlignUp(open_.End() + bytes, kGroupAlignment);
  uint64_t kept = kGroupHeaderBytes;  // For the group that declares this one.
  if (!uses_reserve && !prepared_) {
    kept += std::min(kRemovalReserveBytes, active_->capacity / 16);
  }
  return end + kept <= active_->capacity;
}

bool LogWriter::FitsPrepared(uint64_t bytes) const {
  return prepared_ && SegmentBytesFor(bytes) <= prepared_->capacity;
}

void LogWriter::Roll() {
  KVD_CHECK(prepared_ && !retiring_);
  KVD_CHECK(!active_ || open_.records() == 0);
  retiring_ = std::exchange(active_, std::nullopt);
  active_ = std::exchange(prepared_, std::nullopt);
  open_.StartSegment(active_->identity);
  manifest_.active = {active_->identity.id, active_->capacity};
  manifest_.prepared.reset();
  PrepareAhead();
}

Room LogWriter::WantSegment(uint64_t bytes) {
  if (preparing_ || manifest_writing_ || retiring_ || zeroing_) {
    return Room::kWait;
  }
  const bool retry_later = NowMs() < retry_at_ms_;
  if (candidate_) {
    return retry_later && ManifestHasNoRoom() ? Room::kDiskFull : Room::kWait;
  }
  const uint64_t needed =
      std::max(SegmentBytesFor(bytes), SmallestSegmentBytes());
  if (needed >= full_for_bytes_ && retry_later) return Room::kDiskFull;
  if (shortage_) return Room::kWait;
  // What is prepared is too small. It stays named until the larger one is, but
  // must not be entered any more.
  displaced_ = std::exchange(prepared_, std::nullopt);
  StartPreparing(std::max(needed, options_.segment_bytes), needed,
                 std::max(bytes, UsualGroupBytes()));
  return Room::kWait;
}

LogWriter::Appended LogWriter::Append(RecordKind kind, uint8_t database,
                                      std::string_view key,
                                      std::string_view value,
                                      uint64_t deadline_ms) {
  KVD_CHECK(active_ && !stopping_);
  const uint64_t seq = next_seq_++;
  if (open_.records() == 0) open_since_ns_ = clock_.MonotonicNs();
  gathering_.Came();
  const uint64_t offset =
      open_.Append({kind, database, seq, deadline_ms, key, value});
  KVD_CHECK(open_.End() <= active_->capacity);
  if (kind == RecordKind::kFlush || kind == RecordKind::kSwap) {
    const uint8_t other = value.empty() ? 0 : static_cast<uint8_t>(value[0]);
    database_changes_.push_back({kind, database, other, seq});
    if (database_changes_.size() >= kDatabaseChangesMax &&
        wanted_seq_ <= durable_seq_) {
      wanted_seq_ = seq;
    }
  }
  return {seq,
          {static_cast<uint32_t>(active_->identity.id),
           static_cast<uint32_t>(offset)}};
}

// --- The device -------------------------------------------------------------

void LogWriter::Pump() {
  if (failure_ || stopped_ || InFlight()) return;
  if (retiring_ && !PumpRetiring()) return;
  if (SyncDue()) {
    SubmitSync(*active_->file, written_seq_);
  } else if (Gathers()) {
    return;
  } else if (open_.records() > 0 || DeclareDue()) {
    SubmitGroup();
  } else if (stopping_) {
    AdvanceStop();
  }
}

bool LogWriter::Gathers() const {
  return options_.gathers && options_.sync == SyncMode::kAlways && !stopping_ &&
         !failure_ && !InFlight() && open_.records() > 0 && !OpenIsLarge() &&
         gathering_.Waits(clock_.MonotonicNs(), open_since_ns_);
}

// Seals the full segment, flushed first whatever the sync mode: what follows in
// the next segment must never be durable without it. True when it is sealed.
bool LogWriter::PumpRetiring() {
  if (unsynced_ && !IsPlanted(PlantedBug::kSealWithoutSync)) {
    SubmitSync(*retiring_->file, written_seq_);
    return false;
  }
  Seal(*retiring_);
  retiring_.reset();
  WriteManifestIfNeeded();
  return true;
}

void LogWriter::SubmitGroup() {
  const uint32_t records = open_.records();
  const uint64_t first_seq = next_seq_ - records;
  open_.Finish(first_seq, durable_seq_);
  declared_seq_ = durable_seq_;
  // A lull: what a flood of changes needed is not kept, nor what it taught.
  if (records == 0) {
    flying_.ShrinkTo(kIdleBufferBytes);
    usual_group_bytes_ = 0;
  }
  std::swap(open_, flying_);
  open_.StartAfter(flying_);

  if (active_->end == 0) active_->first_seq = first_seq;
  active_->end = flying_.End();
  active_->records += records;
  active_->last_seq = last_seq();
  last_group_ms_ = NowMs();
  ++groups_written_;
  if (records > 0) {
    NoteUsual(flying_.NewBytes().size());
    figures_.group_records.Add(records);
    figures_.group_bytes.Add(flying_.NewBytes().size());
  }
  flying_since_ns_ = open_since_ns_;
  flight_ = Flight::kGroup;
  flight_file_ = active_->file.get();
  flight_covers_ = last_seq();
  if (IsPlanted(PlantedBug::kAcknowledgeEarly)) BecameDurable(flight_covers_);
  SendGroup();
  // While the disk works.
  active_->checksum.Update(flying_.NewBytes());
  LeaveUnzeroed();
}

void LogWriter::SendGroup() {
  submitted_ns_ = clock_.MonotonicNs();
  const bool synced = options_.sync == SyncMode::kAlways;
  device_->Submit(*flight_file_, flying_.offset(), flying_.Bytes(),
                  synced ? DurableWriter::Durability::kSynced
                         : DurableWriter::Durability::kUnsynced);
}

void LogWriter::NoteUsual(uint64_t group_bytes) {
  const auto bytes = static_cast<double>(group_bytes);
  const double weight = std::min(1 / kUsualGroups + bytes / kUsualBytes, 1.0);
  usual_group_bytes_ += (bytes - usual_group_bytes_) * weight;
}

void LogWriter::SubmitSync(File& file, uint64_t covers) {
  flight_ = Flight::kSync;
  flight_covers_ = covers;
  last_sync_ms_ = NowMs();
  submitted_ns_ = clock_.MonotonicNs();
  device_->Submit(file, 0, {}, DurableWriter::Durability::kSynced);
}

bool LogWriter::SyncDue() const {
  if (!unsynced_ || !active_) return false;
  if (stopping_) return true;
  if (durable_seq_ < wanted_seq_ && wanted_seq_ <= written_seq_) return true;
  return options_.sync == SyncMode::kInterval &&
         NowMs() - last_sync_ms_ >= options_.sync_interval_ms;
}

// Groups of a segment that is sealed are declared by the MANIFEST.
bool LogWriter::HasUndeclared() const {
  return options_.sync != SyncMode::kNever && active_ && active_->records > 0 &&
         durable_seq_ > declared_seq_;
}

bool LogWriter::DeclareDue() const {
  return HasUndeclared() && !stopping_ && open_.records() == 0 &&
         open_.End() <= active_->capacity &&
         NowMs() - last_group_ms_ >= options_.idle_declare_ms;
}

void LogWriter::FinishFlight() {
  const Flight flight = std::exchange(flight_, Flight::kNone);
  EndTrouble(&stalled_, "the log is written again");
  CountFlight(flight);
  if (flight == Flight::kSync) {
    ++syncs_;
    unsynced_ = false;
    BecameDurable(flight_covers_);
    return;
  }
  flying_.ShrinkTo(flying_.records() == 0 ? kIdleBufferBytes
                                          : 2 * options_.open_group_bytes_max);
  written_seq_ = flight_covers_;
  if (options_.sync == SyncMode::kAlways) {
    ++syncs_;
    BecameDurable(flight_covers_);
  } else {
    unsynced_ = true;
  }
}

void LogWriter::CountFlight(Flight flight) {
  const bool always = options_.sync == SyncMode::kAlways;
  if (flight == Flight::kGroup && !always) return;
  const int64_t now_ns = clock_.MonotonicNs();
  const int64_t flush_ns = now_ns - submitted_ns_;
  const uint32_t records = flight == Flight::kGroup ? flying_.records() : 0;
  figures_.flush_ns.Add(static_cast<uint64_t>(flush_ns));
  gathering_.Landed(now_ns, flush_ns, records, open_.records());
  if (records > 0) {
    figures_.wait_ns.Add(static_cast<uint64_t>(now_ns - flying_since_ns_));
  }
}

void LogWriter::BecameDurable(uint64_t seq) {
  durable_seq_ = std::max(durable_seq_, seq);
  while (!database_changes_.empty() &&
         database_changes_.front().seq <= durable_seq_) {
    const DatabaseChange& change = database_changes_.front();
    const char other = static_cast<char>(change.other);
    Record record{change.kind, change.database, change.seq, 0, {}, {}};
    if (change.kind == RecordKind::kSwap) record.value = {&other, 1};
    const bool forgotten =
        change.kind == RecordKind::kSwap && IsPlanted(PlantedBug::kForgetSwaps);
    if (!forgotten) manifest_.databases.Apply(record);
    database_changes_.pop_front();
  }
}

// A group that found no room, or met what passes, is written again: the same
// bytes to the same place. On file systems that copy on write, or promise more
// blocks than there are, space that was reserved may be missing all the same.
//
// That is right although a failed sync must not be repeated in general. The
// sync may have dropped pages from the cache, and the next one would succeed
// without them. But here every page that it may have dropped is written anew
// first: in SyncMode::kAlways each group is synced with its write, so the one
// in flight is all that is not durable in this file, and its buffer is kept
// until it has landed. In the lazy modes older groups, whose buffers are gone,
// wait for the same sync: there a failed sync is the end, and only a write,
// which claims nothing and drops nothing, is tried again.
void LogWriter::FailFlight(const Error& error) {
  const bool waits_too_long = stopping_ && NowMs() >= stop_by_ms_;
  if (flight_ == Flight::kSync || IsFinal(error) || waits_too_long) {
    return FailWith(error);
  }
  NoteTrouble(&stalled_, error);
  retry_flight_ms_ = NowMs() + kDiskFullRetryMs;
}

void LogWriter::RetryFlight() {
  if (!stalled_ || device_->busy() || NowMs() < retry_flight_ms_) return;
  SendGroup();
}

bool LogWriter::Poll() {
  bool changed = std::exchange(has_news_, false);
  if (device_->busy()) {
    if (std::optional<Result<void>> done = device_->Poll()) {
      changed = true;
      if (abandoned_) {
        // Durable or not, it is not where anyone would find it.
      } else if (*done) {
        FinishFlight();
        if (OpenIsLarge()) Pump();
      } else {
        FailFlight(done->error());
      }
    }
  }
  for (Event& event : events_.TakeAll()) {
    --jobs_;
    changed = true;
    if (event.prepared) OnPrepared(std::move(*event.prepared));
    if (event.manifest) OnManifest(std::move(*event.manifest));
    if (event.zeroed) OnZeroed(*event.zeroed);
  }
  if (retiring_ && !InFlight() && !unsynced_ && !failure_) PumpRetiring();
  if (stopping_) Pump();
  return changed;
}

std::optional<int64_t> LogWriter::Tick() {
  if (failure_ || stopped_) return std::nullopt;
  const int64_t now = NowMs();
  RetryFlight();
  if (now >= retry_at_ms_ && !stopping_) {
    if (WantsRetry()) PrepareAhead();
    if (WantsLook()) LookAgain();
    WriteManifestIfNeeded();
  }
  if (SyncDue() || DeclareDue()) Pump();

  int64_t next = INT64_MAX;
  if (stalled_ && !device_->busy()) next = std::max(retry_flight_ms_, now + 1);
  if (WantsRetry() || WantsLook() || (manifest_dirty_ && !manifest_writing_)) {
    next = std::min(next, std::max(retry_at_ms_, now + 1));
  }
  if (options_.sync == SyncMode::kInterval && unsynced_) {
    next = std::min(next, last_sync_ms_ + options_.sync_interval_ms);
  }
  if (HasUndeclared()) {
    next = std::min(next, last_group_ms_ + options_.idle_declare_ms);
  }
  if (next == INT64_MAX) return std::nullopt;
  // Something that is due but cannot be done yet is looked at again soon.
  return std::max<int64_t>(next - now, 10);
}

// --- Segments and the MANIFEST ----------------------------------------------

void LogWriter::PrepareAhead() {
  // Writers wait for the first one.
  const uint64_t bytes =
      active_ ? options_.segment_bytes : options_.first_segment_bytes;
  StartPreparing(bytes, std::min(bytes, SmallestSegmentBytes()),
                 UsualGroupBytes());
}

// Roll() would not get there for a whole segment or two; the first write to
// each block of those would make a small flush commit changed metadata. What is
// left of the active one is given back when it is sealed.
void LogWriter::LeaveUnzeroed() {
  // By half, so that groups about the limit do not leave one after the other.
  if (!prepared_ || retiring_ || stopping_ || failure_ ||
      !WantsZeros(2 * UsualGroupBytes())) {
    return;
  }
  // A larger one is for a large group that is about to enter; with a smaller
  // one the disk becomes full, and no room is given up.
  if (prepared_->capacity != options_.segment_bytes) return;
  if (!prepared_->zeroed) return ZeroPrepared();
  if (!active_->zeroed && open_.records() == 0) Roll();
}

void LogWriter::ZeroPrepared() {
  zeroing_ = std::exchange(prepared_, std::nullopt);
  ++jobs_;
  slow_work_.Post([this, wake = wake_, file = zeroing_->file.get(),
                   bytes = zeroing_->capacity] {
    Result<void> done = file->ZeroReserved(bytes);
    if (done) done = file->Sync();
    events_.Put({std::nullopt, std::nullopt, ZeroDone{std::move(done)}});
    wake();
  });
}

void LogWriter::OnZeroed(const ZeroDone& done) {
  if (!done.result && IsFinal(done.result.error())) {
    return FailWith(done.result.error());
  }
  // A file system that has no room to write what it has reserved is not asked
  // for that again.
  prepared_ = std::exchange(zeroing_, std::nullopt);
  prepared_->zeroed = true;
  LeaveUnzeroed();
}

// Zeros save a small flush the commit of changed metadata. A large one hardly
// feels that, and writing every byte twice takes bandwidth from it. In the lazy
// modes nobody waits for a flush.
bool LogWriter::WantsZeros(uint64_t group_bytes) const {
  return options_.sync == SyncMode::kAlways && group_bytes < zeroing_limit_;
}

void LogWriter::StartPreparing(uint64_t bytes, uint64_t bytes_min,
                               uint64_t group_bytes) {
  if (preparing_ || candidate_ || stopping_) return;
  preparing_ = true;
  ++jobs_;
  const uint64_t id = manifest_.next_segment++;
  Wanted wanted = {bytes, bytes_min, WantsZeros(group_bytes)};
  wanted.may_use_reserve = !active_;
  // Behind a whole segment nobody waits for the next.
  wanted.tries_zeros = active_ && active_->capacity >= options_.segment_bytes &&
                       options_.sync == SyncMode::kAlways &&
                       !std::exchange(zeros_tried_, true);
  slow_work_.Post([this, wake = wake_, id, wanted,
                   give_space_back = SpaceToGiveBack(bytes)] {
    if (give_space_back) give_space_back();
    events_.Put({PrepareDone{wanted.bytes_min, Prepare(id, wanted)}, {}, {}});
    wake();
  });
}

std::function<void()> LogWriter::SpaceToGiveBack(uint64_t bytes_next) {
  if (!options_.give_space_back) return {};
  // Writers wait for the first segment. Where the next ones have room, too, the
  // space is not missed meanwhile, whoever else takes some.
  const uint64_t ample =
      bytes_next + 2 * options_.segment_bytes + kDiskReserveBytes;
  const bool can_wait =
      !active_ && !disk_full() && directory_.FreeBytes().value_or(0) >= ample;
  if (can_wait) return {};
  return std::exchange(options_.give_space_back, {});
}

Result<LogWriter::Prepared> LogWriter::Prepare(uint64_t id,
                                               const Wanted& wanted) {
  // Not knowing is no reason not to try.
  const uint64_t free = directory_.FreeBytes().value_or(UINT64_MAX);
  const auto make = [&](uint64_t size, uint64_t reserve) -> Result<Prepared> {
    if (free < size + reserve) {
      return Fail(
          ErrorCode::kNoSpace,
          "{}: {} bytes are free; a segment of {} and the reserve of {} "
          "need more",
          directory_.path(), free, size, reserve);
    }
    KVD_TRY_ASSIGN(std::unique_ptr<File> file,
                   CreateSegment(directory_, id, size, wanted.zeroed));
    return Prepared{
        id, size, free - size, wanted.zeroed, false, std::move(file), {}};
  };

  // A disk without room for a whole segment still takes a smaller one.
  Result<Prepared> made = make(wanted.bytes, kDiskReserveBytes);
  for (uint64_t size = wanted.bytes;
       !made && size > wanted.bytes_min && NeedsRoom(made.error());) {
    size = std::max(AlignUp(size / 2, kBlockBytes), wanted.bytes_min);
    made = make(size, kDiskReserveBytes);
  }
  if (!made && wanted.may_use_reserve && NeedsRoom(made.error())) {
    Result<Prepared> last = make(SmallestSegmentBytes(), kManifestReserveBytes);
    if (last) {
      last->from_reserve = true;
      return last;
    }
  }
  if (made && wanted.tries_zeros &&
      made->free_disk_bytes >= kTrialFreeBytesMin) {
    made->zeroing_limit = directory_.ZeroingLimit();
  }
  return made;
}

void LogWriter::OnPrepared(PrepareDone done) {
  preparing_ = false;
  if (!done.result) {
    // Back to what there was before, however small.
    if (displaced_) prepared_ = std::exchange(displaced_, std::nullopt);
    const Error& error = done.result.error();
    if (IsFinal(error)) return FailWith(error);
    if (!NeedsRoom(error)) {
      NoteTrouble(&shortage_, error);
      retry_at_ms_ = NowMs() + kDiskFullRetryMs;
      return WriteManifestIfNeeded();
    }
    EndTrouble(&shortage_, "segments can be made again");
    if (full_for_bytes_ == UINT64_MAX) {
      options_.log(Severity::kWarning,
                   "no room for another log segment: " + error.message() +
                       "; new data will be refused when the current one is "
                       "full, deletes and reads go on");
    }
    FoundNoRoom(done.bytes_min);
    // The MANIFEST waits for no segment that does not come: what it is about to
    // name may be compaction's, which makes room.
    WriteManifestIfNeeded();
    return;
  }
  EndTrouble(&shortage_, "segments can be made again");
  if (done.result->from_reserve) {
    FoundNoRoom(done.bytes_min);
  } else {
    FoundRoom();
  }
  Prepared& made = *done.result;
  free_disk_bytes_ = made.free_disk_bytes;
  zeroing_limit_ = made.zeroing_limit.value_or(zeroing_limit_);
  LiveSegment segment;
  segment.identity = manifest_.IdentityOfLive(made.id);
  segment.capacity = made.capacity;
  segment.zeroed = made.zeroed;
  segment.removals_only = made.from_reserve;
  segment.file = std::move(made.file);
  candidate_ = std::move(segment);
  if (displaced_) Discard(&displaced_);
  manifest_.prepared = {made.id, made.capacity};
  manifest_dirty_ = true;
  if (IsPlanted(PlantedBug::kUseUnnamedSegment)) {
    prepared_ = std::exchange(candidate_, std::nullopt);
    if (!active_) Roll();
  }
  WriteManifestIfNeeded();
}

void LogWriter::FoundNoRoom(uint64_t bytes) {
  full_for_bytes_ = std::min(full_for_bytes_, bytes);
  retry_at_ms_ = NowMs() + kDiskFullRetryMs;
}

void LogWriter::FoundRoom() {
  if (std::exchange(full_for_bytes_, UINT64_MAX) == UINT64_MAX) return;
  options_.log(Severity::kInfo, "there is room for log segments again");
}

// What is prepared is too small for somebody, who was told of a full disk, or
// waits.
void LogWriter::LookAgain() {
  if (shortage_) {
    shortage_.reset();
    has_news_ = true;
    wake_();
  }
  const uint64_t free = directory_.FreeBytes().value_or(0);
  if (FullForSegments() && free >= full_for_bytes_ + kDiskReserveBytes) {
    FoundRoom();
  }
  retry_at_ms_ = NowMs() + kDiskFullRetryMs;
}

void LogWriter::NoteTrouble(std::optional<Error>* trouble, const Error& error) {
  if (!*trouble) {
    options_.log(Severity::kWarning,
                 "writers wait, reads go on, and every second it is tried "
                 "again: " +
                     error.message());
  }
  *trouble = error;
}

void LogWriter::EndTrouble(std::optional<Error>* trouble,
                           std::string_view words) {
  if (!*trouble) return;
  trouble->reset();
  options_.log(Severity::kInfo, std::string(words));
}

void LogWriter::Discard(std::optional<LiveSegment>* segment) {
  if (!*segment) return;
  garbage_.push_back(SegmentName((*segment)->identity.id));
  segment->reset();
}

void LogWriter::Seal(LiveSegment& segment) {
  manifest_dirty_ = true;
  if (segment.records == 0) {
    garbage_.push_back(SegmentName(segment.identity.id));
    return;
  }
  manifest_.sealed.push_back({segment.identity.id, segment.identity.epoch,
                              SegmentKind::kLog, segment.end, segment.records,
                              segment.first_seq, segment.last_seq,
                              segment.checksum.Digest()});
  sealed_files_.push_back({std::move(segment.file), segment.end});
}

void LogWriter::WriteManifestIfNeeded() {
  // A retiring segment is neither live nor sealed in the value: without it the
  // MANIFEST would disown durable groups. While a segment is being prepared one
  // write will do for both.
  if (!manifest_dirty_ || manifest_writing_ || retiring_ || failure_) return;
  if (preparing_ && !stopping_) return;

  manifest_dirty_ = false;
  manifest_writing_ = true;
  naming_ = candidate_.has_value();
  manifest_covers_ = manifest_changes_;
  manifest_.databases_as_of = durable_seq_;
  std::vector<std::pair<File*, uint64_t>> cut;
  for (SealedFile& sealed : sealed_files_) {
    cut.emplace_back(sealed.file.get(), sealed.bytes);
  }
  closing_ = std::exchange(sealed_files_, {});
  removing_ = std::exchange(garbage_, {});
  jobs_ += 2;  // For the MANIFEST and for its spare, an event each.
  // Room that was ample may not be for this user, or not any more.
  slow_work_.Post([this, wake = wake_, manifest = manifest_,
                   cut = std::move(cut), garbage = removing_,
                   give_space_back = SpaceToGiveBack(0),
                   spare = manifest_identity_ != 0 ? Spare::kIsSafe
                                                   : Spare::kMayBeManifest] {
    if (give_space_back) give_space_back();
    ManifestDone done;
    done.result = SaveManifest(directory_, manifest, &done.identity, spare);
    const bool saved = done.result.has_value();
    if (saved) {
      // Both only give space back; the next start makes up for a failure.
      for (const auto& [file, bytes] : cut) (void)file->Truncate(bytes);
      for (const std::string& name : garbage) (void)directory_.Remove(name);
    }
    events_.Put({std::nullopt, std::move(done), std::nullopt});
    wake();
    if (saved) LeaveManifestSpare(directory_, manifest);
    events_.Put({});
    wake();
  });
}

void LogWriter::OnManifest(ManifestDone done) {
  manifest_writing_ = false;
  // After an error it may be either.
  manifest_identity_ = done.result ? done.identity : 0;
  if (manifest_is_last_) {
    if (!done.result) {
      options_.log(Severity::kWarning,
                   "the clean stop could not be recorded, the next start reads "
                   "the log's tail instead: " +
                       done.result.error().message());
    }
    closing_.clear();
    stopped_ = true;
    return;
  }
  if (!done.result) {
    const Error& error = done.result.error();
    if (IsFinal(error)) return FailWith(error);
    manifest_dirty_ = true;
    for (SealedFile& file : closing_) sealed_files_.push_back(std::move(file));
    for (std::string& name : removing_) garbage_.push_back(std::move(name));
    closing_.clear();
    NoteTrouble(&manifest_trouble_, error);
    retry_at_ms_ = NowMs() + kDiskFullRetryMs;
    return;
  }
  if (!IsPlanted(PlantedBug::kStaysFull)) {
    EndTrouble(&manifest_trouble_, "the MANIFEST is written again");
  }
  closing_.clear();
  manifest_durable_ = manifest_covers_;
  if (naming_ && candidate_) {
    prepared_ = std::exchange(candidate_, std::nullopt);
    if (!prepared_->removals_only) FoundRoom();
    if (!active_ && !stopping_ && !failure_) Roll();
  }
  WriteManifestIfNeeded();
}

// --- Compaction -------------------------------------------------------------

uint64_t LogWriter::ReserveSegmentIds(uint64_t count, uint64_t* first_id) {
  *first_id = manifest_.next_segment;
  manifest_.next_segment += count;
  manifest_dirty_ = true;
  const uint64_t ticket = ++manifest_changes_;
  WriteManifestIfNeeded();
  return ticket;
}

uint64_t LogWriter::ReplaceSealed(const std::vector<SealedSegment>& victims,
                                  const std::vector<SealedSegment>& outputs) {
  std::vector<SealedSegment>& sealed = manifest_.sealed;
  for (const SealedSegment& victim : victims) {
    KVD_CHECK(std::erase(sealed, victim) == 1);
    manifest_.history_floor =
        std::max(manifest_.history_floor, victim.last_seq);
    // The live segments go on behind the sealed ones of this epoch, also when
    // those are gone.
    if (victim.kind == SegmentKind::kLog && victim.epoch == manifest_.epoch &&
        !IsPlanted(PlantedBug::kForgetRetiredSeqs)) {
      manifest_.next_seq = std::max(manifest_.next_seq, victim.last_seq + 1);
    }
  }
  sealed.insert(sealed.end(), outputs.begin(), outputs.end());
  std::stable_sort(sealed.begin(), sealed.end(),
                   [](const SealedSegment& a, const SealedSegment& b) {
                     return a.first_seq < b.first_seq;
                   });
  manifest_dirty_ = true;
  const uint64_t ticket = ++manifest_changes_;
  WriteManifestIfNeeded();
  return ticket;
}

void LogWriter::WantDurable() {
  wanted_seq_ = last_seq();
  Pump();
}

// --- Whether it is all still there ------------------------------------------

std::vector<ExpectedFile> LogWriter::LiveFiles() const {
  std::vector<ExpectedFile> files;
  // One that is being replaced may be either.
  if (!manifest_writing_) {
    files.push_back({std::string(kManifestName), 1, manifest_identity_});
  }
  for (const auto* segment : {&active_, &retiring_, &prepared_, &candidate_,
                              &displaced_, &zeroing_}) {
    if (!*segment) continue;
    const LiveSegment& live = **segment;
    // What is behind the end may be cut off soon.
    files.push_back(
        {SegmentName(live.identity.id), live.end, live.file->identity()});
  }
  return files;
}

void LogWriter::Abandon(Error error) {
  abandoned_ = true;
  FailWith(std::move(error));
}

// --- The end ----------------------------------------------------------------

void LogWriter::Stop() {
  stopping_ = true;
  stop_by_ms_ = NowMs() + kStopStallMs;
  Pump();
}

void LogWriter::AdvanceStop() {
  // Pump() has seen to the open group, the retiring segment and the sync.
  if (stopped_ || failure_ || jobs_ > 0) return;
  if (active_) Seal(*active_);
  active_.reset();
  Discard(&prepared_);
  Discard(&candidate_);
  Discard(&displaced_);
  manifest_.active.reset();
  manifest_.prepared.reset();
  manifest_.clean = true;
  manifest_.next_seq = next_seq_;
  manifest_dirty_ = true;
  manifest_is_last_ = true;
  WriteManifestIfNeeded();
}

void LogWriter::FailWith(Error error) {
  if (!failure_) failure_ = std::move(error);
}

}  // namespace kvd
