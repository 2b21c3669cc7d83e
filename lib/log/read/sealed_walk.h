// SPDX-License-Identifier: MIT
//
// All of a sealed segment that can be read, whatever is damaged: it goes on
// behind damage, and keeps the whole segment in memory for that. For offline
// verification, and to say what is wrong once chunk_reader.h found something.
#pragma once

#include <functional>
#include <string>

#include "base/error.h"
#include "fs/file_system.h"
#include "log/format/manifest.h"
#include "log/read/segment_reader.h"

namespace kvd {

// Reads one sealed segment. On damage calls `report` for each place, one
// message each, and goes on behind it where it can.
// Returns false when anything was reported; an Error when it cannot be read.
Result<bool> ReadSealedSegment(
    Directory& directory, const Manifest& manifest,
    const SealedSegment& segment, const GroupVisitor& visit,
    const std::function<void(const std::string&)>& report);

// Reads one sealed segment; kCorruption with the first damage in it, if any,
// and what a person can do.
Result<void> CheckSealedSegment(Directory& directory, const Manifest& manifest,
                                const SealedSegment& segment,
                                const GroupVisitor& visit);

}  // namespace kvd
