// SPDX-License-Identifier: MIT
//
// Replies of one connection on their way out, in order. A reply that shows the
// effect of a change may be withheld until that change is durable, and then so
// is everything behind it: the protocol has no other way to tell replies apart.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kvd {

// Thread: loop.
class ReplyQueue {
 public:
  // Where the next reply is appended. Bytes behind the last Commit() are a
  // reply under construction.
  std::string* buffer() { return &buffer_; }

  // Ends the reply under construction. `seq` is the newest change that it
  // shows; with `wait` it goes out when Release() is told that `seq` is
  // durable. An empty reply is none.
  void Commit(uint64_t seq, bool wait) {
    if (buffer_.size() == committed()) return;
    if (!wait && marks_.size() == first_mark_) {
      sendable_ = buffer_.size();
      return;
    }
    marks_.push_back({buffer_.size(), seq});
  }
  // The bytes of the reply under construction.
  std::string_view uncommitted() const {
    return std::string_view(buffer_).substr(committed());
  }

  // Lets go the replies that show nothing newer than `durable_seq`.
  void Release(uint64_t durable_seq);
  // Puts that many copies of `error`, a whole reply, in the place of the
  // withheld replies: what they promise may not be on disk.
  void ReplaceWithheld(std::string_view error);

  // What may be sent now.
  std::string_view sendable() const {
    return std::string_view(buffer_).substr(sent_, sendable_ - sent_);
  }
  // `bytes` of sendable() were sent.
  void Sent(size_t bytes);
  // Takes all of sendable() out, without a copy where possible.
  std::string TakeSendable();

  bool withholds() const { return marks_.size() != first_mark_; }
  size_t withheld_replies() const { return marks_.size() - first_mark_; }
  // Unsent bytes, withheld ones included.
  size_t bytes() const { return buffer_.size() - sent_; }
  size_t memory_bytes() const {
    return buffer_.capacity() + marks_.capacity() * sizeof(Mark);
  }

 private:
  struct Mark {
    size_t end;  // Of one reply, in buffer_.
    uint64_t seq;
  };

  size_t committed() const {
    return withholds() ? marks_.back().end : sendable_;
  }
  void DropSent();

  // sent | sendable | withheld, cut by marks | under construction
  std::string buffer_;
  size_t sent_ = 0;
  size_t sendable_ = 0;
  std::vector<Mark> marks_;
  size_t first_mark_ = 0;
};

}  // namespace kvd
