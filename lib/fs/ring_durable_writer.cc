// SPDX-License-Identifier: MIT
#include "fs/ring_durable_writer.h"

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

RingDurableWriter::RingDurableWriter(std::unique_ptr<Ring> ring, int event_fd,
                                     std::optional<SyncManner> manner)
    : ring_(std::move(ring)), event_fd_(event_fd), manner_(manner) {}

Result<std::unique_ptr<RingDurableWriter>> RingDurableWriter::Make(
    int event_fd, std::optional<SyncManner> manner) {
  KVD_TRY_ASSIGN(std::unique_ptr<Ring> ring,
                 Ring::Make(2, event_fd, Ring::Work::kAtOnce));
  return std::unique_ptr<RingDurableWriter>(
      new RingDurableWriter(std::move(ring), event_fd, manner));
}

Result<void> RingDurableWriter::Probe(int directory_fd,
                                      const std::string& directory_path) {
  const UniqueFd event(eventfd(0, EFD_CLOEXEC));
  if (!event) return FailErrno("make an eventfd");
  KVD_TRY_ASSIGN(const auto writer, Make(event.get()));
  UniqueFd fd = NamelessFile(directory_fd);
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
  sync_ = manner_.value_or(choice_.manner());
  since_.reset();
  if (synced_ && !bytes.empty()) since_ = std::chrono::steady_clock::now();
  Start();
}

void RingDurableWriter::Start() {
  const bool writes = !bytes_.empty();
  const bool syncs = synced_ && (!writes || sync_ == SyncManner::kAfterWrite);
  if (writes && !file_->GoDirect()) {
    return Abort(FailErrno("write {} past the page cache", file_->path()));
  }
  if (writes) {
    ring_->PrepareWrite(file_->descriptor(), offset_, bytes_, synced_ && !syncs,
                        kWrite);
  }
  if (writes && syncs) ring_->Link();
  if (syncs) ring_->PrepareSync(file_->descriptor(), kSync);
  const Result<void> submitted = ring_->Submit();
  requests_ = int{writes} + int{syncs} - static_cast<int>(ring_->unsubmitted());
  if (!submitted) Abort(Unexpected(submitted.error()));
}

void RingDurableWriter::Abort(Result<void> why) {
  aborted_ = std::move(why);
  if (requests_ > 0) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t put = write(event_fd_, &one, sizeof one);
}

std::optional<Result<void>> RingDurableWriter::Poll() {
  if (!busy()) return std::nullopt;
  if (requests_ == 0) return End(*std::exchange(aborted_, std::nullopt));
  while (const std::optional<Ring::Completion> done = ring_->Take()) {
    if (std::optional<Result<void>> end = Take(*done)) return end;
  }
  return std::nullopt;
}

Result<void> RingDurableWriter::Await() {
  while (true) {
    std::optional<Result<void>> end =
        requests_ == 0 ? Poll() : Take(ring_->Wait());
    if (end) return *end;
  }
}

std::optional<Result<void>> RingDurableWriter::Take(
    const Ring::Completion& done) {
  (done.id == kWrite ? results_.write : results_.sync) = done.result;
  if (--requests_ > 0) return std::nullopt;
  if (aborted_) return End(*std::exchange(aborted_, std::nullopt));
  return Finish(std::exchange(results_, {}));
}

std::optional<Result<void>> RingDurableWriter::Finish(const Results& results) {
  const auto failed = [](int result) {
    return result < 0 && result != -EINTR && result != -EAGAIN &&
           result != -ECANCELED;
  };
  if (results.write && failed(*results.write)) {
    errno = -*results.write;
    return End(FailErrno("write {} at offset {}", file_->path(), offset_));
  }
  if (results.write && *results.write >= 0) {
    const auto put = static_cast<size_t>(*results.write);
    // A part; the rest has to begin at a block boundary.
    if (put != bytes_.size() && (put == 0 || put % kBlockBytes != 0)) {
      return End(Fail(ErrorCode::kIo,
                      "write {} at offset {}: the kernel took {} of {} bytes",
                      file_->path(), offset_, put, bytes_.size()));
    }
    offset_ += put;
    bytes_.remove_prefix(put);
    const bool syncs = synced_ && sync_ == SyncManner::kAfterWrite;
    if (bytes_.empty() && !syncs) return End({});
  }
  if (results.sync && failed(*results.sync)) {
    errno = -*results.sync;
    return End(FailErrno("sync {}", file_->path()));
  }
  // A sync that did not wait for its write may have missed it.
  const bool covers = !results.write || ring_->links_hold();
  if (bytes_.empty() && results.sync == 0 && covers) return End({});
  Start();
  return std::nullopt;
}

Result<void> RingDurableWriter::End(Result<void> result) {
  file_ = nullptr;
  if (result && since_) {
    const auto took = std::chrono::steady_clock::now() - *since_;
    choice_.Took(
        std::chrono::duration_cast<std::chrono::nanoseconds>(took).count());
  }
  return result;
}

}  // namespace kvd
