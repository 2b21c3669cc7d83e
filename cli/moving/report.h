// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>

#include "cli/exit_code.h"
#include "cli/moving/extra_keys.h"
#include "cli/moving/move.h"
#include "cli/moving/verify.h"
#include "cli/servers/other_types.h"
#include "cli/servers/server_sink.h"
#include "cli/session.h"

namespace kvctl {

// What became of records that went to a server.
struct ServerReport {
  const char* done_word;
  Moved moved;
  Existing existing;
  int64_t existing_count;
  const OtherTypes& others;
  std::optional<Verified> verified;
  // Where nothing else should be in the target, or may be.
  std::optional<ExtraKeys> extra = {};
  bool extra_may_be = false;
  std::string target = {};  // Names it.
};

// Prints it, and says whether all went over: else the exit code is kNegative.
// Keys of other types are no matter when they are listed in a file.
ExitCode PrintReport(Session& session, const ServerReport& report);

}  // namespace kvctl
