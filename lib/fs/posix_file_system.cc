// SPDX-License-Identifier: MIT
#include "fs/posix_file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <memory>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "base/unique_fd.h"
#include "fs/posix_file.h"
#include "fs/ring_durable_writer.h"
#include "fs/ring_read_queue.h"
#include "fs/system_call.h"
#include "fs/thread_durable_writer.h"
#include "fs/zero_trial.h"

namespace kvd {
namespace {

constexpr mode_t kDirectoryMode = 0700;
constexpr mode_t kFileMode = 0600;

class PosixDirectory final : public Directory {
 public:
  PosixDirectory(UniqueFd fd, std::string path, bool read_only)
      : fd_(std::move(fd)), path_(std::move(path)), read_only_(read_only) {}

  const std::string& path() const override { return path_; }

  Result<std::unique_ptr<File>> Create(std::string_view name) override {
    KVD_TRY(CheckWritable("create", name));
    return OpenFile(name, O_RDWR | O_CREAT | O_EXCL, "create");
  }

  Result<std::unique_ptr<File>> Open(std::string_view name,
                                     OpenMode mode) override {
    switch (mode) {
      case OpenMode::kRead:
        return OpenFile(name, O_RDONLY, "open");
      case OpenMode::kReadHere: {
        KVD_TRY_ASSIGN(auto file, OpenFile(name, O_RDONLY, "open"));
        static_cast<PosixFile&>(*file).ReadNothingAhead();
        return file;
      }
      case OpenMode::kReadWrite:
        break;
    }
    KVD_TRY(CheckWritable("open", name));
    return OpenFile(name, O_RDWR, "open");
  }

