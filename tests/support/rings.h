// SPDX-License-Identifier: MIT
#pragma once

#include <poll.h>

#include <string>

#include "base/check.h"
#include "base/event_fd.h"
#include "fs/posix_file_system.h"

namespace kvd {

// Whether this kernel writes files of that directory through io_uring: not
// every file system and not every container does.
inline bool HasRings(const std::string& path) {
  auto directory = OpenPosixDirectory(path, {});
  KVD_CHECK(directory.ok());
  EventFd event;
  return (*directory)->NewDurableWriter(WriteDevice::kRing, event.wake()).ok();
}

// Sleeps until somebody wakes, as a loop does.
inline void AwaitWake(EventFd& event) {
  pollfd polled = {event.fd(), POLLIN, 0};
  while (poll(&polled, 1, -1) != 1) {
  }
  event.Clear();
}

}  // namespace kvd
