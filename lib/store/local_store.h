// SPDX-License-Identifier: MIT
//
// The store whose journal is the log of a directory: all its parts, put
// together. A part gets references to those others that it needs.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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
#include "store/log_journal.h"
#include "store/memory/damaged_segments.h"
#include "store/memory/value_cache.h"
#include "store/start/recovery_report.h"
#include "store/store.h"
#include "store/store_core.h"
#include "store/values/value_reader.h"

namespace kvd {

// Thread: as Store.
class LocalStore final : public Store, private ValueSource {
 public:
  // What a start recovered and began goes in. `reads` runs reads of values.
  LocalStore(StoreOptions options, const RecoveryReport& recovery,
             std::unique_ptr<Databases> recovered,
             std::unique_ptr<LogWriter> log, const Maintenance& with,
             Executor& reads);

  const RecoveryReport& recovery() const override { return report_; }
  void Pump() override;
  bool keeps_pace() const override {
    return compactor_.status().running || backups_.keeps_pace();
  }
  bool gathers() const override { return log_->Gathers(); }
  bool Poll() override;
  std::optional<int64_t> Tick() override;
  Seq durable_seq() const override { return log_->durable_seq(); }
  Seq last_seq() const override { return log_->last_seq(); }
  void WantDurable() override { log_->WantDurable(); }
  bool MustWait(Seq seq) const override;
  const std::optional<Error>& failure() const override;
  bool storage_lost() const override { return watch_.lost().has_value(); }
  void Stop() override;
  bool stopped() const override;
  void Read(ColdValues* values, std::function<void()> on_read) override;
  uint64_t Compact() override { return compactor_.Ask(); }
  uint64_t CompactSegments(std::vector<uint64_t> ids) override;
  const CompactionStatus& compaction() const override {
    return compactor_.status();
  }
  const ScrubStatus& scrub() const override { return scrubber_.status(); }
  std::vector<uint64_t> SealedSegments() const override;
  void Tune(const StoreTuning& tuning) override;
  StoreStats Stats() const override;
  const LogFigures& log_figures() const override { return log_->figures(); }
  void ResetLogFigures() override { log_->ResetFigures(); }
  SyncMode sync() const override { return options_.sync; }
  std::string_view write_device() const override;
  std::string_view write_device_why() const override;

 private:
  friend class StoreState;

  // Evicts, for the bound's sake and for writers that wait for memory; true
  // when there is more to do.
  bool TrimValues();

  BackupSource* backups() override { return &backups_; }
  std::optional<Result<std::string>> TryRead(const ColdValue& wanted) override {
    return reader_.TryRead(wanted);
  }
  bool MayKeep(uint64_t value_bytes) const override {
    return cache_.MayKeep(value_bytes);
  }

  // Each part is declared behind those that it refers to.
  const StoreOptions options_;
  const RecoveryReport report_;
  const std::unique_ptr<LogWriter> log_;
  LogJournal journal_;
  StoreCore core_;
  DamagedSegments damaged_;
  ValueCache cache_;
  ValueReader reader_;
  SegmentPins pins_;
  Compactor compactor_;
  Scrubber scrubber_;
  HintWriter hint_writer_;
  BackupSource backups_;
  StorageWatch watch_;
};

}  // namespace kvd
