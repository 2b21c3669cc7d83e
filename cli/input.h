// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "cli/failure.h"

namespace kvctl {

// All bytes of a file, or of standard input, exactly. Faults are kLocalIo; more
// than kValueBytesMax, which no kvd takes, is kUsage.
Attempt<std::string> ReadFile(const std::string& path);
Attempt<std::string> ReadStandardInput();

// Whether standard input is a pipe, a socket or a file: then it was given on
// purpose. /dev/null, which services and cron jobs get, is none of these.
bool StandardInputIsStream();

// Whether a person would have to type standard input.
bool StandardInputIsTerminal();

}  // namespace kvctl
