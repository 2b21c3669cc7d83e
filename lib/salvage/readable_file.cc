// SPDX-License-Identifier: MIT
#include "salvage/readable_file.h"

#include <algorithm>
#include <utility>

#include "base/coding.h"

namespace kvd {

ReadableFile::ReadableFile(std::unique_ptr<File> file, uint64_t size)
    : file_(std::move(file)), size_(size) {}

Result<ReadableFile> ReadableFile::Open(Directory& directory,
                                        std::string_view name) {
  KVD_TRY_ASSIGN(std::unique_ptr<File> file,
                 directory.Open(name, Directory::OpenMode::kRead));
  KVD_TRY_ASSIGN(const uint64_t size, file->Size());
  return ReadableFile(std::move(file), size);
}

Result<std::string_view> ReadableFile::At(uint64_t offset, uint64_t bytes) {
  if (offset >= size_) return std::string_view();
  bytes = std::min(bytes, size_ - offset);
  const bool inside =
      offset >= window_at_ && offset + bytes <= window_at_ + window_.size();
  if (!inside) KVD_TRY(Load(offset, bytes));
  return std::string_view(window_).substr(offset - window_at_, bytes);
}

Result<uint64_t> ReadableFile::SkipZeros(uint64_t offset, uint64_t end) {
  while (offset < end) {
    KVD_TRY_ASSIGN(const std::string_view bytes,
                   At(offset, std::min(kBlockBytes, end - offset)));
    if (bytes.empty()) return end;
    if (!IsZero(bytes)) return offset + bytes.find_first_not_of('\0');
    offset += bytes.size();
  }
  return end;
}

Result<void> ReadableFile::Load(uint64_t offset, uint64_t bytes) {
  const uint64_t begin = AlignDown(offset, kBlockBytes);
  const uint64_t end =
      std::min(size_, std::max(begin + kWindowBytes, offset + bytes));
  // What one large record needed is not kept.
  if (window_.capacity() > 2 * kWindowBytes) window_ = std::string();
  window_.resize(end - begin);
  window_at_ = begin;
  const std::span<char> out(window_);
  if (ReadPiece(begin, out)) return {};
  for (size_t at = 0; at < out.size(); at += kBlockBytes) {
    const std::span<char> block =
        out.subspan(at, std::min<size_t>(kBlockBytes, out.size() - at));
    const Result<void> read = ReadPiece(begin + at, block);
    if (read) continue;
    if (read.error().code() != ErrorCode::kIo) return read;
    std::fill(block.begin(), block.end(), '\0');
    NoteGap(begin + at, begin + at + block.size());
  }
  return {};
}

Result<void> ReadableFile::ReadPiece(uint64_t offset, std::span<char> out) {
  KVD_TRY_ASSIGN(const size_t got, file_->ReadAt(offset, out));
  // It has become shorter meanwhile.
  std::fill(out.begin() + static_cast<ptrdiff_t>(got), out.end(), '\0');
  return {};
}

void ReadableFile::NoteGap(uint64_t begin, uint64_t end) {
  if (!gaps_.empty() && gaps_.back().end == begin) {
    gaps_.back().end = end;
  } else if (std::find(gaps_.begin(), gaps_.end(), ByteRange{begin, end}) ==
             gaps_.end()) {
    gaps_.push_back({begin, end});
  }
}

}  // namespace kvd
