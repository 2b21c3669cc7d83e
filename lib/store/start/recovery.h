// SPDX-License-Identifier: MIT
//
// From a data directory to the state in memory, after any kind of stop.
// log/FORMAT.md, "Opening", is the order of its steps; a crash between any two
// of them leaves a directory that recovers to the same state.
#pragma once

#include <cstdint>
#include <functional>

#include "base/error.h"
#include "base/log_sink.h"
#include "fs/file_system.h"
#include "log/format/manifest.h"
#include "store/memory/databases.h"
#include "store/start/recovery_report.h"

namespace kvd {

struct RecoveryOptions {
  int load_threads = 0;  // Beside the calling one.
  // Values that segments without a hint may leave in memory.
  uint64_t value_bytes_max = UINT64_MAX;
  LogSink log = [](Severity, const std::string&) {};
  OnLoadProgress on_progress = [](const LoadProgress&) { return true; };
};

struct Recovered {
  // That of the next epoch: durable, and it names no live segments.
  Manifest manifest;
  // Gives back the space that segments have and that nobody needs any more.
  // Nobody has to wait for it but who needs space; what fails, or is not
  // called, is done by the next start. The directory outlives it. Thread: any.
  std::function<void()> give_space_back;
  RecoveryReport report;
};

// Replays the log into `databases`, which are empty, repairs what a crash left,
// and starts the next epoch. Creates a store in a directory that has none.
// kCorruption and kFormat leave the directory as it was.
Result<Recovered> Recover(Directory& directory, const RecoveryOptions& options,
                          Databases* databases);

}  // namespace kvd
