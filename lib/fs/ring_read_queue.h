// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "fs/file_system.h"
#include "fs/ring.h"

namespace kvd {

// Reads that the kernel does without a thread of ours; one call starts many.
// Thread: one.
class RingReadQueue final : public ReadQueue {
 public:
  // The ring has an entry for each of the `reads_max` that may be under way,
  // and signals what `wake` signals.
  RingReadQueue(std::unique_ptr<Ring> ring, size_t reads_max, Wake wake);
  ~RingReadQueue() override;
  RingReadQueue(const RingReadQueue&) = delete;
  RingReadQueue& operator=(const RingReadQueue&) = delete;

  void Add(File& file, uint64_t offset, std::span<char> out,
           uint64_t id) override;
  void Submit() override;
  std::vector<Completion> Poll() override;

 private:
  // A read under way; its number is the ring's.
  struct Read {
    uint64_t id = 0;
    std::span<char> out;
  };

  Completion Complete(const Ring::Completion& done);

  std::unique_ptr<Ring> ring_;
  Wake wake_;
  std::vector<Read> reads_;
  // Numbers of reads; the one that ended last is first, since its memory is in
  // the processor's cache.
  std::vector<size_t> free_;
  std::vector<size_t> added_;  // In order, since the last Submit().
  // Reads that were not started, since the ring takes no more.
  std::vector<Completion> refused_;
  bool broken_ = false;
};

}  // namespace kvd
