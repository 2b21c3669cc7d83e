// SPDX-License-Identifier: MIT
//
// What kvctl's exit code tells a script. Part of the command line's contract:
// numbers never change their meaning.
#pragma once

namespace kvctl {

enum class ExitCode {
  kOk = 0,
  kNegative = 1,  // No such key, a condition failed.
  kUsage = 2,
  kUnreachable = 3,  // kvd is not there or not ready; nothing was done.
  kPermission = 4,
  kUnknown = 5,  // No reply: the outcome is unknown.
  kServerError = 6,
  kDamage = 7,    // Stored bytes are not what was written.
  kLocalIo = 74,  // A local file, standard input or output.
  // SIGINT ends kvctl as it ends any program, which a shell calls 130. Verbs
  // that say how to go on return it.
  kInterrupted = 130,
};

}  // namespace kvctl
