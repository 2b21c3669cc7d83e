// SPDX-License-Identifier: MIT
#include "daemon/loop/reply_queue.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace kvd {
namespace {

// Buffers above this are given back when they run empty; smaller ones are kept,
// since the next turn needs them again.
constexpr size_t kKeptBytesMax = 16 * 1024;
constexpr size_t kKeptMarksMax = 256;
constexpr size_t kKeptLentMax = 64;

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
  while (!lent_.empty() && lent_.back().at >= sendable_) {
    lent_bytes_ -= lent_.back().rest.size();
    --counted_lent_;
    lent_.pop_back();
  }
  for (size_t i = first_mark_; i < marks_.size(); ++i) {
    if (!marks_[i].is_message) buffer_.append(error);
  }
  marks_.clear();
  first_mark_ = 0;
  sendable_ = buffer_.size();
}

void ReplyQueue::Sent(size_t bytes) {
  size_t values = 0;
  while (bytes > 0) {
    const bool has_value =
        values < lent_.size() && lent_[values].at < sendable_;
    const size_t text =
        std::min(bytes, (has_value ? lent_[values].at : sendable_) - sent_);
    sent_ += text;
    bytes -= text;
    if (!has_value) break;
    std::string_view& rest = lent_[values].rest;
    const size_t of_value = std::min(bytes, rest.size());
    rest.remove_prefix(of_value);
    lent_bytes_ -= of_value;
    bytes -= of_value;
    if (rest.empty()) ++values;
  }
  KVD_CHECK(bytes == 0);
  if (values > 0) EraseLent(values);
  DropSent();
}

ReplyQueue::Taken ReplyQueue::TakeSendable() {
  Taken taken;
  if (sendable_ == buffer_.size()) {
    taken.text.swap(buffer_);
    taken.lent.swap(lent_);
    counted_lent_ = lent_bytes_ = 0;
    taken.from = std::exchange(sent_, 0);
    sendable_ = 0;
    return taken;
  }
  taken.text.assign(buffer_, sent_, sendable_ - sent_);
  size_t values = 0;
  for (; values < lent_.size() && lent_[values].at < sendable_; ++values) {
    lent_[values].at -= sent_;
    lent_bytes_ -= lent_[values].rest.size();
    taken.lent.push_back(std::move(lent_[values]));
  }
  EraseLent(values);
  sent_ = sendable_;
  DropSent();
  return taken;
}

void ReplyQueue::EraseLent(size_t values) {
  lent_.erase(lent_.begin(), lent_.begin() + static_cast<ptrdiff_t>(values));
  counted_lent_ -= values;
  if (lent_.empty() && lent_.capacity() > kKeptLentMax) lent_.shrink_to_fit();
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
  for (LentValue& value : lent_) value.at -= sent_;
  sent_ = 0;
}

}  // namespace kvd
