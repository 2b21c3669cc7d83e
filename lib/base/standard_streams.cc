// SPDX-License-Identifier: MIT
#include "base/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <initializer_list>

namespace kvd {

bool KeepStandardStreams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    // Opened the wrong way round, so that its use fails.
    const int flags = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;
    // Those below are open, so this is the lowest free number.
    if (::open("/dev/null", flags) != fd) return false;
  }
  return true;
}

}  // namespace kvd
