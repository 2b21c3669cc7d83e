// SPDX-License-Identifier: MIT
//
// From words to an executed command.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/commands/table.h"

namespace kvd {

enum class ExecuteOutcome {
  kDone,    // The reply was appended; perhaps an empty one (CLIENT REPLY OFF).
  kParked,  // There is no room in the log now: nothing happened, nothing was
            // appended; execute it again later.
  kReads,   // Values have to be read first, those that `cold` wants: nothing
            // happened, nothing was appended; execute it again then.
  kAwaits,  // There is nothing to reply yet: execute it again when the store
            // has news. Nobody else has to wait behind it.
  kGivesWay,  // It has done a part of its work, and nothing was appended:
              // execute it again when others had their turn.
};

struct Executed {
  ExecuteOutcome outcome;
  Seq seen = 0;                   // The newest change that the reply shows.
  CommandStats* stats = nullptr;  // The command's; null if there is none such.
};

// Executes `args` for `session` and appends the reply to `out`, and to `lent`
// what belongs into it but is not copied; null: all is copied. With
// `queue_writers`, commands that change something are parked unseen: others
// wait for room already and come first. A reply takes limits.output_bytes at
// the most; instead of a larger one there is an error, and no change. Thread:
// loop. `cold` is the connection's: what was read for the command's last try.
Executed Execute(ServerState& service, Session& session,
                 std::span<const std::string_view> args, bool queue_writers,
                 ColdValues* cold, std::string* out,
                 std::vector<LentValue>* lent = nullptr);

}  // namespace kvd
