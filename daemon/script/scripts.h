// SPDX-License-Identifier: MIT
//
// All that the daemon has of scripts.
#pragma once

#include "daemon/script/interpreter.h"
#include "daemon/script/script_cache.h"

namespace kvd {

// Thread: loop.
struct Scripts {
  ScriptCache cache;
  Interpreter interpreter;
};

}  // namespace kvd
