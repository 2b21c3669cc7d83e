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

#include "daemon/state/lent_value.h"

namespace kvd {

// Thread: loop.
class ReplyQueue {
 public:
  // Where the next reply is appended. Bytes behind the last Commit() are a
  // reply under construction.
  std::string* buffer() { return &buffer_; }

  // Where values go that belong into buffer() but are not copied.
  std::vector<LentValue>* lent() { return &lent_; }

  // Ends the reply under construction. `seq` is the newest change that it
  // shows; with `wait` it goes out when Release() is told that `seq` is
  // durable. An empty reply is none.
  void Commit(uint64_t seq, bool wait) {
    if (buffer_.size() == committed()) return;
    if (lent_.size() != counted_lent_) CountLent();
    if (!wait && marks_.size() == first_mark_) {
      sendable_ = buffer_.size();
      return;
    }
    marks_.push_back({buffer_.size(), seq, false});
  }
  // The same of a message, which answers nothing.
  void CommitMessage(uint64_t seq, bool wait) {
    Commit(seq, wait);
    if (withholds()) marks_.back().is_message = true;
  }
  // The bytes of the reply under construction.
  std::string_view uncommitted() const {
    return std::string_view(buffer_).substr(committed());
  }

  // Lets go the replies that show nothing newer than `durable_seq`.
  void Release(uint64_t durable_seq);
  // Puts that many copies of `error`, a whole reply, in the place of the
  // withheld replies: what they promise may not be on disk. Messages go.
  void ReplaceWithheld(std::string_view error);

  // What may be sent now.
  bool has_sendable() const { return sent_ != sendable_; }
  // Calls `each` with its pieces, in order.
  template <typename Each>
  void ForEachSendable(Each each) const {
    kvd::ForEachPiece(std::string_view(buffer_).substr(0, sendable_), sent_,
                      lent_, each);
  }
  // That many bytes of it were sent.
  void Sent(size_t bytes);
  // Takes all of it out, without a copy where possible.
  struct Taken {
    std::string text;
    size_t from = 0;  // What is before it in `text` has been sent.
    std::vector<LentValue> lent;

    template <typename Each>
    void ForEachPiece(Each each) const {
      kvd::ForEachPiece(text, from, lent, each);
    }
  };
  Taken TakeSendable();

  bool withholds() const { return marks_.size() != first_mark_; }
  size_t withheld_replies() const { return marks_.size() - first_mark_; }
  // Unsent bytes beside the values that were lent.
  size_t text_bytes() const { return buffer_.size() - sent_; }
  // Unsent bytes, withheld ones included.
  size_t bytes() const { return text_bytes() + lent_bytes(); }
  // With the values that were lent: nobody else may want them any more.
  size_t memory_bytes() const {
    return buffer_.capacity() + marks_.capacity() * sizeof(Mark) + lent_bytes();
  }

 private:
  struct Mark {
    size_t end;  // Of one reply, in buffer_.
    uint64_t seq;
    bool is_message;
  };

  size_t committed() const {
    return withholds() ? marks_.back().end : sendable_;
  }
  // Counted as they come and go: of messages there may be very many.
  size_t lent_bytes() const {
    size_t bytes = lent_bytes_;
    for (size_t i = counted_lent_; i < lent_.size(); ++i) {
      bytes += lent_[i].rest.size();
    }
    return bytes;
  }
  void CountLent() {
    lent_bytes_ = lent_bytes();
    counted_lent_ = lent_.size();
  }
  void EraseLent(size_t values);
  void DropSent();

  // sent | sendable | withheld, cut by marks | under construction
  std::string buffer_;
  std::vector<LentValue> lent_;  // Not sent as a whole yet.
  size_t counted_lent_ = 0;      // The first ones, which are in lent_bytes_.
  size_t lent_bytes_ = 0;
  size_t sent_ = 0;
  size_t sendable_ = 0;
  std::vector<Mark> marks_;
  size_t first_mark_ = 0;
};

}  // namespace kvd
