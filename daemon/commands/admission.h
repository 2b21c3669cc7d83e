// SPDX-License-Identifier: MIT
//
// From a client's words to a row of the table, and whether it runs now.
// Thread: loop.
#pragma once

#include <cstdint>

#include "daemon/commands/table.h"

namespace kvd {

enum class Admission : uint8_t {
  kRun,
  kRejected,       // With an error reply.
  kQueued,         // For EXEC.
  kWaits,          // Behind others.
  kWaitsForBatch,  // Until the open one is decided.
};

struct Admitted {
  Admission admission;
  const CommandRow* row = nullptr;  // Null if the words name none.
};

// With `queue_writers`, commands that change something wait for room unseen.
Admitted Admit(Call& call, bool queue_writers);
// The row for the words of `call` if they are right, for those that run
// commands inside another one (transaction.h); null after an error reply.
const CommandRow* FindRow(Call& call);

}  // namespace kvd
