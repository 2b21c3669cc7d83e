// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "fs/file_system.h"
#include "fs/posix_file.h"
#include "fs/ring.h"
#include "fs/sync_choice.h"

namespace kvd {

// The durable writer that needs no thread: the kernel writes past the page
// cache (O_DIRECT) and syncs each write in the manner that is quicker at the
// time. Files that it has written to stay direct. Thread: one.
class RingDurableWriter final : public DurableWriter {
 public:
  // An error where the kernel has no io_uring or does not let us use it. With a
  // `manner` all writes use that.
  static Result<std::unique_ptr<RingDurableWriter>> Make(
      int event_fd, std::optional<SyncManner> manner = std::nullopt);
  // Whether it works for the files of a directory, which may have to go through
  // the page cache: tries a real write to a file without a name. kNoSpace when
  // that has no room, which leaves the question open.
  static Result<void> Probe(int directory_fd,
                            const std::string& directory_path);
  ~RingDurableWriter() override;
  RingDurableWriter(const RingDurableWriter&) = delete;
  RingDurableWriter& operator=(const RingDurableWriter&) = delete;

  void Submit(File& file, uint64_t offset, std::string_view bytes,
              Durability durability) override;
  std::optional<Result<void>> Poll() override;
  bool busy() const override { return file_ != nullptr; }
  std::string_view device() const override { return "io_uring"; }

 private:
  // Of the requests under way.
  enum RequestId : uint64_t { kWrite, kSync };
  struct Results {
    std::optional<int> write;
    std::optional<int> sync;
  };

  RingDurableWriter(std::unique_ptr<Ring> ring, int event_fd,
                    std::optional<SyncManner> manner);

  // Submits requests for what is left to do. A failure completes it like any
  // other.
  void Start();
  // Completes it with `why`, once the requests that the kernel has got have
  // ended: they use the memory.
  void Abort(Result<void> why);
  // Takes in a completion. The result of the write; nothing while other
  // requests are under way or more had to be started.
  std::optional<Result<void>> Take(const Ring::Completion& done);
  std::optional<Result<void>> Finish(const Results& results);
  Result<void> End(Result<void> result);
  Result<void> Await();

  std::unique_ptr<Ring> ring_;
  const int event_fd_;
  const std::optional<SyncManner> manner_;  // Or as choice_ says.
  SyncChoice choice_;

  // What is under way; no file when nothing is.
  PosixFile* file_ = nullptr;
  uint64_t offset_ = 0;
  std::string_view bytes_;  // What is not written yet.
  bool synced_ = false;
  SyncManner sync_ = SyncManner::kWithWrite;
  int requests_ = 0;  // That the kernel has; none while it is aborted.
  Results results_;
  std::optional<Result<void>> aborted_;
  // When the write was submitted, if choice_ is to learn how long it took.
  std::optional<std::chrono::steady_clock::time_point> since_;
};

}  // namespace kvd
