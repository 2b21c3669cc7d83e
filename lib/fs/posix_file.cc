// SPDX-License-Identifier: MIT
#include "fs/posix_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "fs/aligned.h"
#include "fs/system_call.h"

namespace kvd {
namespace {

// A write of the log that comes meanwhile waits for one of these: 75 us at 1.7
// GB/s.
constexpr uint64_t kZeroChunkBytes = uint64_t{128} << 10;
constexpr uint64_t kZeroSyncBytes = uint64_t{16} << 20;

AlignedBytes MakeZeros() {
  AlignedBytes zeros = AllocateAligned(kZeroChunkBytes);
  std::memset(zeros.get(), 0, kZeroChunkBytes);
  return zeros;
}

}  // namespace

UniqueFd NamelessFile(int directory_fd) {
  return UniqueFd(Retry([&] {
    return openat(directory_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  }));
}

PosixFile::PosixFile(UniqueFd fd, std::string path, uint64_t identity)
    : fd_(std::move(fd)), path_(std::move(path)), identity_(identity) {}

Result<size_t> PosixFile::ReadAt(uint64_t offset, std::span<char> out) {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = Retry([&] {
      return pread(fd_.get(), out.data() + done, out.size() - done,
                   static_cast<off_t>(offset + done));
    });
    if (got < 0) {
      return FailErrno("read {} at offset {}", path_, offset + done);
    }
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

void PosixFile::ReadNothingAhead() {
  // Only advice: reads are correct without it.
  (void)posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_RANDOM);
}

Result<bool> PosixFile::TryReadAt(uint64_t offset, std::span<char> out) {
  iovec into = {out.data(), out.size()};
  const ssize_t got = Retry([&] {
    return preadv2(fd_.get(), &into, 1, static_cast<off_t>(offset), RWF_NOWAIT);
  });
  if (got >= 0) return static_cast<size_t>(got) == out.size();
  // Not in the page cache, or a file system that cannot tell.
  if (errno == EAGAIN || errno == EOPNOTSUPP) return false;
  return FailErrno("read {} at offset {}", path_, offset);
}

Result<void> PosixFile::WriteAt(uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = Retry([&] {
      return pwrite(fd_.get(), bytes.data(), bytes.size(),
                    static_cast<off_t>(offset));
    });
    if (put < 0) return FailErrno("write {} at offset {}", path_, offset);
    if (put == 0) {
      return Fail(ErrorCode::kIo,
                  "write {} at offset {}: the kernel takes no bytes", path_,
                  offset);
    }
    offset += static_cast<uint64_t>(put);
    bytes.remove_prefix(static_cast<size_t>(put));
  }
  return {};
}

// A file system that copies on write takes new blocks for each write, whatever
// was reserved; some can be told not to do that with a file while it is empty.
// Others refuse, and have no need for it.
void PosixFile::WriteInPlace() {
  int flags = 0;
  if (ioctl(fd_.get(), FS_IOC_GETFLAGS, &flags) < 0) return;
  flags |= FS_NOCOW_FL;
  (void)ioctl(fd_.get(), FS_IOC_SETFLAGS, &flags);
}

Result<void> PosixFile::AllocateZeroed(uint64_t bytes) {
  KVD_TRY(Truncate(0));
  WriteInPlace();
  // First, so that a full disk is noticed before much is written.
  KVD_TRY(TakeSpace(bytes));
  // A block that is only taken is "unwritten": the first write to it changes
  // metadata, which its fdatasync then has to commit. Writing the zeros here
  // pays that once, ahead of time.
  return ZeroReserved(bytes);
}

Result<void> PosixFile::AllocateReserved(uint64_t bytes) {
  KVD_TRY(Truncate(0));
  WriteInPlace();
  KVD_TRY_ASSIGN(const bool taken, TakeSpace(bytes));
  return taken ? Result<void>() : ZeroReserved(bytes);
}

Result<void> PosixFile::WritePastCacheAt(uint64_t offset,
                                         std::string_view bytes) {
  return PastCache(true, [&] { return WriteAt(offset, bytes); });
}

Result<void> PosixFile::Truncate(uint64_t bytes) {
  if (Retry([&] { return ftruncate(fd_.get(), static_cast<off_t>(bytes)); }) <
      0) {
    return FailErrno("set the size of {} to {} bytes", path_, bytes);
  }
  return {};
}

// fdatasync leaves out times and such, but not a changed size or the blocks:
// what is needed to read the bytes back is durable with them.
Result<void> PosixFile::Sync() {
  if (Retry([&] { return fdatasync(fd_.get()); }) < 0) {
    return FailErrno("sync {}", path_);
  }
  return {};
}

Result<uint64_t> PosixFile::Size() {
  struct stat info;
  if (fstat(fd_.get(), &info) < 0) return FailErrno("stat {}", path_);
  return static_cast<uint64_t>(info.st_size);
}

bool PosixFile::GoDirect() {
  if (!direct_) direct_ = SetDirect(true);
  return direct_;
}

// Whether the file now bypasses the page cache as asked.
bool PosixFile::SetDirect(bool direct) {
  const int flags = fcntl(fd_.get(), F_GETFL);
  if (flags < 0) return false;
  return fcntl(fd_.get(), F_SETFL,
               direct ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

// Has `write` done past the page cache; or through it, from its start, where
// that does not work or the blocks are not whole.
template <typename Write>
Result<void> PosixFile::PastCache(bool whole_blocks, Write write) {
  if (direct_) return write();
  const bool direct = whole_blocks && SetDirect(true);
  Result<void> written = write();
  if (!direct) return written;
  SetDirect(false);
  const bool refused = !written && written.error().sys_errno() == EINVAL;
  return refused ? write() : written;
}

// Past the page cache where the file system can: the zeros are not read again,
// and copying them there costs more than all the rest.
Result<void> PosixFile::ZeroReserved(uint64_t bytes) {
  const AlignedBytes zeros = MakeZeros();
  return PastCache(bytes % kBlockBytes == 0, [&]() -> Result<void> {
    for (uint64_t offset = 0; offset < bytes; offset += kZeroChunkBytes) {
      const uint64_t size = std::min(kZeroChunkBytes, bytes - offset);
      KVD_TRY(WriteAt(offset, {zeros.get(), size}));
      // Little at a time: the log's writes share the device and the journal,
      // and would wait behind a whole segment of zeros.
      if ((offset + size) % kZeroSyncBytes == 0) KVD_TRY(Sync());
    }
    return {};
  });
}

Result<void> PosixFile::KeepRoom(uint64_t bytes) {
  KVD_TRY(TakeSpace(bytes, FALLOC_FL_KEEP_SIZE));
  return {};
}

// Gives every block its place on the disk, and an empty file its size unless
// `mode` says otherwise. False where the file system cannot: writing the zeros
// does it too.
Result<bool> PosixFile::TakeSpace(uint64_t bytes, int mode) {
  if (bytes == 0) return true;
  if (Retry([&] {
        return fallocate(fd_.get(), mode, 0, static_cast<off_t>(bytes));
      }) == 0) {
    return true;
  }
  if (errno == EOPNOTSUPP || errno == ENOSYS) return false;
  return FailErrno("allocate {} bytes for {}", bytes, path_);
}

}  // namespace kvd
