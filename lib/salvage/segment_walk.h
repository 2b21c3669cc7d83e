// SPDX-License-Identifier: MIT
//
// All of a segment that can be read, whatever is damaged, and without a
// MANIFEST that says how long it is. It trusts checksums, and no length or
// header before it verifies: behind damage it goes on at the next group, and
// finds the intact records in between, those of a damaged group included.
// Memory is a window of the file and the largest record.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "base/error.h"
#include "log/format/record.h"
#include "log/format/segment.h"
#include "log/format/segment_head.h"
#include "salvage/readable_file.h"

namespace kvd {

// What it finds, in the order of the file. Views are valid during the call.
struct WalkVisitor {
  // A group's header that verifies; its body may be damaged.
  std::function<void(const GroupHeader&)> group;
  std::function<void(const SegmentHead&)> head;
  std::function<void(bool last)> end;
  std::function<void(const Record&, uint64_t offset)> record;
  // What is not as it was written. `holds_records`: unless it is a head or an
  // end alone.
  std::function<void(const ByteRange&, bool holds_records)> damage;
};

struct WalkBounds {
  // How long the segment is, and whether that is known. If not, zeros up to
  // there are the end of it.
  uint64_t bytes = 0;
  bool is_length = false;
  // No record has a higher number. A search among damaged bytes is only as fast
  // as this is low.
  uint64_t seq_max = kSeqMax;
};

// How long the record is whose header these bytes are, by its own word.
uint64_t ClaimedRecordBytes(std::string_view header);

// Reads the groups of a segment; its header is not looked at. Returns where the
// last group ends, by its header: behind the file's end if that was cut. An
// error is not about damage.
Result<uint64_t> WalkSegment(ReadableFile& file,
                             const SegmentIdentity& identity,
                             const WalkBounds& bounds,
                             const WalkVisitor& visitor);

}  // namespace kvd
