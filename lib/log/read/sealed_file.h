// SPDX-License-Identifier: MIT
//
// The file of a sealed segment, read once from front to back, and whether it is
// the one that was sealed as far as header, length and the checksum of the
// whole tell. What stands in it, others look at.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/checksum.h"
#include "base/error.h"
#include "fs/file_system.h"
#include "log/format/manifest.h"
#include "log/format/segment.h"

namespace kvd {

// Thread: one at a time.
class SealedFile {
 public:
  // kNotFound when it is missing.
  static Result<SealedFile> Open(Directory& directory, const StoreUuid& uuid,
                                 const SealedSegment& segment);

  // Fills `out` with the next bytes, of those that were sealed: at most
  // bytes_left(), and the whole header at first. kCorruption, with path, when
  // the header is another one or the file ends before; another code when it
  // cannot be read.
  Result<void> Read(std::span<char> out);

  // What was read so far, and what is still to come.
  uint64_t bytes_read() const { return bytes_read_; }
  uint64_t bytes_left() const { return segment_.bytes - bytes_read_; }
  // Once nothing is left: whether it adds up.
  bool sum_holds() const { return checksum_.Digest() == segment_.checksum; }

  const SegmentIdentity& identity() const { return identity_; }
  // For messages.
  const std::string& path() const { return path_; }

 private:
  SealedFile(std::unique_ptr<File> file, std::string path,
             const SegmentIdentity& identity, const SealedSegment& segment);

  std::unique_ptr<File> file_;
  std::string path_;
  SegmentIdentity identity_;
  SealedSegment segment_;
  uint64_t bytes_read_ = 0;
  StreamingChecksum checksum_{0};
};

}  // namespace kvd
