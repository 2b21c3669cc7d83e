// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <vector>

namespace kvd {

// From `first` to `last`, both included.
struct SeqRange {
  uint64_t first = 0;
  uint64_t last = 0;

  bool operator==(const SeqRange&) const = default;
};

// Sequence numbers, as ranges.
class SeqSet {
 public:
  void Add(uint64_t seq) { Add(SeqRange{seq, seq}); }

  void Add(SeqRange range) {
    auto next = ranges_.upper_bound(range.first);
    if (next != ranges_.begin()) {
      const auto before = std::prev(next);
      if (before->second + 1 >= range.first) {
        range.first = before->first;
        range.last = std::max(range.last, before->second);
        next = ranges_.erase(before);
      }
    }
    while (next != ranges_.end() && next->first <= range.last + 1) {
      range.last = std::max(range.last, next->second);
      next = ranges_.erase(next);
    }
    ranges_.emplace_hint(next, range.first, range.last);
  }

  bool Contains(uint64_t seq) const {
    const auto next = ranges_.upper_bound(seq);
    return next != ranges_.begin() && std::prev(next)->second >= seq;
  }

  bool empty() const { return ranges_.empty(); }
  // Of sets that are not empty.
  uint64_t first() const { return ranges_.begin()->first; }
  uint64_t last() const { return ranges_.rbegin()->second; }

  // What of `range` is not in it.
  std::vector<SeqRange> MissingIn(SeqRange range) const {
    std::vector<SeqRange> missing;
    uint64_t next = range.first;
    for (const auto& [first, last] : ranges_) {
      if (last < next) continue;
      if (first > range.last) break;
      if (first > next) missing.push_back({next, first - 1});
      next = last + 1;
    }
    if (next <= range.last) missing.push_back({next, range.last});
    return missing;
  }

 private:
  std::map<uint64_t, uint64_t> ranges_;
};

}  // namespace kvd
