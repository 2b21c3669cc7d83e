// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>

#include "base/checksum.h"
#include "fs/file_system.h"
#include "log/format/manifest.h"
#include "log/format/segment.h"

namespace kvd {

// A segment that groups enter, may enter soon, or have just left.
struct LiveSegment {
  SegmentIdentity identity;
  std::unique_ptr<File> file;
  uint64_t capacity = 0;
  bool zeroed = false;
  bool removals_only = false;  // It was made out of the reserve.
  // Of what was submitted so far.
  uint64_t end = 0;
  uint64_t records = 0;
  uint64_t first_seq = 0;
  uint64_t last_seq = 0;
  StreamingChecksum checksum{0};
};

// The line of the MANIFEST for a segment that ends with what was submitted so
// far.
inline SealedSegment SealedAtEnd(const LiveSegment& segment) {
  return {segment.identity.id, segment.identity.epoch,   SegmentKind::kLog,
          segment.end,         segment.records,          segment.first_seq,
          segment.last_seq,    segment.checksum.Digest()};
}

}  // namespace kvd
