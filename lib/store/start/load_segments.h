// SPDX-License-Identifier: MIT
//
// Loads the sealed segments with every core. Decoders take batch after batch,
// verify it, hash its keys and make its entries; the loading thread, which is
// the caller's, gets the batches in the order of the log, and alone touches the
// index. While none is there for it, it decodes, too, so that no more threads
// than cores are needed to keep all of them busy.
#pragma once

#include <cstdint>
#include <functional>

#include "base/error.h"
#include "fs/file_system.h"
#include "log/format/manifest.h"
#include "store/start/load_batches.h"

namespace kvd {

struct LoadOptions {
  // Decoders beside the calling thread, which can do without. What the result
  // is does not depend on it.
  int threads = 0;
  // Of Index::DefaultHash.
  uint64_t hash_seed = 0;
  HintUse hints = HintUse::kBelieve;
  // Values that segments without a hint may leave in memory.
  uint64_t value_bytes_max = UINT64_MAX;
};

enum class LoadOutcome {
  kLoaded,
  kHintDamaged,  // What was visited does not count: begin again.
};

// A decoded batch; valid during the call, and its entries may be taken. An
// Error ends the loading.
using BatchVisitor = std::function<Result<void>(LoadBatch* batch)>;

// Visits what all sealed segments hold on the calling thread, in the order of
// the MANIFEST. Fails like CheckSealedSegment() for the first one that is
// damaged; what it holds may have been visited in part. Not kHintDamaged with
// HintUse::kIgnore.
Result<LoadOutcome> LoadSealedSegments(Directory& directory,
                                       const Manifest& manifest,
                                       const LoadOptions& options,
                                       const BatchVisitor& visit);

}  // namespace kvd
