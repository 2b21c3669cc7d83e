// SPDX-License-Identifier: MIT
#include "fs/ring_read_queue.h"

#include <utility>

#include "fs/posix_file.h"

namespace kvd {

RingReadQueue::RingReadQueue(std::unique_ptr<Ring> ring, Wake wake)
    : ring_(std::move(ring)), wake_(std::move(wake)) {}

RingReadQueue::~RingReadQueue() {
  Submit();
  while (!asked_.empty()) asked_.erase(ring_->Wait().id);
}

void RingReadQueue::Add(File& file, uint64_t offset, std::span<char> out,
                        uint64_t id) {
  if (broken_) {
    refused_.push_back({id, false});
    return;
  }
  ring_->PrepareRead(static_cast<PosixFile&>(file).descriptor(), offset, out,
                     id);
  asked_[id] = out.size();
  added_.push_back(id);
}

void RingReadQueue::Submit() {
  if (!added_.empty() && !ring_->Submit()) {
    broken_ = true;
    for (unsigned i = ring_->unsubmitted(); i > 0; --i) {
      const uint64_t id = added_[added_.size() - i];
      asked_.erase(id);
      refused_.push_back({id, false});
    }
  }
  added_.clear();
  if (!refused_.empty()) wake_();
}

std::vector<ReadQueue::Completion> RingReadQueue::Poll() {
  std::vector<Completion> completions = std::exchange(refused_, {});
  while (const std::optional<Ring::Completion> done = ring_->Take()) {
    const auto asked = asked_.extract(done->id).mapped();
    completions.push_back(
        {done->id,
         done->result >= 0 && static_cast<size_t>(done->result) == asked});
  }
  return completions;
}

}  // namespace kvd
