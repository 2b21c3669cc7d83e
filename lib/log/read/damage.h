// SPDX-License-Identifier: MIT
//
// What readers of the log say when something is not what was written.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "fs/file_system.h"
#include "log/format/segment.h"

namespace kvd {

// For messages.
std::string SegmentPath(const Directory& directory, uint64_t id);

// kCorruption: `what`, and what a person can do.
tl::unexpected<Error> FailDamaged(const Directory& directory,
                                  std::string_view what);
// kFormat, and what a person can do.
tl::unexpected<Error> FailNewerFormat(std::string_view path);

// Whether the bytes begin like the segment that `identity` names. kBroken also
// for the intact header of another one.
HeaderOutcome CheckHeader(std::string_view bytes,
                          const SegmentIdentity& identity);

}  // namespace kvd
