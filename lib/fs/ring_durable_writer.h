// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "fs/file_system.h"
#include "fs/posix_file.h"
#include "fs/ring.h"

namespace kvd {

// The durable writer that needs no thread: the kernel writes past the page
// cache (O_DIRECT) and completes when the bytes are durable (O_DSYNC, for each
// write by itself). Files that it has written to stay direct. Thread: one.
class RingDurableWriter final : public DurableWriter {
 public:
  // An error where the kernel has no io_uring, or not for us.
  static Result<std::unique_ptr<RingDurableWriter>> Make(int event_fd);
  // Whether it works for the files of a directory, which may have to go through
  // the page cache: a real write to a file without a name finds out. kNoSpace
  // when that has no room and so tells nothing.
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
  RingDurableWriter(std::unique_ptr<Ring> ring, int event_fd);

  void Start();
  // Completes the request without the kernel.
  void Abort(Result<void> why);
  // The end of the request, or nothing because the rest was started.
  std::optional<Result<void>> Finish(int result);
  Result<void> End(Result<void> result);
  Result<void> Await();

  std::unique_ptr<Ring> ring_;
  const int event_fd_;
  // What is under way; no file when nothing is.
  PosixFile* file_ = nullptr;
  uint64_t offset_ = 0;
  std::string_view bytes_;
  bool synced_ = false;
  std::optional<Result<void>> aborted_;
};

}  // namespace kvd
