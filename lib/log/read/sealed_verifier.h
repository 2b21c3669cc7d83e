// SPDX-License-Identifier: MIT
//
// Reads one sealed segment in small steps and tells whether it still is what
// the MANIFEST says, without holding more than a piece of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/checksum.h"
#include "base/error.h"
#include "fs/file_system.h"
#include "log/format/manifest.h"

namespace kvd {

// Thread: one at a time.
class SealedVerifier {
 public:
  // `directory` outlives it.
  SealedVerifier(Directory& directory, const StoreUuid& uuid,
                 const SealedSegment& segment);

  // Reads on. kCorruption, with path, when the segment is not what was sealed;
  // another code when it cannot be read. After an error it is done.
  Result<void> Step();
  bool done() const { return done_; }
  // What the last step read.
  uint64_t bytes_read() const { return bytes_read_; }
  // What was read so far.
  uint64_t bytes_verified() const { return offset_; }
  const SealedSegment& segment() const { return segment_; }

 private:
  Result<void> Read();
  std::string Path() const;

  Directory& directory_;
  StoreUuid uuid_;
  SealedSegment segment_;
  std::unique_ptr<File> file_;
  std::string piece_;
  StreamingChecksum checksum_{0};
  uint64_t offset_ = 0;
  uint64_t bytes_read_ = 0;
  bool done_ = false;
};

}  // namespace kvd
