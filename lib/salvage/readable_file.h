// SPDX-License-Identifier: MIT
//
// A file as far as the device gives it, seen through a window that moves along:
// where a block cannot be read there are zeros.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "fs/file_system.h"

namespace kvd {

// From `begin` up to, but without, `end`.
struct ByteRange {
  uint64_t begin = 0;
  uint64_t end = 0;

  bool operator==(const ByteRange&) const = default;
};

// Thread: one at a time. Memory: kWindowBytes, or the largest piece asked for.
class ReadableFile {
 public:
  static constexpr uint64_t kWindowBytes = uint64_t{1} << 20;

  static Result<ReadableFile> Open(Directory& directory, std::string_view name);

  uint64_t size() const { return size_; }

  // The bytes from `offset` on: `bytes` of them, or less at the file's end.
  // Valid until the next call. An error is not the device's about a block.
  Result<std::string_view> At(uint64_t offset, uint64_t bytes);
  // The first byte from `offset` on that is not zero; `end`, which is at most
  // the size, when there is none.
  Result<uint64_t> SkipZeros(uint64_t offset, uint64_t end);

  // What the device did not give so far, in the order of reading.
  const std::vector<ByteRange>& gaps() const { return gaps_; }

 private:
  ReadableFile(std::unique_ptr<File> file, uint64_t size);
  Result<void> Load(uint64_t offset, uint64_t bytes);
  Result<void> ReadPiece(uint64_t offset, std::span<char> out);
  void NoteGap(uint64_t begin, uint64_t end);

  std::unique_ptr<File> file_;
  uint64_t size_;
  std::string window_;
  uint64_t window_at_ = 0;
  std::vector<ByteRange> gaps_;
};

}  // namespace kvd
