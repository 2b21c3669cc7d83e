// SPDX-License-Identifier: MIT
#include "log/read/sealed_file.h"

#include <string_view>
#include <utility>

#include "base/check.h"
#include "log/read/damage.h"

namespace kvd {

SealedFile::SealedFile(std::unique_ptr<File> file, std::string path,
                       const SegmentIdentity& identity,
                       const SealedSegment& segment)
    : file_(std::move(file)),
      path_(std::move(path)),
      identity_(identity),
      segment_(segment) {}

Result<SealedFile> SealedFile::Open(Directory& directory, const StoreUuid& uuid,
                                    const SealedSegment& segment) {
  KVD_TRY_ASSIGN(
      std::unique_ptr<File> file,
      directory.Open(SegmentName(segment.id), Directory::OpenMode::kRead));
  return SealedFile(std::move(file), SegmentPath(directory, segment.id),
                    {uuid, segment.id, segment.epoch, segment.kind}, segment);
}

Result<void> SealedFile::Read(std::span<char> out) {
  KVD_CHECK(out.size() <= bytes_left());
  const bool at_header = bytes_read_ == 0;
  KVD_TRY_ASSIGN(const size_t got, file_->ReadAt(bytes_read_, out));
  bytes_read_ += got;
  if (got < out.size()) {
    return Fail(ErrorCode::kCorruption,
                "{}: {} bytes long, the MANIFEST says {}", path_, bytes_read_,
                segment_.bytes);
  }
  const std::string_view bytes(out.data(), got);
  if (at_header && CheckHeader(bytes, identity_) != HeaderOutcome::kHeader) {
    return Fail(ErrorCode::kCorruption,
                "{}: its header is not that of the segment which the MANIFEST "
                "names",
                path_);
  }
  checksum_.Update(bytes);
  return {};
}

}  // namespace kvd
