// SPDX-License-Identifier: MIT
//
// Writes what was read into compacted segments of a new store, each record with
// the number that it had. FORMAT.md, "Compaction".
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/error.h"
#include "fs/file_system.h"
#include "log/format/manifest.h"
#include "log/format/record.h"
#include "log/write/compacted_writer.h"

namespace kvd {

// Thread: one at a time. Memory: a group and the largest value.
class NewStore {
 public:
  // `directory` outlives it. The map holds for all that will be added.
  NewStore(Directory& directory, const DatabaseMap& databases,
           uint64_t next_seq, uint64_t segment_bytes);

  Result<void> Add(const Record& record);
  // Makes all of it durable, the MANIFEST last.
  Result<void> Finish();

 private:
  Result<void> OpenSegment();
  Result<void> CloseSegment(bool last);

  Directory& directory_;
  uint64_t segment_bytes_;
  Manifest manifest_;
  std::unique_ptr<CompactedWriter> writer_;
};

}  // namespace kvd
