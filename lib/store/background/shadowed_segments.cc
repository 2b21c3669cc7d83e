// SPDX-License-Identifier: MIT
#include "store/background/shadowed_segments.h"

#include <utility>

namespace kvd {

ShadowedSegments::ShadowedSegments(Directory& directory, const StoreUuid& uuid,
                                   const std::vector<SealedSegment>& segments)
    : directory_(directory), uuid_(uuid) {
  places_.reserve(segments.size());
  for (const SealedSegment& segment : segments) {
    places_.push_back({segment, false, std::nullopt});
  }
}

bool ShadowedSegments::MayHoldPutBelow(const Record& tombstone) {
  size_t before = 0;
  while (before < places_.size() &&
         places_[before].segment.first_seq < tombstone.seq) {
    ++before;
    if (before > kHidingPlacesMax) return true;
  }
  for (size_t i = 0; i < before; ++i) {
    if (Ask(&places_[i], tombstone) != HintAnswer::kNo) return true;
  }
  return false;
}

HintAnswer ShadowedSegments::Ask(HidingPlace* place, const Record& tombstone) {
  if (!place->tried) {
    place->tried = true;
    Result<HintReader> hint =
        HintReader::Open(directory_, uuid_, place->segment);
    if (hint) place->hint = std::move(*hint);
  }
  if (!place->hint || lookups_ == kHintLookupsMax) return HintAnswer::kUnknown;
  ++lookups_;
  return place->hint->HoldsPutBelow(tombstone.database, tombstone.key,
                                    tombstone.seq);
}

}  // namespace kvd
