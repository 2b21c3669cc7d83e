// SPDX-License-Identifier: MIT
#include "store/memory/damaged_segments.h"

namespace kvd {

ReadFault DamagedSegments::Judge(uint64_t segment, const Error& error) {
  if (!IsFinal(error)) return ReadFault::kNone;
  const bool is_first_try =
      error.code() == ErrorCode::kIo && unreadable_once_.insert(segment).second;
  if (is_first_try) return ReadFault::kDoubt;
  damaged_.insert(segment);
  return ReadFault::kDamage;
}

}  // namespace kvd
