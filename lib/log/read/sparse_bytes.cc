// SPDX-License-Identifier: MIT
#include "log/read/sparse_bytes.h"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "base/check.h"
#include "base/coding.h"
#include "log/format/segment.h"

namespace kvd {
namespace {

// Stays in a core's cache between the copy into it and the look at it.
constexpr size_t kReadBytes = size_t{128} << 10;

}  // namespace

// calloc's memory is not touched before it is written or read, if it is much.
SparseBytes::SparseBytes(uint64_t room)
    : memory_(static_cast<char*>(std::calloc(std::max<uint64_t>(room, 1), 1))),
      size_(room) {
  KVD_CHECK(memory_ != nullptr);
}

Result<SparseBytes> SparseBytes::Read(Directory& directory,
                                      std::string_view name) {
  KVD_TRY_ASSIGN(const std::unique_ptr<File> file,
                 directory.Open(name, Directory::OpenMode::kRead));
  KVD_TRY_ASSIGN(const uint64_t file_bytes, file->Size());
  SparseBytes sparse(AlignUp(file_bytes, kGroupAlignment));
  std::string piece(kReadBytes, '\0');
  while (sparse.file_bytes_ < file_bytes) {
    const std::span<char> wanted(
        piece.data(),
        std::min<uint64_t>(kReadBytes, file_bytes - sparse.file_bytes_));
    KVD_TRY_ASSIGN(const size_t got, file->ReadAt(sparse.file_bytes_, wanted));
    sparse.Keep(sparse.file_bytes_, {piece.data(), got});
    sparse.file_bytes_ += got;
    if (got < wanted.size()) break;
  }
  return sparse;
}

void SparseBytes::Keep(uint64_t offset, std::string_view piece) {
  if (IsZero(piece)) return;
  piece.copy(memory_.get() + offset, piece.size());
  written_end_ = offset + piece.size();
}

}  // namespace kvd
