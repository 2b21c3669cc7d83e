// SPDX-License-Identifier: MIT
//
// What MONITOR shows of commands. Source of the form: Redis. Thread: loop.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/commands/table.h"

namespace kvd {

// Who runs a command.
enum class By : uint8_t { kClient, kScript };
std::string MonitorLine(const Call& call, const Command& command, By by);
// Shows a command that ran to those that MONITOR, but for those of people who
// look after the daemon, and what is shown already. `seen`: the newest change
// that its reply shows.
void ShowMonitors(Call& call, const Command& command, By by, Seq seen);

}  // namespace kvd
