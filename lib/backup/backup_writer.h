// SPDX-License-Identifier: MIT
//
// The bytes of a backup, from front to back. FORMAT.md. No I/O: what it makes
// is the caller's to write, in order.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backup/backup_format.h"
#include "base/checksum.h"
#include "base/error.h"

struct ZSTD_CCtx_s;

namespace kvd {

// Memory: two blocks. Thread: one at a time.
class BackupWriter {
 public:
  // Appends the header, the MANIFEST and the list to `out`. `header` needs no
  // lengths.
  BackupWriter(BackupHeader header, std::string_view manifest,
               std::vector<BackupSegment> segments, std::string* out);
  ~BackupWriter();
  BackupWriter(const BackupWriter&) = delete;
  BackupWriter& operator=(const BackupWriter&) = delete;

  // The segment that is here and whose bytes come next; null at the end.
  const BackupSegment* next() const {
    return at_ < segments_.size() ? &segments_[at_] : nullptr;
  }
  // The next bytes of it, at most those that are missing. kCorruption, naming
  // it, when they are not what its checksum says.
  Result<void> Append(std::string_view bytes, std::string* out);
  // Once there is no next(): appends the trailer.
  void Finish(std::string* out);

 private:
  void SkipAbsent();
  void AppendParts(BackupBlockKind kind, std::string_view bytes,
                   std::string* out);
  void AppendBlock(BackupBlockKind kind, uint64_t segment, uint64_t offset,
                   std::string_view bytes, std::string* out);
  void Emit(std::string_view bytes, std::string* out);

  std::vector<BackupSegment> segments_;
  size_t at_ = 0;
  std::string pending_;  // Of next(), not in a block yet.
  uint64_t offset_ = 0;  // Where that begins.
  StreamingChecksum segment_checksum_{0};

  uint64_t seed_ = 0;
  uint64_t bytes_ = 0;  // So far, of the file.
  StreamingChecksum digest_{0};
  std::string payload_;

  struct FreeContext {
    void operator()(ZSTD_CCtx_s* context) const;
  };
  std::unique_ptr<ZSTD_CCtx_s, FreeContext> zstd_;
};

}  // namespace kvd
