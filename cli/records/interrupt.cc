// SPDX-License-Identifier: MIT
#include "cli/records/interrupt.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>

#include "base/check.h"

namespace kvctl {
namespace {

volatile sig_atomic_t interrupted = 0;
// The handler writes a byte into it: a signal that comes just before poll() is
// noticed there, too. -1: SIGINT is ignored, as a shell has its background jobs
// do.
int pipe_in = -1;
int pipe_out = -1;

void OnInterrupt(int) {
  const int saved = errno;
  interrupted = 1;
  const char byte = 0;
  // It cannot be full.
  [[maybe_unused]] const ssize_t written = ::write(pipe_in, &byte, 1);
  errno = saved;
}

bool IsIgnored() {
  struct sigaction action = {};
  return ::sigaction(SIGINT, nullptr, &action) == 0 &&
         action.sa_handler == SIG_IGN;
}

}  // namespace

InterruptCatcher::InterruptCatcher() {
  interrupted = 0;
  if (IsIgnored()) return;
  int ends[2];
  KVD_CHECK(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
  pipe_out = ends[0];
  pipe_in = ends[1];
  struct sigaction action = {};
  action.sa_handler = OnInterrupt;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGINT, &action, nullptr);
}

InterruptCatcher::~InterruptCatcher() {
  if (pipe_in < 0) return;
  ::signal(SIGINT, SIG_DFL);
  ::close(pipe_in);
  ::close(pipe_out);
  pipe_in = -1;
  pipe_out = -1;
}

bool Interrupted() { return interrupted != 0; }

void AwaitInput(int fd) {
  // A negative descriptor is left out.
  pollfd polled[] = {{fd, POLLIN, 0}, {pipe_out, POLLIN, 0}};
  ::poll(polled, 2, -1);
}

}  // namespace kvctl
