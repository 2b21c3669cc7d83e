// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>

#include "cli/failure.h"

namespace kvd {

// The longest value that any kvd takes. (The server's own limit may be lower.)
inline constexpr size_t kValueBytesMax = size_t{512} * 1024 * 1024;

// All bytes of a file, or of standard input, exactly. Faults are kLocalIo; more
// than kValueBytesMax is kUsage.
Attempt<std::string> ReadFile(const std::string& path);
Attempt<std::string> ReadStandardInput();

// Whether standard input is a pipe, a socket or a file: then somebody put
// something there. /dev/null, which services and cron jobs have, is none.
bool StandardInputIsStream();

// Whether a person would have to type standard input.
bool StandardInputIsTerminal();

}  // namespace kvd
