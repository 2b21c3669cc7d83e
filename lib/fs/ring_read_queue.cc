// SPDX-License-Identifier: MIT
#include "fs/ring_read_queue.h"

#include <cstring>
#include <utility>

#include "base/check.h"
#include "fs/posix_file.h"

namespace kvd {
namespace {

// What one read may take past the page cache.
constexpr size_t kDirectBytesMax = (size_t{64} << 10) + 2 * kBlockBytes;

}  // namespace

RingReadQueue::RingReadQueue(std::unique_ptr<Ring> ring, size_t reads_max,
                             Wake wake)
    : ring_(std::move(ring)),
      wake_(std::move(wake)),
      reads_(reads_max),
      // The kernel gives pages when they are used, and few are.
      blocks_(AllocateAligned(reads_max * kDirectBytesMax)) {
  for (size_t i = reads_max; i > 0; --i) free_.push_back(i - 1);
}

RingReadQueue::~RingReadQueue() {
  Submit();
  while (free_.size() < reads_.size()) Complete(ring_->Wait());
}

char* RingReadQueue::BlocksOf(size_t read) const {
  return blocks_.get() + read * kDirectBytesMax;
}

void RingReadQueue::Add(File& file, uint64_t offset, std::span<char> out,
                        Way way, uint64_t id) {
  if (broken_) {
    refused_.push_back({id, false});
    return;
  }
  KVD_CHECK(!free_.empty());
  const size_t number = free_.back();
  free_.pop_back();
  added_.push_back(number);
  Read& read = reads_[number];
  read = {id, out};
  const auto& posix_file = static_cast<PosixFile&>(file);
  if (const uint64_t block = posix_file.direct_block();
      way == Way::kPastCache && block != 0) {
    const size_t lead = offset % block;
    const size_t bytes = (lead + out.size() + block - 1) / block * block;
    if (bytes <= kDirectBytesMax) {
      read.direct = true;
      read.lead = lead;
      return ring_->PrepareRead(posix_file.direct_descriptor(), offset - lead,
                                {BlocksOf(number), bytes}, number);
    }
  }
  ring_->PrepareRead(posix_file.descriptor(), offset, out, number);
}

void RingReadQueue::Submit() {
  if (!added_.empty() && !ring_->Submit()) {
    broken_ = true;
    for (unsigned i = ring_->unsubmitted(); i > 0; --i) {
      const size_t number = added_[added_.size() - i];
      refused_.push_back({reads_[number].id, false});
      free_.push_back(number);
    }
  }
  added_.clear();
  if (!refused_.empty()) wake_();
}

std::vector<ReadQueue::Completion> RingReadQueue::Poll() {
  std::vector<Completion> completions = std::exchange(refused_, {});
  while (const std::optional<Ring::Completion> done = ring_->Take()) {
    completions.push_back(Complete(*done));
  }
  return completions;
}

ReadQueue::Completion RingReadQueue::Complete(const Ring::Completion& done) {
  const Read& read = reads_[done.id];
  free_.push_back(done.id);
  const size_t wanted = read.lead + read.out.size();
  const bool filled =
      done.result >= 0 && static_cast<size_t>(done.result) >= wanted;
  if (filled && read.direct) {
    std::memcpy(read.out.data(), BlocksOf(done.id) + read.lead,
                read.out.size());
  }
  return {read.id, filled};
}

}  // namespace kvd