  Result<std::vector<std::string>> List() override {
    // A descriptor of its own, since reading moves its position.
    UniqueFd fd(openat(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return FailErrno("list {}", path_);
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(fd.get()),
                                                     closedir);
    if (!stream) return FailErrno("list {}", path_);
    fd.Release();  // The stream closes it.
    std::vector<std::string> names;
    while (true) {
      errno = 0;
      const dirent* entry = readdir(stream.get());
      if (entry == nullptr) break;
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    if (errno != 0) return FailErrno("list {}", path_);
    return names;
  }

  Result<void> Remove(std::string_view name) override {
    KVD_TRY(CheckWritable("remove", name));
    if (unlinkat(fd_.get(), std::string(name).c_str(), 0) < 0) {
      return FailErrno("remove {}", PathOf(name));
    }
    return {};
  }

  Result<void> Rename(std::string_view from, std::string_view to) override {
    KVD_TRY(CheckWritable("rename", from));
    CheckFileName(to);
    if (renameat(fd_.get(), std::string(from).c_str(), fd_.get(),
                 std::string(to).c_str()) < 0) {
      return FailErrno("rename {} to {}", PathOf(from), to);
    }
    return {};
  }

  Result<bool> Exchange(std::string_view a, std::string_view b) override {
    KVD_TRY(CheckWritable("exchange", a));
    CheckFileName(b);
    if (renameat2(fd_.get(), std::string(a).c_str(), fd_.get(),
                  std::string(b).c_str(), RENAME_EXCHANGE) == 0) {
      return true;
    }
    if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP) return false;
    return FailErrno("exchange {} and {}", PathOf(a), b);
  }

  Result<void> Sync() override {
    if (Retry([&] { return fsync(fd_.get()); }) < 0) {
      return FailErrno("sync directory {}", path_);
    }
    return {};
  }

  std::vector<Missing> FindMissing(
      std::span<const ExpectedFile> files) override {
    std::vector<Missing> missing;
    if (std::string what = FindDirectory(); !what.empty()) {
      missing.push_back({"", std::move(what)});
    }
    for (const ExpectedFile& file : files) {
      if (std::string what = FindFile(file); !what.empty()) {
        missing.push_back({file.name, std::move(what)});
      }
    }
    return missing;
  }

  Result<void> Lock() override {
    if (Retry([&] { return flock(fd_.get(), LOCK_EX | LOCK_NB); }) < 0) {
      if (errno == EWOULDBLOCK) return FailHeld(path_, ReadHolder());
      return FailErrno("lock {}", path_);
    }
    if (!read_only_) WriteHolder();
    return {};
  }

  Result<uint64_t> FreeBytes() override {
    struct statvfs info;
    if (Retry([&] { return fstatvfs(fd_.get(), &info); }) < 0) {
      return FailErrno("ask for the free space of {}", path_);
    }
    return uint64_t{info.f_bavail} * info.f_frsize;
  }

  std::optional<uint64_t> ZeroingLimit() override {
    UniqueFd fd = NamelessFile(fd_.get());
    if (!fd) return {};
    PosixFile file(std::move(fd), path_ + "/(zero trial)");
    const auto times = TryZeros(file);
    if (!times) return {};
    return kvd::ZeroingLimit(*times);
  }

  Result<std::unique_ptr<DurableWriter>> NewDurableWriter(WriteDevice device,
                                                          Wake wake) override {
    std::string why_no_ring;  // It was not asked for.
    if (device != WriteDevice::kThread) {
      auto ring = NewRingWriter(device, wake.event_fd());
      if (ring) return std::move(*ring);
      if (device == WriteDevice::kRing) return Unexpected(ring.error());
      why_no_ring = ring.error().message();
    }
    try {
      return std::make_unique<ThreadDurableWriter>(
          "kvd-log", std::move(why_no_ring), std::move(wake));
    } catch (const std::system_error& error) {
      return Unexpected(Error::FromErrno(
          error.code().value(),
          fmt::format("start the writing thread of {}", path_)));
    }
  }

  std::unique_ptr<ReadQueue> NewReadQueue(size_t reads_max,
                                          Wake wake) override {
    auto ring = Ring::Make(static_cast<unsigned>(reads_max), wake.event_fd(),
                           Ring::Work::kWhenAsked);
    if (!ring) return nullptr;
    return std::make_unique<RingReadQueue>(std::move(*ring), reads_max,
                                           std::move(wake));
  }

 private:
  std::string PathOf(std::string_view name) const {
    return fmt::format("{}/{}", path_, name);
  }

  Result<std::unique_ptr<RingDurableWriter>> NewRingWriter(WriteDevice device,
                                                           int event_fd) {
    KVD_TRY_ASSIGN(auto ring, RingDurableWriter::Make(event_fd));
    const Result<void> works = RingDurableWriter::Probe(fd_.get(), path_);
    if (works) return ring;
    // A store on a full disk has to open: there, whoever asked for it knows.
    const bool untold = NeedsRoom(works.error());
    if (device == WriteDevice::kRing && untold) return ring;
    return Unexpected(works.error());
  }

  // What is wrong with the directory; empty for nothing.
  std::string FindDirectory() {
    struct stat held;
    struct stat named;
    if (fstat(fd_.get(), &held) < 0) return ErrnoIfLost(path_);
    if (held.st_nlink == 0) {
      return fmt::format("data directory {} was removed", path_);
    }
    if (stat(path_.c_str(), &named) < 0) {
      if (errno != ENOENT && errno != ENOTDIR) return ErrnoIfLost(path_);
      return fmt::format(
          "data directory {} is not there any more: it was removed or renamed, "
          "or its file system was unmounted",
          path_);
    }
    if (held.st_dev != named.st_dev || held.st_ino != named.st_ino) {
      return fmt::format(
          "{} is another directory now: the data directory was renamed, or "
          "something was mounted over it or unmounted",
          path_);
    }
    struct statvfs info;
    if (fstatvfs(fd_.get(), &info) < 0) return ErrnoIfLost(path_);
    if ((info.f_flag & ST_RDONLY) != 0 && !read_only_) {
      return fmt::format(
          "the file system of data directory {} has become read-only", path_);
    }
    return {};
  }

  std::string FindFile(const ExpectedFile& file) {
    CheckFileName(file.name);
    struct stat info;
    if (fstatat(fd_.get(), file.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) {
      if (errno != ENOENT) return ErrnoIfLost(PathOf(file.name));
      return fmt::format("{} is not there any more", PathOf(file.name));
    }
    if (!S_ISREG(info.st_mode) ||
        (file.identity != 0 && file.identity != info.st_ino)) {
      return fmt::format("{} is another file now", PathOf(file.name));
    }
    const auto bytes = static_cast<uint64_t>(info.st_size);
    if (bytes >= file.bytes_min) return {};
    return fmt::format("{} has {} bytes, and must have {}", PathOf(file.name),
                       bytes, file.bytes_min);
  }

  // What errno says of a disk that is lost; empty for what may pass.
  static std::string ErrnoIfLost(const std::string& path) {
    const int sys_errno = errno;
    if (!IsLostStorage(sys_errno) && sys_errno != EIO) return {};
    return Error::FromErrno(sys_errno, fmt::format("look at {}", path))
        .message();
  }

  Result<void> CheckWritable(std::string_view what, std::string_view name) {
    CheckFileName(name);
    if (!read_only_) return {};
    return Fail(ErrorCode::kPermission,
                "{} {}: the directory was opened for reading only", what,
                PathOf(name));
  }

  UniqueFd OpenFd(std::string_view name, int flags) {
    // Not to block on a planted FIFO; files do not know O_NONBLOCK.
    return UniqueFd(Retry([&] {
      return openat(fd_.get(), std::string(name).c_str(),
                    flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, kFileMode);
    }));
  }

  Result<std::unique_ptr<File>> OpenFile(std::string_view name, int flags,
                                         std::string_view what) {
    CheckFileName(name);
    std::string path = PathOf(name);
    UniqueFd fd = OpenFd(name, flags);
    if (!fd && errno == ELOOP) {
      return Fail(ErrorCode::kInvalid,
                  "{} {}: it is a symbolic link, and kvd follows none", what,
                  path);
    }
    if (!fd) return FailErrno("{} {}", what, path);
    struct stat info;
    if (fstat(fd.get(), &info) < 0) return FailErrno("stat {}", path);
    if (!S_ISREG(info.st_mode)) {
      return Fail(ErrorCode::kInvalid, "{} {}: it is not a regular file", what,
                  path);
    }
    return std::make_unique<PosixFile>(std::move(fd), std::move(path),
                                       info.st_ino);
  }

  // The process that LOCK names, if it is alive; otherwise LOCK is a leftover
  // and names nobody: 0.
  pid_t ReadHolder() {
    Result<std::string> text = ReadWholeFile(*this, kLockFileName);
    pid_t pid = 0;
    if (!text) return 0;
    std::from_chars(text->data(), text->data() + text->size(), pid);
    if (pid <= 0 || (kill(pid, 0) < 0 && errno == ESRCH)) return 0;
    return pid;
  }

  // Only for people, so that a failure (a full disk, say) is no reason not to
  // start.
  void WriteHolder() {
    const UniqueFd fd(openat(
        fd_.get(), std::string(kLockFileName).c_str(),
        O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, kFileMode));
    if (!fd) return;
    const std::string text = fmt::format("{}\n", getpid());
    if (ftruncate(fd.get(), 0) < 0) return;
    [[maybe_unused]] const ssize_t put =
        pwrite(fd.get(), text.data(), text.size(), 0);
  }

  UniqueFd fd_;
  std::string path_;
  bool read_only_;
};

// Makes `path` when it is missing. Its name may have been left unsynced by an
// earlier start that crashed, so the parent is synced in any case.
Result<void> CreateDirectory(const std::string& path) {
  const bool created = mkdir(path.c_str(), kDirectoryMode) == 0;
  if (!created && errno != EEXIST) {
    return FailErrno("create data directory {}", path);
  }
  const UniqueFd parent(Retry([&] {
    return open((path + "/..").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  }));
  // Whoever made a directory below a parent that we may not read (an
  // administrator, systemd) is not us.
  if (!parent && !created) return {};
  if (!parent || Retry([&] { return fsync(parent.get()); }) < 0) {
    return FailErrno("sync the parent of data directory {}", path);
  }
  return {};
}

Result<void> CheckLocal(int fd, const std::string& path) {
  struct statfs info;
  if (Retry([&] { return fstatfs(fd, &info); }) < 0) {
    return FailErrno("ask for the file system of {}", path);
  }
  const std::string_view name =
      NetworkFileSystemName(static_cast<int64_t>(info.f_type));
  if (name.empty()) return {};
  return Fail(ErrorCode::kInvalid,
              "data directory {} is on a network file system ({}), whose locks "
              "and syncs do not give what kvd promises",
              path, name);
}

Result<void> CheckPrivate(int fd, const std::string& path) {
  struct stat info;
  if (fstat(fd, &info) < 0) return FailErrno("stat {}", path);
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) == 0) return {};
  return Fail(ErrorCode::kInvalid,
              "data directory {} can be written by others than its owner (mode "
              "{:04o}), who could replace the data. To forbid that:  "
              "chmod go-w {}",
              path, info.st_mode & 07777, path);
}

}  // namespace

Result<std::unique_ptr<Directory>> OpenPosixDirectory(
    const std::string& path, PosixDirectoryOptions options) {
  if (options.create) {
    KVD_CHECK(!options.read_only);
    KVD_TRY(CreateDirectory(path));
  }
  UniqueFd fd(Retry(
      [&] { return open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (!fd && errno == ENOTDIR) {
    return Fail(ErrorCode::kInvalid, "{} is not a directory", path);
  }
  if (!fd) return FailErrno("open data directory {}", path);
  KVD_TRY(CheckLocal(fd.get(), path));
  if (options.private_only) KVD_TRY(CheckPrivate(fd.get(), path));
  return std::make_unique<PosixDirectory>(std::move(fd), path,
                                          options.read_only);
}

std::string_view NetworkFileSystemName(int64_t statfs_type) {
  // f_type is signed, the magics are not: compare 32 bits.
  switch (static_cast<uint32_t>(statfs_type)) {
    case NFS_SUPER_MAGIC:
      return "NFS";
    case SMB_SUPER_MAGIC:
    case CIFS_SUPER_MAGIC:
    case SMB2_SUPER_MAGIC:
      return "SMB";
    case AFS_SUPER_MAGIC:
    case AFS_FS_MAGIC:
      return "AFS";
    case CEPH_SUPER_MAGIC:
      return "Ceph";
    case CODA_SUPER_MAGIC:
      return "Coda";
    default:
      return {};
  }
}

}  // namespace kvd
