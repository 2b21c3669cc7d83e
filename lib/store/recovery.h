// SPDX-License-Identifier: MIT
//
// From a data directory to the state in memory, after any kind of stop.
// log/FORMAT.md, "Opening", is the order of its steps; a crash between any two
// of them leaves a directory that recovers to the same state.
#pragma once

#include "base/error.h"
#include "fs/file_system.h"
#include "log/manifest.h"
#include "store/store_impl.h"

namespace kvd {

// Replays the log into `store`, repairs what a crash left, and starts the next
// epoch. Returns its MANIFEST, which is durable and names no live segments.
// Creates a store in a directory that has none. kCorruption and kFormat leave
// the directory as it was.
Result<Manifest> Recover(Directory& directory, Store::Impl* store);

}  // namespace kvd
