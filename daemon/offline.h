// SPDX-License-Identifier: MIT
//
// Commands about a data directory that no daemon serves, or, with inspect,
// whether one does or not.
#pragma once

#include "daemon/exit_code.h"
#include "daemon/options.h"

namespace kvd {

// Shows what stands in options.directory, which may be one of its files.
ExitCode RunInspect(const Options& options);
// Makes a new store of what can be read of a damaged one; kDamage when
// something was lost.
ExitCode RunSalvage(const Options& options);

}  // namespace kvd
