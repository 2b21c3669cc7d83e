// SPDX-License-Identifier: MIT
//
// Segments that stay beside a compaction and hold dead puts: where something
// may be left that a tombstone hides. Their hints say whether it is, for one
// key. A sealed segment gets no records, so "no" holds for good.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "fs/file_system.h"
#include "log/format/hint.h"
#include "log/format/manifest.h"
#include "log/format/record.h"

namespace kvd {

// Hints that are open at once, at the most.
inline constexpr size_t kHidingPlacesMax = 16;
// Lookups in hints that one job makes, at the most: each reads a block and
// takes some 25 µs.
inline constexpr uint64_t kHintLookupsMax = 100'000;

// Thread: one at a time.
class ShadowedSegments {
 public:
  // `directory` outlives it. `segments` are in the order of their first_seq.
  ShadowedSegments(Directory& directory, const StoreUuid& uuid,
                   const std::vector<SealedSegment>& segments);

  // Whether any of them may hold a put of the tombstone's key from before it.
  // True also when nobody knows: a hint is missing, damaged or of other bytes,
  // there are more places than kHidingPlacesMax that begin before it, or
  // kHintLookupsMax is reached.
  bool MayHoldPutBelow(const Record& tombstone);

 private:
  struct HidingPlace {
    SealedSegment segment;
    bool tried = false;
    std::optional<HintReader> hint;
  };

  HintAnswer Ask(HidingPlace* place, const Record& tombstone);

  Directory& directory_;
  StoreUuid uuid_;
  std::vector<HidingPlace> places_;
  uint64_t lookups_ = 0;
};

}  // namespace kvd
