// SPDX-License-Identifier: MIT
//
// Reads one sealed segment in small steps and tells whether it still is what
// the MANIFEST says. It looks at no group, so that its memory is a chunk's,
// however large the groups are.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "fs/file_system.h"
#include "log/format/manifest.h"
#include "log/read/sealed_file.h"

namespace kvd {

// Thread: one at a time.
class SealedVerifier {
 public:
  // `directory` outlives it.
  SealedVerifier(Directory& directory, const StoreUuid& uuid,
                 const SealedSegment& segment);

  // Reads on, at most kChunkBytes. kCorruption, with path, when the segment is
  // not what was sealed; another code when it cannot be read. After an error it
  // is done.
  Result<void> Step();
  bool done() const { return done_; }
  // What the last step read.
  uint64_t bytes_read() const { return bytes_read_; }
  // What was read so far.
  uint64_t bytes_verified() const { return file_ ? file_->bytes_read() : 0; }
  const SealedSegment& segment() const { return segment_; }

 private:
  Result<void> Read();

  Directory& directory_;
  StoreUuid uuid_;
  SealedSegment segment_;
  std::optional<SealedFile> file_;
  std::string chunk_;
  uint64_t bytes_read_ = 0;
  bool done_ = false;
};

}  // namespace kvd
