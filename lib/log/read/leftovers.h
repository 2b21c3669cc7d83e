// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "fs/file_system.h"
#include "log/format/manifest.h"

namespace kvd {

// Names of our own patterns that the manifest does not know and that may be
// removed: left-overs of a crash. kCorruption when one of them shows that the
// MANIFEST is older than the log, or is not ours.
Result<std::vector<std::string>> FindLeftovers(Directory& directory,
                                               const Manifest& manifest);

// True when the directory has segments; for telling a new directory from one
// that lost its MANIFEST.
Result<bool> HasSegments(Directory& directory);

}  // namespace kvd
