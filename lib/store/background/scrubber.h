// SPDX-License-Identifier: MIT
//
// Reads what nobody reads: every sealed segment, once in a while and slowly, so
// that damage is known before anyone needs the bytes. A round takes the
// segments one after the other; it pauses while compaction runs.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "fs/file_system.h"
#include "log/read/sealed_verifier.h"
#include "store/background/compactor.h"
#include "store/background/maintenance.h"
#include "store/background/scrub_status.h"
#include "store/memory/damaged_segments.h"

namespace kvd {

// Thread: loop.
class Scrubber {
 public:
  // References outlive it. The first round begins one interval from now.
  Scrubber(const Maintenance& with, const ScrubOptions& options,
           DamagedSegments& damaged, const Compactor& compactor);
  Scrubber(const Scrubber&) = delete;
  Scrubber& operator=(const Scrubber&) = delete;

  // Takes a step's result in.
  void Poll();
  // Goes on when it is time. In how many ms it wants to be called again.
  std::optional<int64_t> Tick();

  void Stop() { stopping_ = true; }
  bool idle() const { return !worker_.under_way(); }

  // What is told from now on. If it is news, the next round begins one interval
  // from now.
  void Tune(const ScrubOptions& options);

  const ScrubStatus& status() const { return status_; }

 private:
  void BeginRound(int64_t now_ms);
  void EndRound();
  bool NextSegment();
  void Interrupt();
  void Step();
  void TakeResult(const Result<void>& result);
  void NoteFailure(const Error& error);
  bool IsSealed(uint64_t id) const;
  // Bytes per second; 0 for no limit.
  double Rate() const;

  ScrubOptions options_;
  Directory& directory_;
  const LogWriter& log_;
  LogSink report_;
  DamagedSegments& damaged_;
  const Compactor& compactor_;
  bool stopping_ = false;

  std::vector<SealedSegment> to_read_;  // In this round, the next one last.
  std::unique_ptr<SealedVerifier> verifier_;
  int64_t next_round_ms_ = 0;
  ScrubStatus status_;
  // Declared last: its destructor waits for the step under way.
  MaintenanceWorker worker_;
};

}  // namespace kvd
