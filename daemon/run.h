// SPDX-License-Identifier: MIT
//
// What kvd's subcommands do.
#pragma once

#include <string>
#include <vector>

#include "daemon/exit_code.h"
#include "daemon/options.h"
#include "daemon/shared_store.h"

namespace kvd {

// Opens the store and serves clients until asked to stop. `remarks` go to the
// log; `open_shared`: SharedStores::open, or null.
ExitCode RunDaemon(const Settings& settings,
                   const std::vector<std::string>& remarks,
                   OpenSharedStore open_shared);

// Reads every byte of a data directory and reports damage on stdout.
ExitCode RunVerify(const std::string& path);

// Makes a data directory out of a full backup and incremental ones on top.
ExitCode RunRestore(const std::vector<std::string>& backups,
                    const std::string& path);

}  // namespace kvd
