// SPDX-License-Identifier: MIT
//
// A backup, the store's side: the segments and the MANIFEST of one moment, read
// piece by piece as fast as somebody takes them.
//
//   settling ──▶ syncing ──▶ open ──▶ ended
//
// Settling waits until all that was executed before is on its way to the disk.
// Then the MANIFEST of that moment is taken and its segments are pinned, in one
// step of the loop: compaction drops what a later change made dead, so a list
// of segments that is older or newer than the log's end would be of no revision
// at all. The active segment is read up to the end that it had then: nothing
// has to be rolled, so that a backup costs no segment and works on a full disk.
// When that end is durable, the backup is open.
//
// It ends when the reader says so or goes, when that takes nothing for a while,
// and when the files that it alone keeps are missed on a nearly full disk.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "fs/file_system.h"
#include "log/format/manifest.h"
#include "store/background/maintenance.h"
#include "store/background/segment_pins.h"

namespace kvd {

struct BackupSourceOptions {
  int64_t stall_timeout_ms = 60'000;
  uint64_t rate_bytes_per_s = 64 << 20;  // 0: no limit.
  uint64_t segment_bytes = 0;            // Of a new segment, about.
};

// One backup at a time. Thread: loop.
class BackupSource {
 public:
  // `reads` does the reading. References outlive it.
  BackupSource(const Maintenance& with, Executor& reads,
               const BackupSourceOptions& options, SegmentPins& pins);
  BackupSource(const BackupSource&) = delete;
  BackupSource& operator=(const BackupSource&) = delete;

  // Begins one and returns its number; kHeld while another one is under way.
  Result<uint64_t> Begin();
  // Of the backup `number`: an Error once it has ended, and why.
  Result<void> Check(uint64_t number) const;
  // The MANIFEST that is backed up; null before it is open.
  const Manifest* manifest();
  // `bytes` of a segment from `offset` on, fewer at its end; nothing while they
  // are being read, until some Poll() says true. kInvalid, which ends nothing,
  // when there is no such place.
  Result<std::optional<std::string>> Read(uint64_t segment, uint64_t offset,
                                          size_t bytes);
  // It ends: `done` if its reader has all, else that is gone.
  void End(bool done);

  // Takes a step's result in. True when there is something new.
  bool Poll();
  // In how many ms it wants to be called again.
  std::optional<int64_t> Tick();

  void Stop();
  bool idle() const { return !worker_.under_way() && !wants_cleanup_; }
  void Tune(int64_t stall_timeout_ms, uint64_t rate_bytes_per_s) {
    options_.stall_timeout_ms = stall_timeout_ms;
    options_.rate_bytes_per_s = rate_bytes_per_s;
  }
  // A piece waits for the rate: Tick() wants to be called soon.
  bool keeps_pace() const { return next_.has_value(); }

 private:
  enum class Phase { kNone, kSettling, kSyncing, kOpen };

  struct Range {
    uint64_t segment = 0;
    uint64_t offset = 0;
    uint64_t bytes = 0;

    bool operator==(const Range&) const = default;
  };

  void Advance();
  void Take();
  void Open();
  void ReadNext(const Range& range);
  void StartReadIfDue();
  int64_t WaitMs() const;
  Result<void> ReadRange(const Range& range);
  void ReadAhead(const Range& range);
  bool DiskMissesKept() const;
  void Abort(Error error);
  void Leave();
  void CleanUp();

  Directory& directory_;
  LogWriter& log_;
  LogSink report_;
  Wake wake_;
  BackupSourceOptions options_;
  SegmentPins& pins_;
  bool stopping_ = false;

  Phase phase_ = Phase::kNone;
  uint64_t number_ = 0;         // Of the newest backup.
  std::optional<Error> error_;  // Why that ended.
  int64_t begun_ms_ = 0;
  uint64_t before_seq_ = 0;  // Everything up to it was executed before.
  Manifest manifest_;
  std::map<uint64_t, uint64_t> lengths_;  // By segment.
  uint64_t bytes_given_ = 0;
  int64_t given_ms_ = 0;       // When the reader got something last.
  bool reader_waits_ = false;  // For a range that is not there yet.
  bool has_news_ = false;

  std::optional<Range> next_;   // To be read when the rate allows it.
  std::optional<Range> ready_;  // What buffer_ holds.
  bool wants_cleanup_ = false;
  std::vector<uint64_t> garbage_;
  // Of the step under way, else the loop's.
  std::string buffer_;
  std::unique_ptr<File> file_;
  uint64_t file_segment_ = 0;
  uint64_t free_bytes_ = UINT64_MAX;  // On the disk, as of the last read.
  // Declared last: its destructor waits for the step under way.
  MaintenanceWorker worker_;
};

}  // namespace kvd
