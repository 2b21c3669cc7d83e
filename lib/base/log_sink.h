// SPDX-License-Identifier: MIT
//
// How layers without a logger of their own tell a person what happened.
#pragma once

#include <functional>
#include <string>

namespace kvd {

enum class Severity { kInfo, kWarning, kError };

// Takes one message without a trailing newline. Thread: loop.
using LogSink = std::function<void(Severity, const std::string&)>;

}  // namespace kvd
