// SPDX-License-Identifier: MIT
//
// What was read of one segment, and what was not.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "fs/file_system.h"
#include "log/format/record.h"
#include "salvage/readable_file.h"
#include "salvage/seq_set.h"
#include "salvage/survey.h"

namespace kvd {

// A part of a file that cannot be read, or that is not what was written.
struct DamagedPart {
  std::string file;
  ByteRange bytes;
  bool holds_records = true;  // Perhaps; or it only told about the segment.
  bool device = false;        // The device does not give it.
};

struct SegmentTally {
  uint64_t records = 0;  // Intact ones.
  // Of a log segment: the numbers of its intact records.
  SeqSet read;
  // Of a segment with a hint: where its intact records stand, ascending.
  std::vector<uint32_t> offsets;
  // By the headers of its groups: the lowest and the highest number; that up to
  // which changes were declared durable.
  uint64_t first_seq = UINT64_MAX;
  uint64_t last_seq = 0;
  uint64_t durable_seq = 0;
  std::vector<DamagedPart> damaged;
  // Whether one of its files has no damage.
  bool whole = false;
  // Whether one of them goes on behind the last group, with zeros; whether one
  // ends with a group, as one that was sealed does.
  bool has_room_left = false;
  bool ends_with_group = false;
};

// Where a record was read.
struct RecordPlace {
  uint32_t segment = 0;  // An index into the survey's.
  uint32_t file = 0;     // An index into that one's.
  uint32_t offset = 0;
};

using RecordVisitor = std::function<void(const Record&, const RecordPlace&)>;

// Reads all files of a segment. An error is not about damage; kFormat for
// records that this version does not know.
Result<SegmentTally> ReadSegment(Directory& directory, const Survey& survey,
                                 size_t index, uint64_t seq_max,
                                 const RecordVisitor& visit);

// No record of the store has a higher number.
uint64_t SeqBound(const Survey& survey);

}  // namespace kvd
