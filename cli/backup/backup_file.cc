// SPDX-License-Identifier: MIT
#include "cli/backup/backup_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <initializer_list>
#include <system_error>

namespace kvctl {
namespace {

constexpr mode_t kFileMode = 0600;  // It holds all of the data.
constexpr int kEndingSignals[] = {SIGHUP, SIGINT, SIGTERM};

// What a signal that ends kvctl has to remove; empty for nothing.
char partial_path[4096];

void RemovePartialAndEnd(int number) {
  if (partial_path[0] != '\0') unlink(partial_path);
  std::signal(number, SIG_DFL);
  std::raise(number);
}

tl::unexpected<Failure> FailErrno(std::string_view what,
                                  const std::string& path) {
  return Refuse(ExitCode::kLocalIo, "cannot {} {}: {}", what, path,
                std::generic_category().message(errno));
}

Attempt<void> SyncFolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder =
      slash == path.npos ? "." : path.substr(0, slash + 1);
  const kvd::UniqueFd fd(
      open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || fsync(fd.get()) != 0) return FailErrno("sync", folder);
  return {};
}

kvd::Result<size_t> ReadSome(int fd, const std::string& name,
                             std::span<char> out) {
  while (true) {
    const ssize_t got = ::read(fd, out.data(), out.size());
    if (got >= 0) return static_cast<size_t>(got);
    if (errno == EINTR) continue;
    return kvd::Unexpected(
        kvd::Error::FromErrno(errno, fmt::format("cannot read {}", name)));
  }
}

}  // namespace

Failure FailureOf(const kvd::Error& error) {
  switch (error.code()) {
    case kvd::ErrorCode::kCorruption:
      return {ExitCode::kDamage, error.message()};
    case kvd::ErrorCode::kInvalid:
    case kvd::ErrorCode::kFormat:
      return {ExitCode::kUsage, error.message()};
    default:
      return {ExitCode::kLocalIo, error.message()};
  }
}

// --- A new one --------------------------------------------------------------

Attempt<std::unique_ptr<NewBackupFile>> NewBackupFile::Create(
    const std::string& path) {
  if (path == "-") {
    return std::unique_ptr<NewBackupFile>(
        new NewBackupFile("standard output", "", STDOUT_FILENO, {}));
  }
  const std::string partial = fmt::format("{}.{}.partial", path, getpid());
  if (partial.size() >= sizeof partial_path) {
    return Refuse(ExitCode::kUsage, "the path of FILE is too long");
  }
  // Only a killed kvctl of the same pid can have left one.
  unlink(partial.c_str());
  kvd::UniqueFd fd(open(partial.c_str(),
                        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                        kFileMode));
  if (!fd) return FailErrno("make", partial);
  std::memcpy(partial_path, partial.c_str(), partial.size() + 1);
  for (const int number : kEndingSignals) {
    // Whoever started kvctl under nohup wants it to stay.
    if (std::signal(number, RemovePartialAndEnd) == SIG_IGN) {
      std::signal(number, SIG_IGN);
    }
  }
  const int number = fd.get();
  return std::unique_ptr<NewBackupFile>(
      new NewBackupFile(path, partial, number, std::move(fd)));
}

NewBackupFile::~NewBackupFile() {
  if (!partial_.empty()) unlink(partial_.c_str());
  partial_path[0] = '\0';
}

Attempt<void> NewBackupFile::Write(std::string_view bytes) {
  bytes_ += bytes.size();
  while (!bytes.empty()) {
    const ssize_t size = ::write(fd_, bytes.data(), bytes.size());
    if (size >= 0) {
      bytes.remove_prefix(static_cast<size_t>(size));
    } else if (errno == EAGAIN) {
      // Another program has made it non-blocking.
      pollfd room = {fd_, POLLOUT, 0};
      ::poll(&room, 1, -1);
    } else if (errno != EINTR) {
      return FailErrno("write", path_);
    }
  }
  return {};
}

Attempt<void> NewBackupFile::Commit() {
  if (partial_.empty()) return {};
  if (fsync(fd_) != 0) return FailErrno("sync", partial_);
  if (rename(partial_.c_str(), path_.c_str()) != 0) {
    return FailErrno("rename the backup to", path_);
  }
  partial_path[0] = '\0';
  partial_.clear();
  return SyncFolderOf(path_);
}

// --- One that is there ------------------------------------------------------

Attempt<std::unique_ptr<BackupInput>> BackupInput::Open(
    const std::string& path) {
  const bool is_input = path == "-";
  const std::string name = is_input ? "standard input" : path;
  kvd::UniqueFd fd(is_input ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                            : open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return FailErrno("read", name);
  std::unique_ptr<BackupInput> input(new BackupInput(name, std::move(fd)));
  auto reader = kvd::BackupReader::Open(
      name, [from = input->fd_.get(), name](std::span<char> out) {
        return ReadSome(from, name, out);
      });
  if (!reader) return Unexpected(FailureOf(reader.error()));
  input->reader_ = std::move(*reader);
  return input;
}

Attempt<kvd::BackupTrailer> BackupInput::ReadTrailer() const {
  struct stat status = {};
  if (fstat(fd_.get(), &status) != 0) return FailErrno("read", path_);
  if (!S_ISREG(status.st_mode)) {
    return Refuse(ExitCode::kUsage,
                  "--base: {} is not a file, whose end could be read", path_);
  }
  char bytes[kvd::kBackupTrailerBytes];
  const off_t before = status.st_size - static_cast<off_t>(sizeof bytes);
  const ssize_t got =
      before < 0 ? 0 : pread(fd_.get(), bytes, sizeof bytes, before);
  if (got < 0) return FailErrno("read", path_);
  const auto trailer = kvd::DecodeBackupTrailer(
      std::string_view(bytes, static_cast<size_t>(got)));
  if (!trailer || trailer->bytes != static_cast<uint64_t>(before)) {
    return Refuse(
        ExitCode::kDamage,
        "{}: it is cut, or its end is damaged\n  Nothing can build on "
        "it. Make a full backup.",
        path_);
  }
  return *trailer;
}

bool BackupInput::IsSameFile(const std::string& path) const {
  struct stat mine = {};
  struct stat other = {};
  return fstat(fd_.get(), &mine) == 0 && stat(path.c_str(), &other) == 0 &&
         mine.st_dev == other.st_dev && mine.st_ino == other.st_ino;
}

}  // namespace kvctl
