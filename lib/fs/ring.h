// SPDX-License-Identifier: MIT
//
// One io_uring: requests that the kernel carries out by itself, without a
// thread of ours that waits. For lib/fs alone.
//
// Source: io_uring(7), io_uring_setup(2), and "Efficient IO with io_uring"
// (J. Axboe, 2019).
#pragma once

#include <liburing.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "base/error.h"

namespace kvd {

// Made on any thread; belongs to the first one that submits.
class Ring {
 public:
  struct Completion {
    uint64_t id = 0;
    int result = 0;  // As the system call's own, or a negative errno.
  };

  enum class Work {
    // The kernel finishes requests when the owner takes completions: for a loop
    // that is busy with other things.
    kWhenAsked,
    // The kernel interrupts the owner to finish them: for requests of which one
    // begins when another ends.
    kAtOnce,
  };

  // For up to `entries` requests under way; `event_fd` is signalled when there
  // are completions to take. An error where the kernel has no io_uring or does
  // not let us use it.
  static Result<std::unique_ptr<Ring>> Make(unsigned entries, int event_fd,
                                            Work work);
  // All completions must have been taken: the kernel may still write to the
  // memory of requests under way.
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // Requests, whose completions will carry `id`; at most `entries` between two
  // calls of Submit(). The bytes stay where they are until then.
  void PrepareRead(int fd, uint64_t offset, std::span<char> out, uint64_t id);
  void PrepareWrite(int fd, uint64_t offset, std::string_view bytes,
                    bool synced, uint64_t id);
  void PrepareSync(int fd, uint64_t id);
  // What is prepared next begins when what was prepared last has succeeded in
  // full; else it completes with -ECANCELED.
  void Link();
  // Hands what was prepared to the kernel. After an error the last
  // unsubmitted() requests have not got there, and the ring takes no more.
  Result<void> Submit();
  unsigned unsubmitted() const { return io_uring_sq_ready(&ring_); }
  // Whether the links of the last Submit() hold. When the kernel was short of
  // memory, linked requests may have begun without waiting.
  bool links_hold() const { return links_hold_; }

  // The next completion, if there is one.
  std::optional<Completion> Take();
  // The next completion, however long it takes.
  Completion Wait();

 private:
  explicit Ring(const io_uring& ring) : ring_(ring) {}

  io_uring_sqe* Next();

  io_uring ring_;
  bool enabled_ = false;
  bool links_hold_ = true;
  io_uring_sqe* last_ = nullptr;  // Of the requests prepared.
};

}  // namespace kvd
