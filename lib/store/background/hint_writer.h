// SPDX-License-Identifier: MIT
//
// Gives every sealed segment a hint that has none: those that the log sealed,
// and what an earlier run or a full disk left without. The maintenance thread
// reads and writes, one step at a time and within the rate of compaction; the
// loop decides what comes next. It waits while a compaction runs, which may
// take away what it reads, and while the log fills one segment after the other:
// a burst of writes has better use for the processors.
//
// Hints are derived data: whatever goes wrong is a line in the log, and the
// segment has no hint until the next start; on a disk without room, until there
// is a reason to look again.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "fs/file_system.h"
#include "log/format/hint.h"
#include "log/format/manifest.h"
#include "log/read/sealed_cursor.h"
#include "store/background/compactor.h"
#include "store/background/maintenance.h"

namespace kvd {

// So many segments may wait for their hints until the log pauses. After a kill
// the start scans them: 512 MiB by default.
inline constexpr size_t kHintsBehindMax = 8;
// How long a stop goes on writing hints.
inline constexpr int64_t kHintsAtStopMs = 2000;

struct HintOptions {
  bool write = true;  // Else it does nothing.
  // How long the log has to go without sealing a segment before hints are
  // written, unless kHintsBehindMax segments have none.
  int64_t delay_ms = 2000;
  uint64_t rate_bytes_per_s = 0;  // 0: no limit.
  uint64_t segment_bytes = 0;     // Of a new segment, about.
};

// Thread: loop. Memory: some megabytes to read with (SealedCursor), whatever
// the segment's size, and what its hint takes until it is there (HintBuilder).
class HintWriter {
 public:
  // References outlive it.
  HintWriter(const Maintenance& with, const HintOptions& options,
             const Compactor& compactor);
  HintWriter(const HintWriter&) = delete;
  HintWriter& operator=(const HintWriter&) = delete;

  // Takes a step's result in and goes on.
  void Poll();
  // Goes on when the rate allows. In how many ms it wants to be called again.
  std::optional<int64_t> Tick();

  // What is missing is written now, so that the next start need not scan it,
  // also of the segment that the log seals last; whatever takes longer than
  // kHintsAtStopMs is left out. idle() after some Poll().
  void Stop();
  bool idle() const;

 private:
  // One hint in the making. Thread: maintenance while a step runs, else loop.
  struct Making {
    Directory& directory;
    StoreUuid uuid;
    SealedSegment segment;
    SealedCursor cursor;
    HintBuilder builder;
    bool written = false;
  };
  // How many segments are sealed, and the next id: changes with the sealed
  // segments, as seen between two compactions.
  using Seen = std::pair<size_t, uint64_t>;

  bool MayWork() const;
  // In how many ms the next hint is begun, if no segment is sealed until then.
  int64_t DelayMs() const;
  bool IsLate() const;
  bool HasRoom() const;
  // The next step, unless one is under way or something else comes first.
  void Advance();
  Seen Now() const;
  void Look();
  void TakeMissing(const std::vector<uint64_t>& with_hint);
  void StartNext();
  void StepMaking();
  void GiveUp(const Error& error);
  void Drop();
  static Result<void> Make(Making* making);
  // Bytes per second; 0 for no limit.
  double Rate() const;

  const HintOptions options_;
  Directory& directory_;
  const LogWriter& log_;
  LogSink report_;
  const Compactor& compactor_;
  bool stopping_ = false;
  int64_t stop_by_ms_ = 0;

  std::optional<Seen> seen_;  // At the last look.
  int64_t looked_ms_ = 0;
  std::vector<uint64_t> listed_;   // By the step that looks.
  std::vector<uint64_t> missing_;  // Ids of segments, the next one last.
  std::set<uint64_t> given_up_;    // Tried in vain.
  std::unique_ptr<Making> making_;
  // Declared last: its destructor waits for the step under way.
  MaintenanceWorker worker_;
};

}  // namespace kvd
