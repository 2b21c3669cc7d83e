// SPDX-License-Identifier: MIT
//
// Makes a data directory out of backups. Offline: the caller holds the lock.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "backup/backup_reader.h"
#include "base/error.h"
#include "fs/file_system.h"

namespace kvd {

// How far the revisions of a restored store are above those of the backup: more
// than the source can have given out since, a million a second for twelve days.
inline constexpr uint64_t kRestoredRevisionsAbove = uint64_t{1} << 40;
// The same for epochs, so that no segment of the one passes for the other's.
inline constexpr uint64_t kRestoredEpochsAbove = uint64_t{1} << 20;

struct RestoreReport {
  uint64_t revision = 0;  // That was restored …
  uint64_t floor = 0;     // … and what all later ones are above.
  uint64_t segments = 0;
  uint64_t bytes = 0;
  uint64_t records = 0;
};

// Of bytes of backups that were read.
using RestoreProgress = std::function<void(uint64_t done, uint64_t all)>;

// A full backup and the incremental ones on top of it, oldest first, each open
// and not read any further.
using BackupChain = std::vector<std::unique_ptr<BackupReader>>;

// Whether they are a chain and complete, as far as their fronts tell.
Result<void> CheckBackups(const BackupChain& chain);

// Reads and verifies all of the chain, also what a later one replaces, and then
// what stands in `directory`. That is empty before, or has what an unfinished
// restore left (kExists otherwise, and nothing is touched). Before this has
// succeeded, and after an error, no kvd starts on it.
Result<RestoreReport> RestoreBackups(Directory& directory,
                                     const BackupChain& chain,
                                     const RestoreProgress& progress);

}  // namespace kvd
