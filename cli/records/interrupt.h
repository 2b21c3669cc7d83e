// SPDX-License-Identifier: MIT
#pragma once

namespace kvctl {

// While one lives, the first SIGINT does not end kvctl: it makes Interrupted()
// true. A second one ends it as usual. One at a time.
class InterruptCatcher {
 public:
  InterruptCatcher();
  ~InterruptCatcher();
  InterruptCatcher(const InterruptCatcher&) = delete;
  InterruptCatcher& operator=(const InterruptCatcher&) = delete;
};

bool Interrupted();

// Waits until `fd` can be read or kvctl is interrupted.
void AwaitInput(int fd);

}  // namespace kvctl
