// SPDX-License-Identifier: MIT
//
// The bytes of a file that is mostly zeros, as a live segment is: made at its
// full size, and written from the front. It is read in small pieces into the
// same memory, and only what is not zero is kept, so that a start neither
// copies the rest nor has the kernel find memory for it.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/error.h"
#include "base/free_deleter.h"
#include "fs/file_system.h"

namespace kvd {

class SparseBytes {
 public:
  // Reads a whole file. Errors name its path.
  static Result<SparseBytes> Read(Directory& directory, std::string_view name);

  // The file's bytes, and zeros to a multiple of kGroupAlignment.
  std::string_view bytes() const { return {memory_.get(), size_}; }
  uint64_t file_bytes() const { return file_bytes_; }
  // From here on all are zero.
  uint64_t written_end() const { return written_end_; }

 private:
  explicit SparseBytes(uint64_t room);
  void Keep(uint64_t offset, std::string_view piece);

  std::unique_ptr<char, FreeDeleter> memory_;
  uint64_t size_;
  uint64_t file_bytes_ = 0;
  uint64_t written_end_ = 0;
};

}  // namespace kvd
