// SPDX-License-Identifier: MIT
//
// The program kvd, but for what it is linked with.
#pragma once

#include "daemon/shared_store.h"

namespace kvd {

// What main() does. `shared`: the stores that are not of this machine, which it
// outlives; null if the program has no such thing.
int RunProgram(int argc, const char* const* argv, const SharedStores* shared);

}  // namespace kvd
