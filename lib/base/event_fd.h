// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>

#include "base/executor.h"
#include "base/unique_fd.h"

namespace kvd {

// The eventfd behind a Wake: threads and the kernel signal it, a loop polls it.
class EventFd {
 public:
  // Fails the process when there is no descriptor to be had.
  EventFd();

  // Thread: any.
  void Signal();
  // Before the loop looks at its mailboxes: whoever comes during that signals
  // anew. Thread: the loop's.
  void Clear();

  // Readable once it was signalled.
  int fd() const { return fd_.get(); }
  // It may be called until this is destroyed.
  Wake wake() {
    return Wake([this] { Signal(); }, fd());
  }

 private:
  // Whether it was signalled since the loop last looked: who wakes often pays
  // for one system call.
  std::atomic<bool> signalled_ = false;
  UniqueFd fd_;
};

}  // namespace kvd
