// SPDX-License-Identifier: MIT
//
// How much of a connection's unsent output is messages: replies have a limit of
// their own.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>

namespace kvd {

// Counts places in all of a connection's output, from its beginning. Thread:
// loop.
class UnsentMessages {
 public:
  // A message is the output between two places; no earlier one ends later.
  void Add(uint64_t begin, uint64_t end) {
    bytes_ += end - begin;
    if (!pieces_.empty() && pieces_.back().end == begin) {
      pieces_.back().end = end;
    } else {
      pieces_.push_back({begin, end});
    }
  }
  // What is left of them when all before `sent` has been sent.
  uint64_t Bytes(uint64_t sent) {
    while (!pieces_.empty() && pieces_.front().begin < sent) {
      Piece& first = pieces_.front();
      const uint64_t end = std::min(first.end, sent);
      bytes_ -= end - first.begin;
      first.begin = end;
      if (first.begin == first.end) {
        pieces_.pop_front();
      } else {
        break;
      }
    }
    return bytes_;
  }

 private:
  struct Piece {
    uint64_t begin;
    uint64_t end;
  };
  std::deque<Piece> pieces_;  // Messages in a row are one.
  uint64_t bytes_ = 0;
};

}  // namespace kvd
