// SPDX-License-Identifier: MIT
//
// What a segment says of the store as it was when the segment was begun, and a
// compacted one at its end: so that a directory is understood without its
// MANIFEST. Nothing else reads it. FORMAT.md, "Head and end".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "log/format/manifest.h"
#include "log/format/segment.h"

namespace kvd {

// From `first` to `last`, both included.
struct IdRange {
  uint32_t first = 0;
  uint32_t last = 0;

  bool operator==(const IdRange&) const = default;
};

struct SegmentHead {
  // The map holds after this change; later flushes and swaps are in the log.
  uint64_t databases_as_of = 0;
  DatabaseMap databases;
  // Segments that do not count any more once this one does: those which
  // compaction has exchanged so far, and in a compacted segment its victims.
  // Ascending, with gaps between them.
  std::vector<IdRange> retired;
  // Ids below this one that are not in `retired` count …
  uint32_t known_below = 0;
  // … and so do these beyond it, but for victims. What a compaction wrote may
  // have a higher id than the log segment that was prepared before and is
  // entered behind it. In a compacted segment also the one being written.
  std::vector<IdRange> counting;
  // Of a compacted segment: the first segment that its compaction wrote, and
  // how many there are before this one. 0 in a log segment.
  uint32_t job = 0;
  uint32_t output = 0;

  bool operator==(const SegmentHead&) const = default;
};

// Of both together. A log segment's head leaves out the oldest ones beyond.
inline constexpr size_t kHeadRangesMax = 2048;

// Of a head's group, header included, at the most.
uint64_t SegmentHeadBytesMax(size_t ranges);

// The body of the group. Multiples of kGroupAlignment.
std::string EncodeSegmentHead(const SegmentHead& head, uint64_t seed);
std::optional<SegmentHead> DecodeSegmentHead(std::string_view body,
                                             uint64_t seed);

// The body of the group at the end of a compacted segment. `last`: of all that
// its compaction wrote.
std::string EncodeSegmentEnd(bool last, uint64_t seed);
// Whether it is the last one.
std::optional<bool> DecodeSegmentEnd(std::string_view body, uint64_t seed);

// All ids below `limit` but these.
std::vector<IdRange> IdsWithout(std::vector<uint64_t> ids, uint64_t limit);
// Makes one list of both.
std::vector<IdRange> JoinRanges(std::vector<IdRange> ranges,
                                const std::vector<uint64_t>& ids);
bool ContainsId(const std::vector<IdRange>& ranges, uint64_t id);

}  // namespace kvd
