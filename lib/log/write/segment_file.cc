// SPDX-License-Identifier: MIT
#include "log/write/segment_file.h"

#include "log/format/segment.h"

namespace kvd {

Result<std::unique_ptr<File>> CreateSegmentFile(Directory& directory,
                                                uint64_t id) {
  const std::string name = SegmentName(id);
  auto file = directory.Create(name);
  if (file || file.error().code() != ErrorCode::kExists) return file;
  KVD_TRY(directory.Remove(name));
  return directory.Create(name);
}

}  // namespace kvd
