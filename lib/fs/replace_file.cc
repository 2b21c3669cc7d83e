// SPDX-License-Identifier: MIT
#include "fs/replace_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <tuple>

#include "base/free_deleter.h"
#include "base/unique_fd.h"
#include "fs/system_call.h"

namespace kvd {
namespace {

// A file beside another one, which is gone again unless it takes its place.
class FileBeside {
 public:
  FileBeside(std::string path, UniqueFd fd)
      : path_(std::move(path)), fd_(std::move(fd)) {}
  ~FileBeside() {
    if (!path_.empty()) unlink(path_.c_str());
  }
  FileBeside(const FileBeside&) = delete;
  FileBeside& operator=(const FileBeside&) = delete;

  Result<void> Write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t written =
          Retry([&] { return write(fd_.get(), bytes.data(), bytes.size()); });
      if (written < 0) return FailErrno("write {}", path_);
      bytes.remove_prefix(static_cast<size_t>(written));
    }
    return {};
  }

  Result<void> Resemble(const struct stat& other) {
    // Only root may give files away, and others need not.
    std::ignore = fchown(fd_.get(), other.st_uid, other.st_gid);
    constexpr mode_t kPermissions = 07777;
    if (fchmod(fd_.get(), other.st_mode & kPermissions) < 0) {
      return FailErrno("chmod {}", path_);
    }
    return {};
  }

  Result<void> TakePlaceOf(const std::string& path) {
    if (fsync(fd_.get()) < 0) return FailErrno("sync {}", path_);
    if (rename(path_.c_str(), path.c_str()) < 0) {
      return FailErrno("rename {}", path_);
    }
    path_.clear();
    return {};
  }

 private:
  std::string path_;
  UniqueFd fd_;
};

Result<void> SyncFolderOf(const std::string& path) {
  const std::string folder = path.substr(0, path.rfind('/') + 1);
  const UniqueFd fd(Retry([&] {
    return open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  }));
  if (!fd || fsync(fd.get()) < 0) return FailErrno("sync {}", folder);
  return {};
}

}  // namespace

Result<void> ReplaceFile(const std::string& path, std::string_view contents) {
  const std::unique_ptr<char, FreeDeleter> real(
      realpath(path.c_str(), nullptr));
  if (real == nullptr) return FailErrno("{}", path);
  const std::string target = real.get();
  struct stat old;
  if (stat(target.c_str(), &old) < 0) return FailErrno("{}", target);
  if (!S_ISREG(old.st_mode)) {
    return Fail(ErrorCode::kInvalid, "{}: it is not a regular file", target);
  }
  const std::string name = target + ".new." + std::to_string(getpid());
  // Only a crashed kvd of the same pid can have left one.
  unlink(name.c_str());
  UniqueFd fd(Retry([&] {
    return open(name.c_str(),
                O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  }));
  if (!fd) return FailErrno("{}", name);
  FileBeside file(name, std::move(fd));
  KVD_TRY(file.Write(contents));
  KVD_TRY(file.Resemble(old));
  KVD_TRY(file.TakePlaceOf(target));
  return SyncFolderOf(target);
}

}  // namespace kvd
