// SPDX-License-Identifier: MIT
#include "log/write/prepare_segment.h"

#include <algorithm>
#include <utility>

#include "base/coding.h"
#include "base/planted_bug.h"
#include "log/format/segment.h"
#include "log/write/segment_file.h"

namespace kvd {
namespace {

// A trial takes space that others might miss.
constexpr uint64_t kTrialFreeBytesMin = uint64_t{64} << 20;

// Creates a segment of zeros, durable in bytes and name.
Result<std::unique_ptr<File>> CreateSegment(Directory& directory, uint64_t id,
                                            uint64_t bytes, bool zeroed) {
  KVD_TRY_ASSIGN(std::unique_ptr<File> file, CreateSegmentFile(directory, id));
  Result<void> done =
      zeroed ? file->AllocateZeroed(bytes) : file->AllocateReserved(bytes);
  if (done) done = file->Sync();
  if (done && !IsPlanted(PlantedBug::kSegmentNameNotSynced)) {
    done = directory.Sync();
  }
  if (!done) {
    // It would take the very space whose lack is being reported. Should this
    // fail too, the next start removes the file.
    (void)directory.Remove(SegmentName(id));
    return Unexpected(done.error());
  }
  return file;
}

// One attempt: a segment of `bytes` that leaves `reserve` of the `free` bytes.
Result<PreparedSegment> Make(Directory& directory, const SegmentOrder& order,
                             uint64_t bytes, uint64_t free, uint64_t reserve) {
  if (free < bytes + reserve) {
    return Fail(ErrorCode::kNoSpace,
                "{}: {} bytes are free; a segment of {} and the reserve of {} "
                "need more",
                directory.path(), free, bytes, reserve);
  }
  KVD_TRY_ASSIGN(std::unique_ptr<File> file,
                 CreateSegment(directory, order.id, bytes, order.zeroed));
  PreparedSegment made;
  made.id = order.id;
  made.capacity = bytes;
  made.free_disk_bytes = free - bytes;
  made.zeroed = order.zeroed;
  made.file = std::move(file);
  return made;
}

}  // namespace

Result<PreparedSegment> PrepareSegment(Directory& directory,
                                       const SegmentOrder& order) {
  // Not knowing is no reason not to try.
  const uint64_t free = directory.FreeBytes().value_or(UINT64_MAX);
  Result<PreparedSegment> made =
      Make(directory, order, order.bytes, free, kDiskReserveBytes);
  // A disk without room for a whole segment still takes a smaller one.
  for (uint64_t bytes = order.bytes;
       !made && bytes > order.bytes_min && NeedsRoom(made.error());) {
    bytes = std::max(AlignUp(bytes / 2, kBlockBytes), order.bytes_min);
    made = Make(directory, order, bytes, free, kDiskReserveBytes);
  }
  if (!made && order.bytes_from_reserve != 0 && NeedsRoom(made.error())) {
    Result<PreparedSegment> last =
        Make(directory, order, order.bytes_from_reserve, free,
             kManifestReserveBytes);
    if (last) {
      last->from_reserve = true;
      return last;
    }
  }
  if (made && order.tries_zeros &&
      made->free_disk_bytes >= kTrialFreeBytesMin) {
    made->zeroing_limit = directory.ZeroingLimit();
  }
  return made;
}

}  // namespace kvd
