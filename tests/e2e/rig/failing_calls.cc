// SPDX-License-Identifier: MIT
//
// A library to be preloaded into kvd: calls of libc that concern files below
// KVD_FAIL_DIR fail as KVD_FAIL_CONTROL says. That is a small file in which the
// test writes at any time what is to fail, and reads how many calls there were.
// io_uring is not to be had: its reads and writes would pass by.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <liburing.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

// In the order of CALLS in tests/e2e/faults/test_errnos.py.
enum Call {
  kOpen,
  kRead,
  kWrite,
  kSync,
  kAllocate,
  kTruncate,
  kRename,
  kUnlink,
  kStat,
  kFreeSpace,
  kList,
  kCallCount,
};

struct Control {
  std::atomic<uint32_t> armed;
  uint32_t call;
  int32_t sys_errno;  // 0: a read or write of half the bytes.
  uint32_t for_ever;
  uint64_t nth;                // From 0.
  std::atomic<uint64_t> seen;  // Of that call since it was armed.
  std::atomic<uint64_t> failed;
  std::atomic<uint64_t> counts[kCallCount];
};

Control* control = nullptr;
std::string directory;
constexpr int kDescriptors = 4096;
std::atomic<bool> ours[kDescriptors];
std::atomic<DIR*> our_stream = nullptr;

__attribute__((constructor)) void SetUp() {
  const char* folder = getenv("KVD_FAIL_DIR");
  const char* path = getenv("KVD_FAIL_CONTROL");
  if (folder == nullptr || path == nullptr) return;
  directory = folder;
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) abort();
  void* memory =
      mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) abort();
  close(fd);
  control = static_cast<Control*>(memory);
}

template <typename Function>
Function* Real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}
#define REAL(name) static const auto real = Real<decltype(name)>(#name)

bool IsOurs(int fd) { return fd >= 0 && fd < kDescriptors && ours[fd]; }
bool IsOurs(const char* path) {
  return control != nullptr && path != nullptr &&
         std::strncmp(path, directory.c_str(), directory.size()) == 0;
}
bool IsOurs(int at, const char* path) {
  return path != nullptr && path[0] == '/' ? IsOurs(path) : IsOurs(at);
}

enum class Outcome { kGoOn, kFail, kShort };

Outcome OutcomeOf(Call call) {
  ++control->counts[call];
  if (control->armed == 0 || control->call != call) return Outcome::kGoOn;
  const uint64_t n = control->seen++;
  const bool met =
      n == control->nth || (n > control->nth && control->for_ever != 0);
  if (!met) return Outcome::kGoOn;
  ++control->failed;
  if (control->sys_errno == 0) return Outcome::kShort;
  errno = control->sys_errno;
  return Outcome::kFail;
}

// Whether the call fails now, with errno set. What cannot be short goes on.
bool Fails(Call call, bool is_ours) {
  return is_ours && OutcomeOf(call) == Outcome::kFail;
}

// The same for `*size` bytes.
bool FailsOrShort(Call call, bool is_ours, size_t* size) {
  if (!is_ours) return false;
  const Outcome outcome = OutcomeOf(call);
  if (outcome == Outcome::kShort && *size > 1) *size /= 2;
  return outcome == Outcome::kFail;
}

int Opened(int fd, bool is_ours) {
  if (fd >= 0 && fd < kDescriptors) ours[fd] = is_ours;
  return fd;
}

mode_t ModeOf(int flags, va_list more) {
  const bool makes = (flags & (O_CREAT | O_TMPFILE)) != 0;
  return makes ? static_cast<mode_t>(va_arg(more, unsigned)) : 0;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  REAL(open);
  va_list more;
  va_start(more, flags);
  const mode_t mode = ModeOf(flags, more);
  va_end(more);
  const bool is_ours = IsOurs(path);
  if (Fails(kOpen, is_ours)) return -1;
  return Opened(real(path, flags, mode), is_ours);
}

