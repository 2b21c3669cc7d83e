// SPDX-License-Identifier: MIT
//
// What SLOWLOG shows: the newest commands that held the loop for long.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvd {

// Thread: loop.
class SlowLog {
 public:
  // Of a long command only so much is kept. Source: Redis.
  static constexpr size_t kWordsMax = 32;
  static constexpr size_t kWordBytesMax = 128;

  struct Entry {
    uint64_t id;  // From 0, never given twice.
    int64_t unix_s;
    int64_t us;
    std::vector<std::string> words;  // Shortened ones say so.
    std::string client_address;
    std::string client_name;
  };

  // Keeps `length` entries; 0 for none.
  explicit SlowLog(int64_t length) : length_(static_cast<size_t>(length)) {}

  void Add(int64_t unix_s, int64_t us, std::span<const std::string_view> words,
           std::string client_address, std::string client_name);
  // Newest first.
  const std::deque<Entry>& entries() const { return entries_; }
  void Clear() { entries_.clear(); }

 private:
  const size_t length_;
  uint64_t next_id_ = 0;
  std::deque<Entry> entries_;
};

}  // namespace kvd
