// SPDX-License-Identifier: MIT
//
// The page of all commands, made of the table of commands.
#pragma once

#include <string>

namespace kvd {

// What daemon/commands/COMMANDS.md must say.
std::string CommandPage();

}  // namespace kvd
