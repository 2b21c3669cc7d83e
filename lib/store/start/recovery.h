// SPDX-License-Identifier: MIT
//
// From a data directory to the state in memory, after any kind of stop.
// log/FORMAT.md, "Opening", is the order of its steps; a crash between any two
// of them leaves a directory that recovers to the same state.
#pragma once

#include <functional>

#include "base/error.h"
#include "fs/file_system.h"
#include "log/format/manifest.h"
#include "store/store_impl.h"

namespace kvd {

struct Recovered {
  // That of the next epoch: durable, and it names no live segments.
  Manifest manifest;
  // Gives back the space that segments have and that nobody needs any more.
  // Nobody has to wait for it but who needs space; what fails, or is not
  // called, is done by the next start. The directory outlives it. Thread: any.
  std::function<void()> give_space_back;
};

// Replays the log into `store`, repairs what a crash left, and starts the next
// epoch. Creates a store in a directory that has none. kCorruption and kFormat
// leave the directory as it was.
Result<Recovered> Recover(Directory& directory, Store::Impl* store);

}  // namespace kvd
