// SPDX-License-Identifier: MIT
//
// Backups of a store on a simulated disk, taken as kvctl takes them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "store/backup.h"
#include "store/restore.h"
#include "tests/store/promises/machine.h"

namespace kvd {

// Begins a backup and waits until it is open.
Result<std::unique_ptr<Backup>> OpenBackup(Machine* machine);
// Reads a piece, in as many turns as it takes.
Result<std::string> ReadPiece(Machine* machine, Backup* backup,
                              uint64_t segment, uint64_t offset, size_t bytes);

// The bytes of a whole backup, on top of `base` if there is one. `between` runs
// once it is open and then behind each piece.
Result<std::string> TakeBackup(
    Machine* machine, const std::function<void()>& between = [] {},
    const std::string* base = nullptr);

// Reads backups out of memory, which they outlive not.
Result<BackupChain> OpenChain(const std::vector<std::string>& backups);
// Restores them into the directory of `disk`.
Result<RestoreReport> Restore(SimFileSystem* disk,
                              const std::vector<std::string>& backups);

// The revision that a backup says it has.
uint64_t RevisionOf(const std::string& backup);
// What the store held then.
const Contents& StateAt(const History& history, uint64_t revision);
// What a restored store holds; an Error if it does not open.
Result<Contents> ContentsOf(SimFileSystem* disk);

}  // namespace kvd
