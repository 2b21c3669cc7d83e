// SPDX-License-Identifier: MIT
//
// How far an import or export is, kept in a file so that the same command can
// go on after it was interrupted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/failure.h"

namespace kvctl {

struct Checkpoint {
  // Names the command by what must be the same when it goes on.
  std::string task;
  int64_t records = 0;
  int64_t bytes = 0;  // Of keys and values.

  // A dump that is read: its bytes so far, uncompressed, and their checksum.
  int64_t input_bytes = 0;
  int64_t input_checksum = 0;

  // A server whose keys are listed: cursors belong to one life of it.
  std::string run_id = {};
  int64_t database = 0;
  std::string cursor = {};

  // A dump that is written: the size of the file.
  int64_t output_bytes = 0;
};

// Nothing when there is no such file. What is no checkpoint is a usage fault.
Attempt<std::optional<Checkpoint>> LoadCheckpoint(const std::string& path);
// Replaces the file: it is whole at any moment.
Attempt<void> SaveCheckpoint(const std::string& path,
                             const Checkpoint& checkpoint);
Attempt<void> RemoveCheckpoint(const std::string& path);

}  // namespace kvctl
