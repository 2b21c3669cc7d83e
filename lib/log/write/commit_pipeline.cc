// SPDX-License-Identifier: MIT
#include "log/write/commit_pipeline.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/planted_bug.h"

namespace kvd {
namespace {

// What the buffers of groups keep of their memory through a lull.
constexpr uint64_t kIdleBufferBytes = 16 << 10;

}  // namespace

CommitPipeline::CommitPipeline(const LogWriterOptions& options,
                               uint64_t last_seq, SegmentSupply& supply,
                               ManifestKeeper& manifest, LogState& state,
                               Clock& clock,
                               std::unique_ptr<DurableWriter> device)
    : options_(options),
      supply_(supply),
      manifest_(manifest),
      state_(state),
      clock_(clock),
      stalled_(options.log, "the log is written again"),
      next_seq_(last_seq + 1),
      written_seq_(last_seq),
      durable_seq_(last_seq),
      declared_seq_(last_seq),
      last_sync_ms_(NowMs()),
      last_group_ms_(last_sync_ms_),
      device_(std::move(device)) {}

// --- The open group ---------------------------------------------------------

Room CommitPipeline::RoomFor(uint64_t bytes, Purpose purpose) {
  if (bytes > kGroupBodyBytesMax) return Room::kTooLarge;
  if (state_.abandoned()) return Room::kLost;
  if (state_.failure() || state_.stopping()) return Room::kWait;

  const bool over_cap =
      open_.records() > 0 &&
      open_.body_bytes() + bytes > options_.open_group_bytes_max;
  if (!over_cap && FitsActive(bytes, purpose)) return Room::kReady;

  // Only an open group without records can become larger than the cap or move
  // to another segment.
  if (supply_.active() != nullptr && open_.records() > 0) {
    // It waits for nobody while somebody waits for it to leave.
    gathering_.StopWaiting();
    Pump();
    if (open_.records() > 0) return Room::kWait;
  }
  if (FitsActive(bytes, purpose)) return Room::kReady;
  if (!supply_.FitsPrepared(bytes)) return supply_.WantSegment(bytes);
  if (supply_.retiring() != nullptr) return Room::kWait;
  supply_.Roll();
  FollowActive();
  return FitsActive(bytes, purpose) ? Room::kReady : Room::kWait;
}

// The open group is for the active segment; with records in it, the supply
// enters no other.
void CommitPipeline::FollowActive() {
  const LiveSegment* active = supply_.active();
  if (active == nullptr || active->identity.id == open_segment_) return;
  KVD_CHECK(open_.records() == 0);
  open_.StartSegment(active->identity);
  open_.PutHead(supply_.HeadOfActive(last_seq()), next_seq_, durable_seq_);
  open_segment_ = active->identity.id;
}

CommitPipeline::Appended CommitPipeline::Append(RecordKind kind,
                                                uint16_t database,
                                                std::string_view key,
                                                std::string_view value,
                                                uint64_t deadline_ms) {
  const LiveSegment* active = supply_.active();
  KVD_CHECK(active != nullptr && !state_.stopping());
  const uint64_t seq = next_seq_++;
  if (open_.records() == 0) open_since_ns_ = clock_.MonotonicNs();
  gathering_.Came();
  const uint64_t offset =
      open_.Append({kind, database, seq, deadline_ms, key, value});
  KVD_CHECK(open_.End() <= active->capacity);
  if (kind == RecordKind::kFlush || kind == RecordKind::kSwap) {
    NoteDatabaseChange(kind, database, value, seq);
  }
  return {seq,
          {static_cast<uint32_t>(active->identity.id),
           static_cast<uint32_t>(offset)}};
}

void CommitPipeline::NoteDatabaseChange(RecordKind kind, uint16_t database,
                                        std::string_view value, uint64_t seq) {
  manifest_.AddDatabaseChange(kind, database, value, seq);
  if (manifest_.undurable_database_changes() >= kDatabaseChangesMax &&
      wanted_seq_ <= durable_seq_) {
    wanted_seq_ = seq;
  }
}

Room CommitPipeline::RoomBehind(uint64_t bytes, Purpose purpose) const {
  if (state_.abandoned()) return Room::kLost;
  if (state_.failure() || state_.stopping()) return Room::kWait;
  // By the byte, or parts would need more than RoomFor() the whole has found.
  const bool fits = open_.body_bytes() + bytes <= kGroupBodyBytesMax &&
                    supply_.FitsActive(open_.BodyEnd(), bytes, purpose);
  return fits ? Room::kReady : Room::kWait;
}

CommitPipeline::Mark CommitPipeline::MarkEnd() const {
  return {open_.records(), open_.body_bytes(),
          next_seq_,       wanted_seq_,
          open_since_ns_,  manifest_.undurable_database_changes(),
          gathering_};
}

void CommitPipeline::CutBack(const Mark& mark) {
  // Nothing has left meanwhile.
  KVD_CHECK(open_.records() - mark.records == next_seq_ - mark.next_seq);
  open_.CutBack(mark.records, mark.body_bytes);
  next_seq_ = mark.next_seq;
  wanted_seq_ = mark.wanted_seq;
  open_since_ns_ = mark.open_since_ns;
  manifest_.CutBackDatabaseChanges(mark.database_changes);
  gathering_ = mark.gathering;
}

bool CommitPipeline::Gathers() const {
  return options_.gathers && Always() && !state_.stopping() &&
         !state_.failure() && !InFlight() && open_.records() > 0 &&
         !OpenIsLarge() &&
         gathering_.Waits(clock_.MonotonicNs(), open_since_ns_);
}

// --- To the disk ------------------------------------------------------------

void CommitPipeline::Pump() {
  if (state_.failure() || state_.stopped() || InFlight()) return;
  if (supply_.retiring() != nullptr && !PumpRetiring()) return;
  if (SyncDue()) {
    SubmitSync(*supply_.active()->file);
  } else if (Gathers()) {
    return;
  } else if (open_.records() > 0 || DeclareDue()) {
    SubmitGroup();
  } else if (state_.stopping()) {
    // All is written and synced.
    supply_.SealAll(next_seq_);
  }
}

// Seals the full segment, flushed first whatever the sync mode: what follows in
// the next segment must never be durable without it. True when it is sealed.
bool CommitPipeline::PumpRetiring() {
  if (unsynced_ && !IsPlanted(PlantedBug::kSealWithoutSync)) {
    SubmitSync(*supply_.retiring()->file);
    return false;
  }
  supply_.SealRetiring();
  return true;
}

void CommitPipeline::SubmitGroup() {
  const uint32_t records = open_.records();
  const uint64_t first_seq = next_seq_ - records;
  open_.Finish(first_seq, durable_seq_);
  declared_seq_ = durable_seq_;
  // A lull: what a flood of changes needed is not kept, nor what it taught.
  if (records == 0) {
    flying_.ShrinkTo(kIdleBufferBytes);
    supply_.NoteLull();
  }
  std::swap(open_, flying_);
  open_.StartAfter(flying_);

  LiveSegment& segment = *supply_.active();
  NoteSubmitted(first_seq, &segment);
  flight_.what = Flying::kGroup;
  flight_.file = segment.file.get();
  flight_.covers = last_seq();
  flight_.since_ns = open_since_ns_;
  if (IsPlanted(PlantedBug::kAcknowledgeEarly)) BecameDurable(flight_.covers);
  SendGroup();
  // While the disk works.
  segment.checksum.Update(flying_.NewBytes());
  supply_.LeaveUnzeroed(/*open_is_empty=*/true);
  FollowActive();
}

void CommitPipeline::NoteSubmitted(uint64_t first_seq, LiveSegment* segment) {
  const uint32_t records = flying_.records();
  if (segment->end == 0) segment->first_seq = first_seq;
  segment->end = flying_.End();
  segment->records += records;
  segment->last_seq = last_seq();
  last_group_ms_ = NowMs();
  ++groups_written_;
  if (records == 0) return;
  const uint64_t bytes = flying_.NewBytes().size();
  supply_.NoteGroup(bytes);
  figures_.group_records.Add(records);
  figures_.group_bytes.Add(bytes);
}

void CommitPipeline::SendGroup() {
  flight_.submitted_ns = clock_.MonotonicNs();
  device_->Submit(*flight_.file, flying_.offset(), flying_.Bytes(),
                  Always() ? DurableWriter::Durability::kSynced
                           : DurableWriter::Durability::kUnsynced);
}

// Makes what is written durable.
void CommitPipeline::SubmitSync(File& file) {
  flight_.what = Flying::kSync;
  flight_.covers = written_seq_;
  last_sync_ms_ = NowMs();
  flight_.submitted_ns = clock_.MonotonicNs();
  device_->Submit(file, 0, {}, DurableWriter::Durability::kSynced);
}

bool CommitPipeline::SyncDue() const {
  if (!unsynced_ || supply_.active() == nullptr) return false;
  if (state_.stopping()) return true;
  if (durable_seq_ < wanted_seq_ && wanted_seq_ <= written_seq_) return true;
  return options_.sync == SyncMode::kInterval &&
         NowMs() - last_sync_ms_ >= options_.sync_interval_ms;
}

// Groups of a segment that is sealed are declared by the MANIFEST.
bool CommitPipeline::HasUndeclared() const {
  const LiveSegment* active = supply_.active();
  return options_.sync != SyncMode::kNever && active != nullptr &&
         active->records > 0 && durable_seq_ > declared_seq_;
}

bool CommitPipeline::DeclareDue() const {
  return HasUndeclared() && !state_.stopping() && open_.records() == 0 &&
         open_.End() <= supply_.active()->capacity &&
         NowMs() - last_group_ms_ >= options_.idle_declare_ms;
}

void CommitPipeline::WantDurable() {
  wanted_seq_ = last_seq();
  Pump();
}

void CommitPipeline::Stop() {
  state_.BeginStop();
  stop_by_ms_ = NowMs() + kStopStallMs;
  Pump();
}

// --- And back ---------------------------------------------------------------

bool CommitPipeline::Poll() {
  bool changed = supply_.TakeNews();
  changed |= PollDevice();
  changed |= supply_.TakeAnswers(open_.records() == 0);
  FollowActive();
  if (supply_.retiring() != nullptr && !InFlight() && !unsynced_ &&
      !state_.failure()) {
    PumpRetiring();
  }
  if (state_.stopping()) Pump();
  return changed;
}

bool CommitPipeline::PollDevice() {
  if (!device_->busy()) return false;
  const std::optional<Result<void>> done = device_->Poll();
  if (!done) return false;
  // Durable or not, it is not where anyone would find it.
  if (state_.abandoned()) return true;
  if (*done) {
    FinishFlight();
    if (OpenIsLarge()) Pump();
  } else {
    FailFlight(done->error());
  }
  return true;
}

void CommitPipeline::FinishFlight() {
  const Flying landed = std::exchange(flight_.what, Flying::kNothing);
  stalled_.End();
  CountFlight(landed);
  if (landed == Flying::kSync) {
    ++syncs_;
    unsynced_ = false;
    BecameDurable(flight_.covers);
    return;
  }
  flying_.ShrinkTo(flying_.records() == 0 ? kIdleBufferBytes
                                          : 2 * options_.open_group_bytes_max);
  written_seq_ = flight_.covers;
  if (Always()) {
    ++syncs_;
    BecameDurable(flight_.covers);
  } else {
    unsynced_ = true;
  }
}

void CommitPipeline::CountFlight(Flying what) {
  if (what == Flying::kGroup && !Always()) return;
  const int64_t now_ns = clock_.MonotonicNs();
  const int64_t flush_ns = now_ns - flight_.submitted_ns;
  const uint32_t records = what == Flying::kGroup ? flying_.records() : 0;
  figures_.flush_ns.Add(static_cast<uint64_t>(flush_ns));
  gathering_.Landed(now_ns, flush_ns, records, open_.records());
  if (records > 0) {
    figures_.wait_ns.Add(static_cast<uint64_t>(now_ns - flight_.since_ns));
  }
}

void CommitPipeline::BecameDurable(uint64_t seq) {
  durable_seq_ = std::max(durable_seq_, seq);
  manifest_.BecameDurable(durable_seq_);
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
void CommitPipeline::FailFlight(const Error& error) {
  const bool waits_too_long = state_.stopping() && NowMs() >= stop_by_ms_;
  if (flight_.what == Flying::kSync || IsFinal(error) || waits_too_long) {
    return state_.Fail(error);
  }
  stalled_.Note(error);
  retry_flight_ms_ = NowMs() + kDiskFullRetryMs;
}

void CommitPipeline::Retry(int64_t now_ms) {
  if (stalled_ && !device_->busy() && now_ms >= retry_flight_ms_) SendGroup();
}

void CommitPipeline::PumpIfDue() {
  if (SyncDue() || DeclareDue()) Pump();
}

int64_t CommitPipeline::DueAtMs(int64_t now_ms) const {
  int64_t due = INT64_MAX;
  if (stalled_ && !device_->busy()) {
    due = std::max(retry_flight_ms_, now_ms + 1);
  }
  if (options_.sync == SyncMode::kInterval && unsynced_) {
    due = std::min(due, last_sync_ms_ + options_.sync_interval_ms);
  }
  if (HasUndeclared()) {
    due = std::min(due, last_group_ms_ + options_.idle_declare_ms);
  }
  return due;
}

}  // namespace kvd
