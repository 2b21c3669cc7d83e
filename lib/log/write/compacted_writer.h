// SPDX-License-Identifier: MIT
//
// Writes one compacted segment: records that compaction keeps, in any order of
// their sequence numbers. Nobody reads the file before the MANIFEST names it,
// so nothing here is durable until Finish(). FORMAT.md, "Segment".
#pragma once

#include <cstdint>
#include <memory>

#include "base/checksum.h"
#include "base/error.h"
#include "fs/file_system.h"
#include "log/format/manifest.h"
#include "log/format/record.h"
#include "log/format/segment.h"
#include "log/write/group_buffer.h"

namespace kvd {

// A group is written when it has this many bytes: large enough that its header
// costs nothing, small enough to keep in memory.
inline constexpr uint64_t kCompactedGroupBytes = 256 << 10;

// Thread: one at a time.
class CompactedWriter {
 public:
  // Creates the file; kExists when there is one.
  static Result<std::unique_ptr<CompactedWriter>> Create(
      Directory& directory, const SegmentIdentity& identity,
      const SegmentHead& head);
  CompactedWriter(const CompactedWriter&) = delete;
  CompactedWriter& operator=(const CompactedWriter&) = delete;

  // Whether a record of `bytes` keeps the segment within `segment_bytes`. The
  // first record always fits: a segment may be as large as one value.
  bool Fits(uint64_t bytes, uint64_t segment_bytes) const;
  // Returns the record's offset in the segment.
  Result<uint64_t> Append(const Record& record);
  // Writes the rest and syncs the file; its name is the caller's to sync. At
  // least one record was appended. `last`: its compaction writes no more
  // segments. Nothing may be called afterwards.
  Result<SealedSegment> Finish(bool last);

 private:
  CompactedWriter(std::unique_ptr<File> file, const SegmentIdentity& identity,
                  const SegmentHead& head);
  Result<void> WriteGroup();
  // What is in the buffer, finished.
  Result<void> WriteBuffer();

  std::unique_ptr<File> file_;
  GroupBuffer group_;
  GroupBuffer next_;
  uint64_t group_first_seq_ = 0;
  StreamingChecksum checksum_{0};
  SealedSegment sealed_;
};

}  // namespace kvd
