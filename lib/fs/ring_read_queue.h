// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "fs/file_system.h"
#include "fs/ring.h"

namespace kvd {

// Reads through the page cache, by the kernel alone: where it has not got the
// bytes it asks the disk and goes on, and one call starts many. Thread: one.
class RingReadQueue final : public ReadQueue {
 public:
  // The ring has an entry for each read that may be under way, and signals what
  // `wake` signals.
  RingReadQueue(std::unique_ptr<Ring> ring, Wake wake);
  ~RingReadQueue() override;
  RingReadQueue(const RingReadQueue&) = delete;
  RingReadQueue& operator=(const RingReadQueue&) = delete;

  void Add(File& file, uint64_t offset, std::span<char> out,
           uint64_t id) override;
  void Submit() override;
  std::vector<Completion> Poll() override;

 private:
  std::unique_ptr<Ring> ring_;
  Wake wake_;
  // How many bytes each read under way asks for.
  std::unordered_map<uint64_t, size_t> asked_;
  std::vector<uint64_t> added_;  // In order, since the last Submit().
  // The ring took no more: these were not started, and none will be.
  std::vector<Completion> refused_;
  bool broken_ = false;
};

}  // namespace kvd
