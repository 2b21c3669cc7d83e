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

struct Executed {
  // kNothing: the reply was appended, perhaps an empty one (CLIENT REPLY OFF).
  // Else nothing was; execute it again then.
  WaitsFor waits_for = WaitsFor::kNothing;
  Seq seen = 0;                   // The newest change that the reply shows.
  CommandStats* stats = nullptr;  // The command's; null if there is none such.
  // Its reply waits for the store's open batch, and it runs again if that is
  // refused.
  bool in_batch = false;
};

// Executes `args` for `session` and appends the reply to `out`, and to `lent`
// the large values of the reply, uncopied; if that is null, all is copied. With
// `queue_writers`, commands that change something wait for room unseen: others
// do so already and come first. A reply takes limits.output_bytes at
// the most; instead of a larger one there is an error, and no change. Thread:
// loop. `cold` is the connection's: what was read for the command's last try.
// `hashed` is a word of `args` with its hash, if that is known.
Executed Execute(ServerState& service, Session& session,
                 std::span<const std::string_view> args, bool queue_writers,
                 ColdValues* cold, std::string* out,
                 std::vector<LentValue>* lent = nullptr, HashedKey hashed = {});

}  // namespace kvd
