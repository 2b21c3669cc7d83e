// SPDX-License-Identifier: MIT
#include "daemon/reply_queue.h"

#include "base/check.h"

namespace kvd {
namespace {

// Buffers above this are given back when they run empty; smaller ones are kept,
// since the next turn needs them again.
constexpr size_t kKeptBytesMax = 16 * 1024;
constexpr size_t kKeptMarksMax = 256;

}  // namespace

void ReplyQueue::Release(uint64_t durable_seq) {
  while (withholds() && marks_[first_mark_].seq <= durable_seq) {
    sendable_ = marks_[first_mark_].end;
    ++first_mark_;
  }
  if (withholds()) {
    // A client that never pauses must not make the list grow for ever.
    if (first_mark_ < marks_.size() / 2) return;
    marks_.erase(marks_.begin(),
                 marks_.begin() + static_cast<ptrdiff_t>(first_mark_));
  } else {
    marks_.clear();
    if (marks_.capacity() > kKeptMarksMax) marks_.shrink_to_fit();
  }
  first_mark_ = 0;
}

void ReplyQueue::ReplaceWithheld(std::string_view error) {
  KVD_CHECK(uncommitted().empty());
  buffer_.resize(sendable_);
  for (size_t i = 0; i < withheld_replies(); ++i) buffer_.append(error);
  marks_.clear();
  first_mark_ = 0;
  sendable_ = buffer_.size();
}

void ReplyQueue::Sent(size_t bytes) {
  KVD_CHECK(bytes <= sendable_ - sent_);
  sent_ += bytes;
  DropSent();
}

std::string ReplyQueue::TakeSendable() {
  std::string taken;
  if (sent_ == 0 && sendable_ == buffer_.size()) {
    taken.swap(buffer_);
  } else {
    taken.assign(buffer_, sent_, sendable_ - sent_);
  }
  if (buffer_.empty()) {
    sent_ = sendable_ = 0;
    return taken;
  }
  Sent(taken.size());
  return taken;
}

void ReplyQueue::DropSent() {
  if (sent_ == buffer_.size()) {
    buffer_.clear();
    if (buffer_.capacity() > kKeptBytesMax) buffer_.shrink_to_fit();
    sent_ = sendable_ = 0;
    return;
  }
  // Moving what is left costs no more than sending has cost so far.
  if (sent_ < buffer_.size() / 2) return;
  buffer_.erase(0, sent_);
  sendable_ -= sent_;
  for (size_t i = first_mark_; i < marks_.size(); ++i) marks_[i].end -= sent_;
  sent_ = 0;
}

}  // namespace kvd
