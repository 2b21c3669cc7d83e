// SPDX-License-Identifier: MIT
//
// The live segments, which a crash may have cut anywhere, and the decision on
// the tail. It only reads; what to do about the tail is the caller's. Used by
// recovery and by offline verification.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "fs/file_system.h"
#include "log/format/manifest.h"
#include "log/read/segment_reader.h"

namespace kvd {

// What is left of the live segments after a crash.
struct LogTail {
  // The valid prefix of each live segment that has one, in order.
  std::vector<SealedSegment> survivors;
  // Of the newest surviving change, in any segment; 0 when there is none.
  uint64_t last_seq = 0;
  // From the first bad byte to the last written one, and what is missing of a
  // file that became shorter than it was made.
  uint64_t torn_bytes = 0;
  uint64_t torn_records = 0;  // Announced by intact group headers among them.
  std::string torn_at;  // "<path> at offset <n>"; empty if nothing is torn.
};

// Called after each segment with its size.
using SegmentDone = std::function<void(uint64_t bytes)>;

// Visits the groups of the live segments, as far as they are whole. kCorruption
// names file, offset and what is affected; kFormat for segments of a newer
// format.
Result<LogTail> ReadLiveSegments(Directory& directory, const Manifest& manifest,
                                 const GroupVisitor& visit,
                                 const SegmentDone& done);

// After an unclean stop: writes the surviving prefixes again, the same bytes to
// the same places, and syncs them. The page cache, from which they were read,
// may hold what a failed flush never brought to the disk.
Result<void> RewriteSurvivors(Directory& directory, const LogTail& tail);

}  // namespace kvd
