// SPDX-License-Identifier: MIT
//
// The program kvd, but for what it is linked with.
#pragma once

#include "daemon/shared_store.h"

namespace kvd {

// What main() does. `open_shared` opens stores that are not of this machine;
// null if the program has no such thing.
int RunProgram(int argc, const char* const* argv, OpenSharedStore open_shared);

}  // namespace kvd
