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

#include "store/store.h"

namespace kvd {

// Thread: loop.
class SlowLog {
 public:
  // Of a long command only so much is kept.
  static constexpr size_t kWordsMax = 32;
  static constexpr size_t kWordBytesMax = 120;
  // What an entry takes at the most: etc/kvd.toml says so, too.
  static constexpr size_t kEntryBytesMax = 5 * 1024;

  struct Entry {
    uint64_t id;  // From 0, never given twice: Add() gives it.
    int64_t unix_s;
    int64_t us;
    Seq seq;  // The newest change when it had run: its words may show it.
    std::string client_name;
    std::string text;  // All words, shortened ones say so.
    std::vector<uint16_t> word_ends;

    size_t memory_bytes() const {
      return sizeof(Entry) + client_name.capacity() + text.capacity() +
             word_ends.capacity() * sizeof(word_ends[0]);
    }
    // Calls `each` with every word.
    template <typename Each>
    void ForEachWord(Each each) const {
      size_t begin = 0;
      for (const size_t end : word_ends) {
        each(std::string_view(text).substr(begin, end - begin));
        begin = end;
      }
    }
  };

  // Keeps `length` entries; 0 for none.
  explicit SlowLog(int64_t length) : length_(static_cast<size_t>(length)) {}

  // An entry for Add(). `client_name` has kClientNameBytesMax at the most.
  static Entry EntryOf(int64_t unix_s, int64_t us,
                       std::span<const std::string_view> words,
                       std::string_view client_name);
  // `seq` is the newest change.
  void Add(Entry entry, Seq seq);
  // How many it keeps.
  size_t length() const { return length_; }
  // Keeps so many from now on.
  void set_length(int64_t length);
  // Newest first.
  const std::deque<Entry>& entries() const { return entries_; }
  void Clear();
  size_t memory_bytes() const { return memory_bytes_; }

 private:
  void DropOldest();

  size_t length_;
  uint64_t next_id_ = 0;
  size_t memory_bytes_ = 0;  // Of all entries.
  std::deque<Entry> entries_;
};

}  // namespace kvd
