// SPDX-License-Identifier: MIT
//
// A backup, read from front to back and verified on the way. FORMAT.md. No I/O:
// it asks a function for bytes, which may come from a pipe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backup/backup_format.h"
#include "base/checksum.h"
#include "base/error.h"

struct ZSTD_DCtx_s;

namespace kvd {

// Nothing that it gave out counts before Next() has said that this was all: the
// backup may be cut. Memory: two blocks, the MANIFEST and the list, and never
// more than has arrived. Thread: one at a time.
class BackupReader {
 public:
  // Reads up to that many bytes; fewer at the end alone.
  using Source = std::function<Result<size_t>(std::span<char>)>;

  // Reads header, MANIFEST and list; `name` is for messages. kInvalid when it
  // is no backup, kFormat when it is one of another format, kCorruption when it
  // is cut or damaged.
  static Result<std::unique_ptr<BackupReader>> Open(std::string name,
                                                    Source source);
  ~BackupReader();
  BackupReader(const BackupReader&) = delete;
  BackupReader& operator=(const BackupReader&) = delete;

  const std::string& name() const { return name_; }
  const BackupHeader& header() const { return header_; }
  // As it is in the file: decoding it is the log's.
  const std::string& manifest() const { return manifest_; }
  const std::vector<BackupSegment>& segments() const { return segments_; }
  // Of those that are here.
  uint64_t segment_bytes() const;

  struct Piece {
    const BackupSegment* segment = nullptr;
    uint64_t offset = 0;
    std::string_view bytes;  // Until the next call.
  };
  // The next bytes of segments, in the list's order; nothing when all of the
  // file was read and is intact. The last piece of a segment comes when its
  // checksum is right.
  Result<std::optional<Piece>> Next();
  // Behind that.
  uint64_t digest() const { return digest_.Digest(); }
  uint64_t file_bytes() const { return bytes_ + kBackupTrailerBytes; }

 private:
  BackupReader(std::string name, Source source);
  Result<void> ReadFront();
  Result<void> ReadParts(BackupBlockKind kind, uint64_t bytes,
                         std::string* out);
  Result<void> ReadBlock(BackupBlockKind kind, uint64_t segment,
                         uint64_t offset, uint64_t bytes_max);
  Result<void> ReadTrailer();
  Result<void> Fill(std::span<char> out);
  Result<void> Take(size_t bytes);
  tl::unexpected<Error> Damaged(std::string_view what) const;

  std::string name_;
  Source source_;
  BackupHeader header_;
  std::string manifest_;
  std::vector<BackupSegment> segments_;

  size_t at_ = 0;        // The segment whose bytes come next.
  uint64_t offset_ = 0;  // So many of them came.
  StreamingChecksum segment_checksum_{0};

  uint64_t seed_ = 0;
  uint64_t bytes_ = 0;  // Read so far.
  StreamingChecksum digest_{0};
  std::string taken_;  // The bytes of the file that were read last.
  std::string block_;  // The last block, decompressed.

  struct FreeContext {
    void operator()(ZSTD_DCtx_s* context) const;
  };
  std::unique_ptr<ZSTD_DCtx_s, FreeContext> zstd_;
};

}  // namespace kvd
