// SPDX-License-Identifier: MIT
#include "daemon/loop/listener.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "daemon/host/logging.h"

namespace kvd {
namespace {

// sun_path holds 108 bytes and ends with a zero.
constexpr size_t kPathBytesMax = sizeof(sockaddr_un::sun_path) - 1;
constexpr int kBacklog = 4096;  // The kernel's somaxconn cuts it.
// Accepted in one go, so that a flood of clients does not starve those served.
constexpr int kAcceptsPerWake = 64;
constexpr int64_t kPauseMs = 100;

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  KVD_CHECK(path.size() <= kPathBytesMax);
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// A temporary name in the same directory; not longer than the path by so much
// that it no longer fits.
std::string TemporaryName(const std::string& path) {
  const std::string suffix = "." + std::to_string(getpid());
  std::string name = path + suffix;
  if (name.size() <= kPathBytesMax) return name;
  const size_t slash = path.find_last_of('/');
  const std::string directory =
      slash == std::string::npos ? "" : path.substr(0, slash + 1);
  return directory + suffix;
}

// Whatever the process's id is: the same path must be good at each start.
Result<void> CheckLength(const std::string& path) {
  constexpr size_t kSuffixBytesMax = sizeof(".4194304") - 1;
  const size_t slash = path.find_last_of('/');
  const size_t folder_bytes = slash == std::string::npos ? 0 : slash + 1;
  if (path.size() <= kPathBytesMax &&
      folder_bytes + kSuffixBytesMax <= kPathBytesMax) {
    return {};
  }
  return Fail(ErrorCode::kInvalid,
              "socket.path {} has {} bytes, {} of them for the folder; the "
              "limits are {} and {}",
              path, path.size(), folder_bytes, kPathBytesMax,
              kPathBytesMax - kSuffixBytesMax);
}

Result<UniqueFd> NewSocket() {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return Unexpected(Error::FromErrno(errno, "socket"));
  return fd;
}

// Whether the path may be taken over: nothing there, or a socket on which
// nobody listens.
Result<void> CheckFree(const std::string& path) {
  struct stat found;
  if (lstat(path.c_str(), &found) != 0) {
    if (errno == ENOENT) return {};
    return Unexpected(Error::FromErrno(errno, path));
  }
  if (S_ISLNK(found.st_mode)) {
    return Fail(ErrorCode::kExists,
                "socket {} is a symbolic link; give the real path", path);
  }
  if (!S_ISSOCK(found.st_mode)) {
    return Fail(ErrorCode::kExists,
                "socket {} exists and is not a socket; it stays untouched",
                path);
  }
  KVD_TRY_ASSIGN(const UniqueFd probe, NewSocket());
  const sockaddr_un address = AddressOf(path);
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address),
              sizeof(address)) == 0 ||
      errno == EAGAIN) {  // Its backlog is full: somebody listens.
    return Fail(ErrorCode::kHeld,
                "socket {} is in use: another daemon answers there; stop it or "
                "choose another path with --socket",
                path);
  }
  if (errno == ECONNREFUSED || errno == ENOENT) return {};
  return Unexpected(Error::FromErrno(errno, "cannot look at socket " + path));
}

Result<gid_t> GroupId(const std::string& name) {
  errno = 0;
  const group* found = getgrnam(name.c_str());
  if (found == nullptr) {
    // Then it is not known whether there is one: asking failed.
    if (errno == EIO || errno == EINTR || errno == EMFILE || errno == ENFILE ||
        errno == ENOMEM) {
      return Unexpected(Error::FromErrno(errno, "look up group " + name));
    }
    return Fail(ErrorCode::kInvalid, "socket.group: no such group: {}", name);
  }
  return found->gr_gid;
}

}  // namespace

Result<void> ListeningSocket::Check(const Config::Socket& socket) {
  KVD_TRY(CheckLength(socket.path));
  if (!socket.group.empty()) KVD_TRY(GroupId(socket.group));
  return {};
}

Result<std::unique_ptr<ListeningSocket>> ListeningSocket::Bind(
    const Config::Socket& socket) {
  const std::string& path = socket.path;
  KVD_TRY(Check(socket));
  KVD_TRY(CheckFree(path));
  KVD_TRY_ASSIGN(UniqueFd fd, NewSocket());
  std::unique_ptr<ListeningSocket> listening(
      new ListeningSocket(std::move(fd), path));
  KVD_TRY(listening->BindTo(socket));
  return listening;
}

