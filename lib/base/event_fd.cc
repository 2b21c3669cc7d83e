// SPDX-License-Identifier: MIT
#include "base/event_fd.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#include "base/check.h"

namespace kvd {

EventFd::EventFd() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  KVD_CHECK(fd_);
}

void EventFd::Signal() {
  if (signalled_.exchange(true)) return;
  const uint64_t one = 1;
  // Fails only when the counter is full, and then it is readable.
  [[maybe_unused]] const ssize_t put = write(fd_.get(), &one, sizeof one);
}

void EventFd::Clear() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = read(fd_.get(), &count, sizeof count);
  signalled_ = false;
}

}  // namespace kvd
