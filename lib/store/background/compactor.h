// SPDX-License-Identifier: MIT
//
// Background compaction, the loop's side. A run is a series of jobs; a job goes
//
//   measure ─▶ reserve ids ─▶ rewrite ─▶ finish ─▶ wait ─▶ install ─▶ repoint
//                                                                        │
//                            the next job, or the end of the run ◀── retire
//
// The maintenance thread does all that touches files, one step at a time; the
// loop answers between two steps which of a few records are current. These
// rules make it safe at any moment:
//
//  - A put is kept if it is the one that the index points to. A tombstone is
//    kept unless nothing it hides can be left on disk.
//  - What made a record dead must be durable before the result is installed, in
//    every sync mode: a crash could otherwise take the old version and the new.
//  - The MANIFEST exchanges victims for new segments in one durable step.
//  - The index is repointed where the sequence number is still the same, and
//    only then do the victims' files go.
//  - A victim with damage is left alone for good; so is the job's result.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "fs/file_system.h"
#include "store/background/compaction_job.h"
#include "store/background/compaction_plan.h"
#include "store/background/compaction_status.h"
#include "store/background/liveness.h"
#include "store/background/maintenance.h"
#include "store/background/segment_pins.h"
#include "store/memory/cleared_tables.h"
#include "store/memory/damaged_segments.h"
#include "store/memory/databases.h"
#include "store/values/value_reader.h"

namespace kvd {

// How often a disk that is in danger is looked at, and a store under pressure.
inline constexpr int64_t kDangerLookMs = 1000;
// A disk that has no room for so many segments more is in danger.
inline constexpr uint64_t kDangerSegments = 2;

struct CompactorOptions {
  CompactionOptions compaction;
  uint64_t segment_bytes = 0;  // Of a new segment, about.
  bool write_hints = true;     // Of the new segments.
};

// Thread: loop.
class Compactor {
 public:
  // References outlive it.
  Compactor(const Maintenance& with, const CompactorOptions& options,
            Databases& databases, const ClearedTables& cleared,
            DamagedSegments& damaged, ValueReader& reader, SegmentPins& pins);
  Compactor(const Compactor&) = delete;
  Compactor& operator=(const Compactor&) = delete;

  // A run over everything: its number, as Store::Compact() says.
  uint64_t Ask();
  // A run of one job with exactly these segments, for tests of the rules.
  uint64_t AskFor(std::vector<uint64_t> victims);

  // Takes a step's result in and goes on. True when a run ended.
  bool Poll();
  // Goes on when the rate allows, looks for work when the timer says so. In how
  // many ms it wants to be called again.
  std::optional<int64_t> Tick();

  // Gives up what is under way; idle() after some Poll().
  void Stop();
  // The same because of `error`, which all who wait get, and all who ask later.
  // Files stay as they are.
  void Abandon(const Error& error);
  bool idle() const { return !worker_.under_way() && job_ == nullptr; }

  // What is told from now on. If it is news, the next look is an interval
  // away.
  void Tune(const CompactionOptions& options);

  const CompactionStatus& status() const { return status_; }
  // New segments that cannot be read back: the disk has failed.
  const std::optional<Error>& failure() const { return failure_; }
  // What a run over everything would get back.
  uint64_t reclaimable_bytes() const;

 private:
  enum class Phase {
    kIdle,
    kMeasuring,   // A step asks for the free space.
    kReserving,   // The MANIFEST is about to give out ids.
    kRewriting,   // Steps read victims and write what is kept.
    kFinishing,   // A step syncs.
    kWaiting,     // For the durability of what made records dead.
    kInstalling,  // The MANIFEST is about to name the new segments.
    kRepointing,  // Steps read the new segments.
    kParting,     // Until nothing points to the victims any more.
    kRetiring,    // A step removes the victims.
    kGivingUp,    // A step removes the new segments.
  };

  struct Run {
    uint64_t number = 0;
    CompactionMode mode = CompactionMode::kTimer;
    uint64_t ids_below = 0;        // Only segments that were there.
    std::vector<uint64_t> chosen;  // By AskFor(); else empty.
    int64_t started_ms = 0;
    uint64_t reclaimed_bytes = 0;
    std::string error;
  };

  uint64_t Begin(CompactionMode mode, std::vector<uint64_t> chosen);
  void EndRun();
  // The next step or wait, as far as it goes without waiting.
  void Advance();
  void NextJob();
  void StartJob(const std::vector<uint64_t>& victims);
  void EndJob();
  void GiveUp(const Error& error);

  void Measure();
  void StepRewrite();
  // What the loop does with one slice of records, measured.
  void HandleSlice(size_t records, const std::function<void()>& handle);
  void Finish();
  void Install();
  void StepRepoint();
  bool AreBeingRead() const;
  void AdvanceStop();
  std::optional<int64_t> LookForWork();

  // Bytes per second; 0 for no limit.
  double Rate() const;
  std::vector<SegmentFacts> Facts() const;
  PlanRules Rules(CompactionMode mode, uint64_t space_bytes) const;
  bool InDanger();
  // How many times more is dead than lives (or than a job takes, if that is
  // more). From 1 on garbage grows faster than the timer and the rate would get
  // it back: compaction then looks often, and goes so many times as fast.
  double Pressure() const;

  CompactorOptions options_;
  Directory& directory_;
  LogWriter& log_;
  LogSink report_;
  Liveness liveness_;
  SegmentUsage& usage_;
  const ClearedTables& cleared_;
  DamagedSegments& damaged_;
  ValueReader& reader_;
  SegmentPins& pins_;
  bool stopping_ = false;

  Phase phase_ = Phase::kIdle;
  Run run_;
  bool asked_ = false;  // For another run after this one.
  bool run_ended_ = false;
  int64_t look_at_ms_ = 0;
  struct FreeBytes {
    uint64_t measured = 0;     // By the step that measures.
    uint64_t known = 0;        // As far as known; 0 for not.
    uint64_t seen_by_log = 0;  // What the log writer found last.
  } free_bytes_;               // On the disk.

  std::unique_ptr<CompactionJob> job_;
  std::vector<SealedSegment> victims_;
  uint64_t ticket_ = 0;
  // So many tables were cleared before all was repointed: their entries may
  // still count for the victims, those of later ones do not.
  uint64_t tables_before_ = 0;
  bool had_dead_puts_ = false;
  int64_t repoint_at_ms_ = 0;  // After an error that passes.
  Seq seen_seq_ = 0;           // The newest change at the last answer.
  std::vector<Fate> fates_;

  CompactionStatus status_;
  std::optional<Error> failure_;
  // Declared last: its destructor waits for the step under way.
  MaintenanceWorker worker_;
};

}  // namespace kvd