int openat(int at, const char* path, int flags, ...) {
  REAL(openat);
  va_list more;
  va_start(more, flags);
  const mode_t mode = ModeOf(flags, more);
  va_end(more);
  const bool is_ours = IsOurs(at, path);
  if (Fails(kOpen, is_ours)) return -1;
  return Opened(real(at, path, flags, mode), is_ours);
}

int close(int fd) {
  REAL(close);
  if (fd >= 0 && fd < kDescriptors) ours[fd] = false;
  return real(fd);
}

ssize_t pread(int fd, void* out, size_t size, off_t offset) {
  REAL(pread);
  if (FailsOrShort(kRead, IsOurs(fd), &size)) return -1;
  return real(fd, out, size, offset);
}

ssize_t preadv2(int fd, const iovec* out, int count, off_t offset, int flags) {
  REAL(preadv2);
  if (Fails(kRead, IsOurs(fd))) return -1;
  return real(fd, out, count, offset, flags);
}

ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  REAL(pwrite);
  if (FailsOrShort(kWrite, IsOurs(fd), &size)) return -1;
  return real(fd, bytes, size, offset);
}

int fsync(int fd) {
  REAL(fsync);
  return Fails(kSync, IsOurs(fd)) ? -1 : real(fd);
}

int fdatasync(int fd) {
  REAL(fdatasync);
  return Fails(kSync, IsOurs(fd)) ? -1 : real(fd);
}

int fallocate(int fd, int mode, off_t offset, off_t size) {
  REAL(fallocate);
  return Fails(kAllocate, IsOurs(fd)) ? -1 : real(fd, mode, offset, size);
}

int ftruncate(int fd, off_t size) noexcept {
  REAL(ftruncate);
  return Fails(kTruncate, IsOurs(fd)) ? -1 : real(fd, size);
}

int renameat(int from_at, const char* from, int to_at,
             const char* to) noexcept {
  REAL(renameat);
  if (Fails(kRename, IsOurs(from_at, from))) return -1;
  return real(from_at, from, to_at, to);
}

int renameat2(int from_at, const char* from, int to_at, const char* to,
              unsigned flags) noexcept {
  REAL(renameat2);
  if (Fails(kRename, IsOurs(from_at, from))) return -1;
  return real(from_at, from, to_at, to, flags);
}

int unlinkat(int at, const char* path, int flags) noexcept {
  REAL(unlinkat);
  return Fails(kUnlink, IsOurs(at, path)) ? -1 : real(at, path, flags);
}

int fstat(int fd, struct stat* out) noexcept {
  REAL(fstat);
  return Fails(kStat, IsOurs(fd)) ? -1 : real(fd, out);
}

int stat(const char* path, struct stat* out) noexcept {
  static const auto real = Real<int(const char*, struct stat*)>("stat");
  return Fails(kStat, IsOurs(path)) ? -1 : real(path, out);
}

int fstatat(int at, const char* path, struct stat* out, int flags) noexcept {
  REAL(fstatat);
  return Fails(kStat, IsOurs(at, path)) ? -1 : real(at, path, out, flags);
}

int statx(int at, const char* path, int flags, unsigned mask,
          struct statx* out) noexcept {
  static const auto real =
      Real<int(int, const char*, int, unsigned, struct statx*)>("statx");
  return Fails(kStat, IsOurs(at, path)) ? -1 : real(at, path, flags, mask, out);
}

int fstatvfs(int fd, struct statvfs* out) noexcept {
  REAL(fstatvfs);
  return Fails(kFreeSpace, IsOurs(fd)) ? -1 : real(fd, out);
}

int fstatfs(int fd, struct statfs* out) noexcept {
  REAL(fstatfs);
  return Fails(kFreeSpace, IsOurs(fd)) ? -1 : real(fd, out);
}

DIR* fdopendir(int fd) {
  REAL(fdopendir);
  DIR* stream = real(fd);
  if (IsOurs(fd)) our_stream = stream;
  return stream;
}

dirent* readdir(DIR* stream) {
  REAL(readdir);
  return Fails(kList, stream == our_stream) ? nullptr : real(stream);
}

int io_uring_queue_init(unsigned, io_uring*, unsigned) { return -ENOSYS; }

}  // extern "C"
