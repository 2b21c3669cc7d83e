// SPDX-License-Identifier: MIT
//
// How kvd ends, as systemd and scripts see it. The unit restarts only after
// those that a restart may cure.
#pragma once

#include "base/error.h"

namespace kvd {

enum class ExitCode {
  kStopped = 0,      // As asked.
  kCannotStart = 1,  // Socket, permissions, resources.
  kUsage = 2,        // Arguments or configuration.
  kHeld = 3,         // Another process holds the data directory.
  kDamage = 7,       // Stored bytes are not what was written.
  kFormat = 8,       // The data directory has a format that is not known.
  kDiskFault = 9,    // The disk failed, had no room for a start or a stop, or
                     // the data directory went away.
  kLocalIo = 74,     // Standard output cannot be written.
};

// The code for an error of opening the data directory.
inline ExitCode ExitCodeOf(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kHeld:
      return ExitCode::kHeld;
    case ErrorCode::kCorruption:
      return ExitCode::kDamage;
    case ErrorCode::kFormat:
      return ExitCode::kFormat;
    case ErrorCode::kIo:
    case ErrorCode::kNoSpace:
      return ExitCode::kDiskFault;
    default:
      return ExitCode::kCannotStart;
  }
}

}  // namespace kvd
