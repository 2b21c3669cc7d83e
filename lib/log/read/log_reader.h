// SPDX-License-Identifier: MIT
//
// The reading end of the log: every group that counts, in order, and the
// decision on the tail. It only reads; what to do about the tail is the
// caller's. Used by offline verification, which goes on where recovery stops,
// and by recovery, which reads intact sealed segments in another way
// (piece_cutter.h).
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

// Gets each whole group and the id of its segment. Views are valid during the
// call.
using GroupVisitor = std::function<void(const Group&, uint32_t segment)>;
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

// Names of our own patterns that the manifest does not know and that may be
// removed: left-overs of a crash. kCorruption when one of them shows that the
// MANIFEST is older than the log, or is not ours.
Result<std::vector<std::string>> FindLeftovers(Directory& directory,
                                               const Manifest& manifest);

// True when the directory has segments; for telling a new directory from one
// that lost its MANIFEST.
Result<bool> HasSegments(Directory& directory);

}  // namespace kvd
