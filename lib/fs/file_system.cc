// SPDX-License-Identifier: MIT
#include "fs/file_system.h"

#include <cerrno>

#include "base/check.h"

namespace kvd {

Result<std::string> ReadWholeFile(Directory& directory, std::string_view name) {
  KVD_TRY_ASSIGN(std::unique_ptr<File> file,
                 directory.Open(name, Directory::OpenMode::kRead));
  KVD_TRY_ASSIGN(uint64_t size, file->Size());
  std::string content(size, '\0');
  KVD_TRY_ASSIGN(size_t got, file->ReadAt(0, content));
  content.resize(got);
  return content;
}

bool IsLostStorage(int sys_errno) {
  switch (sys_errno) {
    case ENOENT:
    case ENOTDIR:
    case EROFS:
    case ESTALE:
    case ENODEV:
    case ENXIO:
    case ENOTCONN:
      return true;
    default:
      return false;
  }
}

void CheckFileName(std::string_view name) {
  using namespace std::string_view_literals;
  KVD_CHECK(!name.empty() && name != "." && name != "..");
  KVD_CHECK(name.find_first_of("/\0"sv) == std::string_view::npos);
}

void CheckSubmission(bool busy, uint64_t offset, std::string_view bytes,
                     DurableWriter::Durability durability) {
  KVD_CHECK(!busy);
  KVD_CHECK(offset % kBlockBytes == 0);
  KVD_CHECK(bytes.size() % kBlockBytes == 0);
  KVD_CHECK(reinterpret_cast<uintptr_t>(bytes.data()) % kBlockBytes == 0);
  KVD_CHECK(!bytes.empty() || durability == DurableWriter::Durability::kSynced);
}

tl::unexpected<Error> FailHeld(std::string_view path, int64_t pid) {
  if (pid == 0) {
    return Fail(ErrorCode::kHeld, "data directory {} is held by another kvd",
                path);
  }
  return Fail(ErrorCode::kHeld,
              "data directory {} is held by another kvd (pid {})", path, pid);
}

}  // namespace kvd
