// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>

#include "base/executor.h"
#include "base/unique_fd.h"

namespace kvd {

// The eventfd of a Wake: threads and the kernel signal it, a loop polls it.
class EventFd {
 public:
  // Aborts the process when there is no free descriptor.
  EventFd();

  // Thread: any.
  void Signal();
  // To be called before the loop reads its mailboxes, so that whoever puts a
  // value there meanwhile signals again. Thread: the loop's.
  void Clear();

  // Readable once it was signalled.
  int fd() const { return fd_.get(); }
  // Must not be called after this is destroyed.
  Wake wake() {
    return Wake([this] { Signal(); }, fd());
  }

 private:
  // Whether it was signalled since the last Clear(): then further signals need
  // no system call.
  std::atomic<bool> signalled_ = false;
  UniqueFd fd_;
};

}  // namespace kvd
