// SPDX-License-Identifier: MIT
//
// Reads the groups of one segment out of memory, verifying every byte that
// matters before it hands anything out. It reports what it finds; what that
// means (end, torn tail, damage) is decided in tail.h.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "log/format/record.h"
#include "log/format/segment.h"

namespace kvd {

enum class Found {
  kGroup,    // A whole group; all of its checksums hold.
  kNothing,  // Only zeros from here on, or the end of the bytes.
  kBroken,   // Bytes that are not a whole group.
};

// A whole group. Views and offsets refer to the segment's bytes.
struct Group {
  GroupHeader header;
  std::vector<Record> records;
  std::vector<uint64_t> offsets;  // Of the records, in the segment.
  std::string_view body;          // Behind the header; of another kind, all.
};

// Gets each whole group and the id of its segment. Views are valid during the
// call.
using GroupVisitor = std::function<void(const Group&, uint32_t segment)>;

class SegmentReader {
 public:
  // `bytes` is the whole segment, header included, or a part of it that begins
  // at offset `base` with a group. They outlive the reader.
  SegmentReader(std::string_view bytes, const SegmentIdentity& identity,
                uint64_t base = 0);

  // Reads the group at offset() into `group`. Only kGroup moves on.
  Found Next(Group* group);
  // The same, but adds the records to those of the groups before it.
  Found Append(Group* group);

  // Where the next group is expected.
  uint64_t offset() const { return offset_; }
  // The caller knows that there are only zeros from `end` on: nothing is
  // searched for there.
  void set_written_end(uint64_t end) { written_end_ = end; }
  // Goes on at `offset`, a multiple of kGroupAlignment.
  void Seek(uint64_t offset) { offset_ = offset; }

  // The next header that verifies at or after `from`, whatever surrounds it.
  std::optional<GroupHeader> FindHeader(uint64_t from) const;

  // One past the last byte from offset() on that is not zero; offset() when
  // there is none.
  uint64_t LastWrittenByte() const;

 private:
  bool AppendBody(Group* group) const;
  std::string_view From(uint64_t offset) const {
    return bytes_.substr(offset - base_);
  }

  std::string_view bytes_;
  SegmentIdentity identity_;
  uint64_t seed_;
  uint64_t base_;  // Where the bytes begin in the segment, …
  uint64_t end_;   // … and where they end.
  uint64_t written_end_;
  uint64_t offset_;
};

}  // namespace kvd
