// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>

#include "base/error.h"
#include "fs/file_system.h"

namespace kvd {

// Creates the file of a segment whose id was just given out. A left-over of
// that name, which the start found to hold nothing and could not remove, goes.
Result<std::unique_ptr<File>> CreateSegmentFile(Directory& directory,
                                                uint64_t id);

}  // namespace kvd
