// SPDX-License-Identifier: MIT
//
// What kvd's subcommands do.
#pragma once

#include <string>

#include "config/config.h"
#include "daemon/exit_code.h"

namespace kvd {

// Opens the store and serves clients until asked to stop.
ExitCode RunDaemon(const Config& config);

// Reads every byte of a data directory and reports damage on stdout.
ExitCode RunVerify(const std::string& path);

}  // namespace kvd
