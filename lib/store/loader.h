// SPDX-License-Identifier: MIT
//
// Reads the sealed segments with every core. Decoders take piece after piece,
// verify it, hash its keys and make its entries; the loading thread, which is
// the caller's, gets the pieces in the order of the log, and alone touches the
// index. It is what limits the speed.
#pragma once

#include <cstdint>
#include <functional>

#include "base/error.h"
#include "fs/file_system.h"
#include "log/manifest.h"
#include "log/piece_cutter.h"
#include "store/prepared_records.h"

namespace kvd {

struct LoadOptions {
  // Decoders beside the calling thread; 0 to decode on it. What the result is
  // does not depend on it.
  int threads = 0;
  // Of Index::DefaultHash.
  uint64_t hash_seed = 0;
};

// A verified piece and what was prepared of it; valid during the call, and the
// entries may be taken. An Error ends the loading.
using PieceVisitor = std::function<Result<void>(const LogPiece& piece,
                                                PreparedRecords* prepared)>;

// Visits all sealed segments on the calling thread, in the order of the
// MANIFEST. Fails like CheckSealedSegment() for the first one that is damaged;
// what it holds may have been visited in part.
Result<void> LoadSealedSegments(Directory& directory, const Manifest& manifest,
                                const LoadOptions& options,
                                const PieceVisitor& visit);

}  // namespace kvd