Result<void> ListeningSocket::BindTo(const Config::Socket& socket) {
  const std::string name = TemporaryName(path_);
  // Only a crashed kvd of the same pid can have left one.
  unlink(name.c_str());
  const sockaddr_un address = AddressOf(name);
  if (bind(fd(), reinterpret_cast<const sockaddr*>(&address),
           sizeof(address)) != 0) {
    return Unexpected(Error::FromErrno(errno, "cannot make socket " + path_));
  }
  name_ = name;
  struct stat made;
  if (lstat(name.c_str(), &made) != 0) {
    return Unexpected(Error::FromErrno(errno, name));
  }
  inode_ = made.st_ino;
  if (!socket.group.empty()) {
    KVD_TRY_ASSIGN(const gid_t group, GroupId(socket.group));
    if (lchown(name.c_str(), static_cast<uid_t>(-1), group) != 0) {
      return Unexpected(Error::FromErrno(
          errno, "cannot give socket " + path_ + " to group " + socket.group));
    }
  }
  if (chmod(name.c_str(), socket.mode) != 0) {
    return Unexpected(Error::FromErrno(errno, "chmod " + name));
  }
  if (listen(fd(), kBacklog) != 0) {
    return Unexpected(Error::FromErrno(errno, "cannot listen on " + path_));
  }
  return {};
}

Result<std::unique_ptr<ListeningSocket>> ListeningSocket::Adopt(UniqueFd fd) {
  sockaddr_un address = {};
  socklen_t size = sizeof(address);
  int listening = 0;
  socklen_t listening_size = sizeof(listening);
  if (getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) !=
          0 ||
      address.sun_family != AF_UNIX ||
      getsockopt(fd.get(), SOL_SOCKET, SO_ACCEPTCONN, &listening,
                 &listening_size) != 0 ||
      listening == 0) {
    return Fail(ErrorCode::kUnavailable,
                "the service manager passed something else than a listening "
                "Unix socket");
  }
  const int flags = fcntl(fd.get(), F_GETFL);
  if (flags < 0 || fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return Unexpected(Error::FromErrno(errno, "fcntl of the passed socket"));
  }
  return std::unique_ptr<ListeningSocket>(
      new ListeningSocket(std::move(fd), std::string(address.sun_path)));
}

Result<void> ListeningSocket::Publish() {
  if (name_.empty()) return {};
  KVD_TRY(CheckFree(path_));
  if (rename(name_.c_str(), path_.c_str()) != 0) {
    return Unexpected(Error::FromErrno(errno, "cannot make socket " + path_));
  }
  name_ = path_;
  return {};
}

ListeningSocket::~ListeningSocket() {
  if (name_.empty()) return;
  struct stat found;
  if (lstat(name_.c_str(), &found) == 0 && found.st_ino == inode_ &&
      S_ISSOCK(found.st_mode)) {
    unlink(name_.c_str());
  }
}

Peer PeerOf(int client_fd) {
  ucred credentials = {};
  socklen_t size = sizeof(credentials);
  if (getsockopt(client_fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) !=
      0) {
    return {};
  }
  return {credentials.pid, credentials.uid};
}

Acceptor::Acceptor(EventLoop& loop, int listening_fd,
                   std::function<void(UniqueFd)> on_client)
    : listening_fd_(listening_fd),
      on_client_(std::move(on_client)),
      resume_(loop, [this] { Start(); }) {
  auto* poll = new uv_poll_t;
  KVD_CHECK(uv_poll_init(loop.get(), poll, listening_fd) == 0);
  poll->data = this;
  poll_.reset(poll);
  Start();
}

void Acceptor::Start() {
  const auto on_ready = [](uv_poll_t* poll, int, int) {
    if (poll->data != nullptr) static_cast<Acceptor*>(poll->data)->Accept();
  };
  KVD_CHECK(uv_poll_start(poll_.get(), UV_READABLE, on_ready) == 0);
}

void Acceptor::Accept() {
  for (int i = 0; i < kAcceptsPerWake; ++i) {
    UniqueFd client(
        accept4(listening_fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (client) {
      on_client_(std::move(client));
      continue;
    }
    switch (errno) {
      case EAGAIN:
        return;
      case EINTR:
      case ECONNABORTED:
        continue;
      default:
        return Pause(errno);
    }
  }
}

void Acceptor::Pause(int sys_errno) {
  LogWarning("cannot accept clients for now: {}", std::strerror(sys_errno));
  uv_poll_stop(poll_.get());
  resume_.Start(kPauseMs);
}

}  // namespace kvd
