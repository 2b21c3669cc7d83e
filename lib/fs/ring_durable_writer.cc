// SPDX-License-Identifier: MIT
#include "fs/ring_durable_writer.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include "base/check.h"
#include "fs/system_call.h"

namespace kvd {
namespace {

alignas(kBlockBytes) constexpr std::array<char, kBlockBytes> kZeroBlock = {};

}  // namespace

RingDurableWriter::RingDurableWriter(std::unique_ptr<Ring> ring, int event_fd)
    : ring_(std::move(ring)), event_fd_(event_fd) {}

Result<std::unique_ptr<RingDurableWriter>> RingDurableWriter::Make(
    int event_fd) {
  KVD_TRY_ASSIGN(std::unique_ptr<Ring> ring, Ring::Make(1, event_fd));
  return std::unique_ptr<RingDurableWriter>(
      new RingDurableWriter(std::move(ring), event_fd));
}

Result<void> RingDurableWriter::Probe(int directory_fd,
                                      const std::string& directory_path) {
  const UniqueFd event(eventfd(0, EFD_CLOEXEC));
  if (!event) return FailErrno("make an eventfd");
  KVD_TRY_ASSIGN(const auto writer, Make(event.get()));
  UniqueFd fd(Retry([&] {
    return openat(directory_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  }));
  if (!fd) return FailErrno("make a file without a name in {}", directory_path);
  PosixFile file(std::move(fd), directory_path + "/(probe)");
  KVD_TRY(file.AllocateZeroed(kBlockBytes));
  writer->Submit(file, 0, {kZeroBlock.data(), kZeroBlock.size()},
                 Durability::kSynced);
  return writer->Await();
}

RingDurableWriter::~RingDurableWriter() {
  if (busy()) (void)Await();
}

void RingDurableWriter::Submit(File& file, uint64_t offset,
                               std::string_view bytes, Durability durability) {
  CheckSubmission(busy(), offset, bytes, durability);
  file_ = static_cast<PosixFile*>(&file);
  offset_ = offset;
  bytes_ = bytes;
  synced_ = durability == Durability::kSynced;
  Start();
}

// A failure completes the request like any other.
void RingDurableWriter::Start() {
  if (bytes_.empty()) {
    ring_->PrepareSync(file_->descriptor(), 0);
  } else if (file_->GoDirect()) {
    ring_->PrepareWrite(file_->descriptor(), offset_, bytes_, synced_, 0);
  } else {
    return Abort(FailErrno("write {} past the page cache", file_->path()));
  }
  if (Result<void> submitted = ring_->Submit(); !submitted) {
    Abort(Unexpected(submitted.error()));
  }
}

void RingDurableWriter::Abort(Result<void> why) {
  aborted_ = std::move(why);
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t put = write(event_fd_, &one, sizeof one);
}

std::optional<Result<void>> RingDurableWriter::Poll() {
  if (!busy()) return std::nullopt;
  if (aborted_) return End(*std::exchange(aborted_, std::nullopt));
  const std::optional<Ring::Completion> done = ring_->Take();
  return done ? Finish(done->result) : std::nullopt;
}

Result<void> RingDurableWriter::Await() {
  while (true) {
    std::optional<Result<void>> end =
        aborted_ ? Poll() : Finish(ring_->Wait().result);
    if (end) return *end;
  }
}

std::optional<Result<void>> RingDurableWriter::Finish(int result) {
  if (result == -EINTR || result == -EAGAIN) {
    Start();
    return std::nullopt;
  }
  if (result < 0) {
    errno = -result;
    if (bytes_.empty()) return End(FailErrno("sync {}", file_->path()));
    return End(FailErrno("write {} at offset {}", file_->path(), offset_));
  }
  const auto put = static_cast<size_t>(result);
  if (put == bytes_.size()) return End({});
  // A part; the rest has to begin at a block boundary.
  if (put == 0 || put % kBlockBytes != 0) {
    return End(Fail(ErrorCode::kIo,
                    "write {} at offset {}: the kernel took {} of {} bytes",
                    file_->path(), offset_, put, bytes_.size()));
  }
  offset_ += put;
  bytes_.remove_prefix(put);
  Start();
  return std::nullopt;
}

Result<void> RingDurableWriter::End(Result<void> result) {
  file_ = nullptr;
  return result;
}

}  // namespace kvd
