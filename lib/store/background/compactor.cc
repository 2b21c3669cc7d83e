// SPDX-License-Identifier: MIT
#include "store/background/compactor.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/planted_bug.h"
#include "log/format/advice.h"

namespace kvd {
namespace {

constexpr int64_t kNextSliceMs = 1;

uint64_t BytesOf(const std::vector<SealedSegment>& segments) {
  uint64_t bytes = 0;
  for (const SealedSegment& segment : segments) bytes += segment.bytes;
  return bytes;
}

bool Contains(const std::vector<uint64_t>& ids, uint64_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

Compactor::Compactor(const Maintenance& with, const CompactorOptions& options,
                     Databases& databases, const ClearedTables& cleared,
                     DamagedSegments& damaged, ValueReader& reader,
                     SegmentPins& pins)
    : options_(options),
      directory_(with.directory),
      log_(with.log),
      report_(with.report),
      liveness_(databases),
      usage_(databases.usage()),
      cleared_(cleared),
      damaged_(damaged),
      reader_(reader),
      pins_(pins),
      worker_(with) {
  look_at_ms_ = worker_.NowMs() + options_.compaction.interval_ms;
}

// --- Runs -------------------------------------------------------------------

uint64_t Compactor::Ask() {
  if (phase_ != Phase::kIdle) {
    asked_ = true;
    return run_.number + 1;
  }
  return Begin(CompactionMode::kAsked, {});
}

uint64_t Compactor::AskFor(std::vector<uint64_t> victims) {
  if (phase_ != Phase::kIdle || victims.empty()) return status_.runs_ended;
  return Begin(CompactionMode::kAsked, std::move(victims));
}

uint64_t Compactor::Begin(CompactionMode mode, std::vector<uint64_t> chosen) {
  const uint64_t number = run_.number + 1;
  run_ = {};
  run_.number = number;
  run_.mode = mode;
  run_.ids_below = log_.manifest().next_segment;
  run_.chosen = std::move(chosen);
  run_.started_ms = worker_.NowMs();
  status_.running = true;
  status_.bytes_done = 0;
  status_.bytes_all = 0;
  for (const SegmentFacts& segment : Facts()) {
    if (!segment.excluded && segment.gain_bytes > 0) {
      status_.bytes_all += segment.bytes;
    }
  }
  if (stopping_ || log_.failure()) {
    if (log_.failure()) run_.error = log_.failure()->message();
    EndRun();
  } else {
    Measure();
  }
  return number;
}

void Compactor::EndRun() {
  phase_ = Phase::kIdle;
  run_ended_ = true;
  status_.running = false;
  status_.runs_ended = run_.number;
  status_.last_reclaimed_bytes = run_.reclaimed_bytes;
  status_.last_took_ms = worker_.NowMs() - run_.started_ms;
  status_.last_ended_ms = worker_.clock().WallMs();
  status_.last_error = run_.error;
  if (run_.reclaimed_bytes > 0) {
    report_(Severity::kInfo,
            fmt::format("compaction reclaimed {} bytes in {} ms",
                        run_.reclaimed_bytes, status_.last_took_ms));
  }
  look_at_ms_ = worker_.NowMs() +
                (InDanger() ? kDangerLookMs : options_.compaction.interval_ms);
  if (std::exchange(asked_, false) && !stopping_) {
    Begin(CompactionMode::kAsked, {});
  }
}

std::vector<SegmentFacts> Compactor::Facts() const {
  std::vector<SegmentFacts> facts;
  for (const SealedSegment& segment : log_.manifest().sealed) {
    const SegmentUse use = usage_.Find(static_cast<uint32_t>(segment.id));
    SegmentFacts fact;
    fact.id = segment.id;
    fact.bytes = segment.bytes;
    fact.live_bytes = use.live_bytes;
    fact.gain_bytes = use.dead_bytes - use.pinned_bytes;
    fact.first_seq = segment.first_seq;
    fact.last_seq = segment.last_seq;
    fact.excluded =
        segment.id >= run_.ids_below || damaged_.Contains(segment.id) ||
        (!run_.chosen.empty() && !Contains(run_.chosen, segment.id));
    facts.push_back(fact);
  }
  return facts;
}

uint64_t Compactor::reclaimable_bytes() const {
  uint64_t bytes = 0;
  for (const SealedSegment& segment : log_.manifest().sealed) {
    const SegmentUse use = usage_.Find(static_cast<uint32_t>(segment.id));
    if (!damaged_.Contains(segment.id)) {
      bytes += use.dead_bytes - use.pinned_bytes;
    }
  }
  return bytes;
}

double Compactor::Pressure() const {
  const uint64_t measure =
      std::max(usage_.live_bytes(), kSegmentsPerJob * options_.segment_bytes);
  return static_cast<double>(usage_.dead_bytes()) /
         static_cast<double>(measure);
}

bool Compactor::InDanger() {
  // Whoever looked last knows best.
  if (log_.free_disk_bytes() != free_bytes_.seen_by_log) {
    free_bytes_.known = free_bytes_.seen_by_log = log_.free_disk_bytes();
  }
  return log_.disk_full() ||
         (free_bytes_.known != 0 &&
          free_bytes_.known < kDangerSegments * options_.segment_bytes);
}

// --- One job after the other ------------------------------------------------

bool Compactor::Poll() {
  worker_.Poll();
  if (stopping_) {
    AdvanceStop();
  } else {
    Advance();
  }
  return std::exchange(run_ended_, false);
}

void Compactor::Advance() {
  while (!worker_.under_way() && !failure_ && !log_.failure() && !stopping_) {
    switch (phase_) {
      case Phase::kReserving:
        if (!log_.InManifest(ticket_) &&
            !IsPlanted(PlantedBug::kUnnamedOutputIds)) {
          return;
        }
        phase_ = Phase::kRewriting;
        break;
      case Phase::kRewriting:
        if (worker_.WaitMs(Rate()) > 0) return;
        StepRewrite();
        return;
      case Phase::kWaiting:
        if (log_.durable_seq() < seen_seq_ &&
            !IsPlanted(PlantedBug::kInstallBeforeDurable)) {
          log_.Pump();
          return;
        }
        Install();
        break;
      case Phase::kInstalling:
        if (!log_.InManifest(ticket_)) return;
        phase_ = Phase::kRepointing;
        break;
      case Phase::kRepointing:
        if (worker_.NowMs() < repoint_at_ms_) return;
        if (!job_->reread_all()) return StepRepoint();
        tables_before_ = cleared_.cleared();
        phase_ = Phase::kParting;
        break;
      case Phase::kParting:
        if (cleared_.freed() < tables_before_) return;
        if (AreBeingRead()) return;
        EndJob();
        return;
      case Phase::kIdle:
      case Phase::kMeasuring:
      case Phase::kFinishing:
      case Phase::kRetiring:
      case Phase::kGivingUp:
        return;
    }
  }
}

void Compactor::Measure() {
  phase_ = Phase::kMeasuring;
  worker_.Step(
      [this]() -> Result<void> {
        // Not knowing is no reason not to try.
        free_bytes_.measured = directory_.FreeBytes().value_or(UINT64_MAX);
        return {};
      },
      [this](const Result<void>&) {
        if (!stopping_) NextJob();
      });
}

PlanRules Compactor::Rules(CompactionMode mode, uint64_t space_bytes) const {
  PlanRules rules;
  rules.mode = mode;
  rules.min_dead_ratio = options_.compaction.min_dead_ratio;
  rules.segment_bytes = options_.segment_bytes;
  rules.history_bytes = options_.compaction.history_bytes;
  rules.space_bytes = space_bytes;
  return rules;
}

void Compactor::NextJob() {
  const uint64_t free_bytes = free_bytes_.known = free_bytes_.measured;
  // Ordinary segments leave more free than this.
  const uint64_t space_bytes =
      free_bytes - std::min(free_bytes, kManifestReserveBytes);
  std::vector<uint64_t> victims =
      ChooseVictims(Facts(), Rules(run_.mode, space_bytes));
  if (!run_.chosen.empty()) {
    victims = std::exchange(run_.chosen, {});
    std::erase_if(victims,
                  [this](uint64_t id) { return damaged_.Contains(id); });
    // No second job.
    run_.ids_below = 0;
  }
  if (!victims.empty()) return StartJob(victims);
  if (!ChooseVictims(Facts(), Rules(run_.mode, UINT64_MAX)).empty()) {
    run_.error = fmt::format(
        "{}: {} bytes are free, too few to write even one segment anew",
        directory_.path(), free_bytes);
  }
  EndRun();
}

void Compactor::StartJob(const std::vector<uint64_t>& victims) {
  victims_.clear();
  Seq hiding_from_seq = UINT64_MAX;
  had_dead_puts_ = false;
  CompactionOrder order;
  for (const SealedSegment& segment : log_.manifest().sealed) {
    const bool dead_puts =
        usage_.Find(static_cast<uint32_t>(segment.id)).dead_puts > 0;
    if (Contains(victims, segment.id)) {
      victims_.push_back(segment);
      had_dead_puts_ |= dead_puts;
    } else if (dead_puts) {
      hiding_from_seq = std::min(hiding_from_seq, segment.first_seq);
      order.hiding_places.push_back(segment);
    }
  }
  if (victims_.empty()) return EndRun();
  order.uuid = log_.manifest().uuid;
  order.epoch = log_.manifest().epoch;
  order.victims = victims_;
  order.segment_bytes = options_.segment_bytes;
  // A hint is no larger than its segment, and worth less than the job.
  order.write_hints =
      options_.write_hints &&
      free_bytes_.known >= kManifestReserveBytes + 2 * BytesOf(victims_) +
                               kDangerSegments * options_.segment_bytes;
  // Of two new segments in a row, one is at least half full.
  order.outputs_max = 4 * BytesOf(victims_) / options_.segment_bytes + 2;
  ticket_ = log_.ReserveSegmentIds(order.outputs_max, &order.first_output_id);
  order.head = log_.HeadBehind(victims_);
  order.head.job = static_cast<uint32_t>(order.first_output_id);
  job_ = std::make_unique<CompactionJob>(directory_, std::move(order));
  liveness_.Begin(hiding_from_seq);
  seen_seq_ = 0;
  fates_.clear();
  worker_.BeginPace();
  phase_ = Phase::kReserving;
}

double Compactor::Rate() const {
  if (run_.mode == CompactionMode::kDanger) return 0;
  return static_cast<double>(options_.compaction.rate_bytes_per_s) *
         std::max(Pressure(), 1.0);
}

// --- Which records stay -----------------------------------------------------

void Compactor::StepRewrite() {
  worker_.Step(
      [job = job_.get(), fates = std::move(fates_)]() -> Result<void> {
        if (!fates.empty()) KVD_TRY(job->Write(fates));
        return job->ReadVictims();
      },
      [this](const Result<void>& done) {
        fates_.clear();
        if (stopping_) return;
        if (!done) return GiveUp(done.error());
        worker_.CountBytes(job_->bytes_read());
        status_.bytes_done += job_->bytes_read();
        HandleSlice(job_->records().size(),
                    [this] { liveness_.Judge(job_->records(), &fates_); });
        if (!job_->records().empty()) seen_seq_ = log_.last_seq();
        if (job_->read_all()) Finish();
      });
}

void Compactor::HandleSlice(size_t records,
                            const std::function<void()>& handle) {
  const int64_t start_us = worker_.clock().MonotonicUs();
  handle();
  status_.largest_slice = std::max<uint64_t>(status_.largest_slice, records);
  status_.longest_slice_us = std::max(status_.longest_slice_us,
                                      worker_.clock().MonotonicUs() - start_us);
}

void Compactor::Finish() {
  phase_ = Phase::kFinishing;
  worker_.Step([job = job_.get()] { return job->Finish(); },
               [this](const Result<void>& done) {
                 if (stopping_) return;
                 if (!done) return GiveUp(done.error());
                 phase_ = Phase::kWaiting;
                 log_.WantDurable();
               });
}

// --- Exchanging the files ---------------------------------------------------

void Compactor::Install() {
  if (IsPlanted(PlantedBug::kRetireBeforeManifest)) job_->RemoveVictims({});
  reader_.NoteLeaving(victims_);
  ticket_ = log_.ReplaceSealed(victims_, job_->outputs());
  phase_ = Phase::kInstalling;
}

void Compactor::StepRepoint() {
  worker_.Step([job = job_.get()] { return job->ReadOutputs(); },
               [this](const Result<void>& done) {
                 if (stopping_) return;
                 if (!done && !IsFinal(done.error())) {
                   // The index has to follow the files: later, then.
                   repoint_at_ms_ = worker_.NowMs() + kDiskFullRetryMs;
                   report_(Severity::kWarning,
                           "compaction waits, nothing is lost: " +
                               done.error().message());
                 } else if (!done) {
                   failure_ = done.error();
                 } else {
                   HandleSlice(job_->moved().size(),
                               [this] { liveness_.Repoint(*job_); });
                 }
               });
}

// Whether somebody reads a value of a victim; no new read begins there.
bool Compactor::AreBeingRead() const {
  if (IsPlanted(PlantedBug::kRetireUnderRead)) return false;
  return std::any_of(
      victims_.begin(), victims_.end(), [this](const SealedSegment& victim) {
        return reader_.IsReading(static_cast<uint32_t>(victim.id));
      });
}

void Compactor::EndJob() {
  std::vector<uint32_t> fresh;
  for (const SealedSegment& output : job_->outputs()) {
    fresh.push_back(static_cast<uint32_t>(output.id));
  }
  for (const SealedSegment& victim : victims_) {
    usage_.Forget(static_cast<uint32_t>(victim.id));
    reader_.Close(static_cast<uint32_t>(victim.id));
  }
  // With fewer dead puts on disk, tombstones elsewhere may go.
  if (had_dead_puts_) usage_.UnpinAllBut(fresh);
  const uint64_t before = BytesOf(victims_);
  const uint64_t after = BytesOf(job_->outputs());
  const uint64_t gained = before - std::min(before, after);
  run_.reclaimed_bytes += gained;
  status_.reclaimed_bytes += gained;
  phase_ = Phase::kRetiring;
  worker_.Step(
      [job = job_.get(), kept = pins_.Keep(victims_)]() -> Result<void> {
        job->RemoveVictims(kept);
        return {};
      },
      [this](const Result<void>&) {
        job_.reset();
        if (!stopping_) Measure();
      });
}

void Compactor::GiveUp(const Error& error) {
  const bool damaged =
      job_->victim_failed() &&
      damaged_.Judge(job_->damaged(), error) == ReadFault::kDamage;
  if (damaged) {
    report_(Severity::kError,
            "damage found by compaction, which leaves this segment alone: " +
                error.message() + "\n" + DamageAdvice(directory_.path()));
  } else {
    run_.error = error.message();
    report_(Severity::kWarning,
            "compaction gave up, nothing is lost: " + error.message());
  }
  ++status_.errors;
  phase_ = Phase::kGivingUp;
  worker_.Step(
      [job = job_.get()]() -> Result<void> {
        job->RemoveOutputs();
        return {};
      },
      [this, damaged](const Result<void>&) {
        job_.reset();
        if (stopping_) return;
        if (damaged) return Measure();
        EndRun();
      });
}

// --- Time -------------------------------------------------------------------

std::optional<int64_t> Compactor::Tick() {
  if (failure_ || log_.failure() || stopping_) return std::nullopt;
  Advance();
  if (phase_ == Phase::kIdle) return LookForWork();
  if (worker_.under_way()) return std::nullopt;
  if (phase_ == Phase::kRewriting) {
    return std::max(worker_.WaitMs(Rate()), kNextSliceMs);
  }
  if (phase_ == Phase::kRepointing) {
    return std::max<int64_t>(repoint_at_ms_ - worker_.NowMs(), kNextSliceMs);
  }
  if (phase_ == Phase::kParting) {
    return kNextSliceMs;
  }
  return std::nullopt;
}

void Compactor::Tune(const CompactionOptions& options) {
  if (options == options_.compaction) return;
  options_.compaction = options;
  look_at_ms_ = worker_.NowMs() + options.interval_ms;
}

std::optional<int64_t> Compactor::LookForWork() {
  const int64_t interval_ms = options_.compaction.interval_ms;
  if (interval_ms == 0) return std::nullopt;
  const int64_t now = worker_.NowMs();
  const bool danger = InDanger();
  if (danger || Pressure() >= 1) {
    look_at_ms_ = std::min(look_at_ms_, now + kDangerLookMs);
  }
  if (now < look_at_ms_) return look_at_ms_ - now;
  look_at_ms_ = now + (danger ? kDangerLookMs : interval_ms);
  const CompactionMode mode =
      danger ? CompactionMode::kDanger : CompactionMode::kTimer;
  run_.ids_below = UINT64_MAX;
  if (!ChooseVictims(Facts(), Rules(mode, UINT64_MAX)).empty()) Begin(mode, {});
  return look_at_ms_ - now;
}

// --- The end ----------------------------------------------------------------

void Compactor::Stop() {
  stopping_ = true;
  AdvanceStop();
}

void Compactor::Abandon(const Error& error) {
  stopping_ = true;
  if (!status_.running) return;
  const bool asked = asked_;
  run_.error = error.message();
  EndRun();
  if (asked) Begin(CompactionMode::kAsked, {});  // Which ends as well.
}

void Compactor::AdvanceStop() {
  if (worker_.under_way() || job_ == nullptr) return;
  const bool installed = phase_ == Phase::kInstalling ||
                         phase_ == Phase::kRepointing ||
                         phase_ == Phase::kParting;
  if (installed || log_.failure()) {
    // The next start removes the victims.
    job_.reset();
    return;
  }
  worker_.Step(
      [job = job_.get()]() -> Result<void> {
        job->RemoveOutputs();
        return {};
      },
      [this](const Result<void>&) { job_.reset(); });
}

}  // namespace kvd
