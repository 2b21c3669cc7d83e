// SPDX-License-Identifier: MIT
#include "fs/ring_read_queue.h"

#include <utility>

#include "base/check.h"
#include "fs/posix_file.h"

namespace kvd {

RingReadQueue::RingReadQueue(std::unique_ptr<Ring> ring, size_t reads_max,
                             Wake wake)
    : ring_(std::move(ring)), wake_(std::move(wake)), reads_(reads_max) {
  for (size_t i = reads_max; i > 0; --i) free_.push_back(i - 1);
}

RingReadQueue::~RingReadQueue() {
  Submit();
  while (free_.size() < reads_.size()) Complete(ring_->Wait());
}

void RingReadQueue::Add(File& file, uint64_t offset, std::span<char> out,
                        uint64_t id) {
  if (broken_) {
    refused_.push_back({id, false});
    return;
  }
  KVD_CHECK(!free_.empty());
  const size_t number = free_.back();
  free_.pop_back();
  added_.push_back(number);
  reads_[number] = {id, out};
  const auto& posix_file = static_cast<PosixFile&>(file);
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
  const bool filled =
      done.result >= 0 && static_cast<size_t>(done.result) >= read.out.size();
  return {read.id, filled};
}

}  // namespace kvd
