// SPDX-License-Identifier: MIT
//
// The listening socket. kvd makes its own because libuv cuts long paths in
// silence, unlinks by name on close whoever owns the name by then, widens
// access only, and can spin when descriptors run out.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"
#include "config/config.h"
#include "daemon/loop/event_loop.h"

namespace kvd {

// A Unix socket that listens, and its name in the file system.
// Thread: one at a time.
class ListeningSocket {
 public:
  // Refuses (kInvalid) settings with which Bind() cannot succeed: a path that
  // is too long, an unknown group. Changes nothing.
  static Result<void> Check(const Config::Socket& socket);
  // Binds a temporary name beside `socket.path`, with the mode and group asked
  // for, and listens there: no client can find it before Publish(). Refuses
  // what Check() does, a path where a daemon answers (kHeld), and (kExists) a
  // symbolic link or something else than a socket.
  static Result<std::unique_ptr<ListeningSocket>> Bind(
      const Config::Socket& socket);
  // Takes over a socket that the service manager made; its name stays the
  // manager's.
  static Result<std::unique_ptr<ListeningSocket>> Adopt(UniqueFd fd);

  // Closes the socket and removes its name, unless the name is somebody else's
  // by now.
  ~ListeningSocket();
  ListeningSocket(const ListeningSocket&) = delete;
  ListeningSocket& operator=(const ListeningSocket&) = delete;

  // Renames the temporary name over the path; a stale socket there vanishes.
  // Checks again that no daemon answers.
  Result<void> Publish();

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

 private:
  ListeningSocket(UniqueFd fd, std::string path)
      : fd_(std::move(fd)), path_(std::move(path)) {}
  Result<void> BindTo(const Config::Socket& socket);

  UniqueFd fd_;
  const std::string path_;
  std::string name_;  // What to unlink; empty: nothing.
  ino_t inode_ = 0;
};

// Who is at the other end of a connected socket, by the kernel's word.
struct Peer {
  pid_t pid = -1;
  uid_t uid = static_cast<uid_t>(-1);
};
Peer PeerOf(int client_fd);

// Accepts clients of a listening socket. When descriptors run out it pauses for
// a moment instead of asking again at once. Thread: loop.
class Acceptor {
 public:
  // `on_client` gets each new client's socket, non-blocking.
  Acceptor(EventLoop& loop, int listening_fd,
           std::function<void(UniqueFd)> on_client);

 private:
  void Start();
  void Accept();
  void Pause(int sys_errno);

  const int listening_fd_;
  std::function<void(UniqueFd)> on_client_;
  UvPtr<uv_poll_t> poll_;
  Timer resume_;
};

}  // namespace kvd
