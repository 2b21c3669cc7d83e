// SPDX-License-Identifier: MIT
#include "base/unique_fd.h"

#include <unistd.h>

namespace kvd {

void UniqueFd::Reset(int fd) {
  // EINTR included: on Linux the descriptor is gone whatever close() says.
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

}  // namespace kvd
