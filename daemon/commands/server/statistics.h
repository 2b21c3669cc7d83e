// SPDX-License-Identifier: MIT
//
// The statistics of commands by their names, as INFO and LATENCY show them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "daemon/commands/table.h"
#include "daemon/state/command_stats.h"

namespace kvd {

// A row that was called or refused.
struct UsedRow {
  std::string name;  // "get", "config|get".
  const Command* command;
  CommandStats* stats;  // Settled.
};

// All of them in order of their names; with `name`, in any case, only that
// one, or a container with its subcommands.
std::vector<UsedRow> UsedRows(AllCommandStats& stats);
std::vector<UsedRow> UsedRows(AllCommandStats& stats, std::string_view name);

}  // namespace kvd
