// SPDX-License-Identifier: MIT
#include "fs/ring.h"

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "base/check.h"

namespace kvd {
namespace {

// The kernel finishes requests when their owner asks, without interrupting it,
// and may rely on there being one owner. Since Linux 6.1.
constexpr unsigned kLoopFlags = IORING_SETUP_SINGLE_ISSUER |
                                IORING_SETUP_DEFER_TASKRUN |
                                IORING_SETUP_TASKRUN_FLAG;

// A kernel that is short of memory for a request soon has some again, as other
// requests end.
constexpr int kSubmitTries = 1000;

tl::unexpected<Error> FailRing(int negative_errno, const char* what) {
  return Unexpected(
      Error::FromErrno(-negative_errno, fmt::format("io_uring: {}", what)));
}

}  // namespace

Result<std::unique_ptr<Ring>> Ring::Make(unsigned entries, int event_fd,
                                         Work work) {
  // Disabled, until it is known which thread the owner is.
  constexpr unsigned kFlags = IORING_SETUP_R_DISABLED;
  io_uring ring;
  int result = -EINVAL;
  if (work == Work::kWhenAsked) {
    result = io_uring_queue_init(entries, &ring, kFlags | kLoopFlags);
  }
  if (result == -EINVAL) result = io_uring_queue_init(entries, &ring, kFlags);
  if (result < 0) return FailRing(result, "set up a ring");
  std::unique_ptr<Ring> made(new Ring(ring));
  result = io_uring_register_eventfd(&made->ring_, event_fd);
  if (result < 0) return FailRing(result, "register an eventfd");
  return made;
}

Ring::~Ring() { io_uring_queue_exit(&ring_); }

io_uring_sqe* Ring::Next() {
  io_uring_sqe* request = io_uring_get_sqe(&ring_);
  KVD_CHECK(request != nullptr);
  return last_ = request;
}

void Ring::PrepareRead(int fd, uint64_t offset, std::span<char> out,
                       uint64_t id) {
  io_uring_sqe* request = Next();
  io_uring_prep_read(request, fd, out.data(), static_cast<unsigned>(out.size()),
                     offset);
  io_uring_sqe_set_data64(request, id);
}

void Ring::PrepareWrite(int fd, uint64_t offset, std::string_view bytes,
                        bool synced, uint64_t id) {
  io_uring_sqe* request = Next();
  io_uring_prep_write(request, fd, bytes.data(),
                      static_cast<unsigned>(bytes.size()), offset);
  request->rw_flags = synced ? RWF_DSYNC : 0;
  io_uring_sqe_set_data64(request, id);
}

void Ring::PrepareSync(int fd, uint64_t id) {
  io_uring_sqe* request = Next();
  io_uring_prep_fsync(request, fd, IORING_FSYNC_DATASYNC);
  io_uring_sqe_set_data64(request, id);
}

void Ring::Link() { io_uring_sqe_set_flags(last_, IOSQE_IO_LINK); }

Result<void> Ring::Submit() {
  if (!enabled_) {
    // By hand, since liburing 2.3 forgot to export its call for it.
    if (syscall(__NR_io_uring_register, ring_.ring_fd,
                IORING_REGISTER_ENABLE_RINGS, nullptr, 0) < 0) {
      return FailRing(-errno, "enable a ring");
    }
    enabled_ = true;
  }
  int submitted = 0;
  links_hold_ = true;
  for (int i = 0; unsubmitted() > 0 && i < kSubmitTries; ++i) {
    submitted = io_uring_submit(&ring_);
    if (submitted < 0 && submitted != -EINTR && submitted != -EAGAIN) break;
    if (submitted > 0 && unsubmitted() > 0) links_hold_ = false;
  }
  if (unsubmitted() > 0) return FailRing(submitted, "submit requests");
  return {};
}

std::optional<Ring::Completion> Ring::Take() {
  io_uring_cqe* done = nullptr;
  if (!enabled_ || io_uring_peek_cqe(&ring_, &done) != 0) return std::nullopt;
  const Completion completion{done->user_data, done->res};
  io_uring_cqe_seen(&ring_, done);
  return completion;
}

Ring::Completion Ring::Wait() {
  while (true) {
    if (const std::optional<Completion> done = Take()) return *done;
    io_uring_cqe* done = nullptr;
    const int waited = io_uring_wait_cqe(&ring_, &done);
    KVD_CHECK(waited == 0 || waited == -EINTR || waited == -EAGAIN);
  }
}

}  // namespace kvd
