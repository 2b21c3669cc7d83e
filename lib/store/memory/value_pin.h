// SPDX-License-Identifier: MIT
//
// A value that is read for longer than a command takes: a large reply goes to
// its client from where the store keeps the value, without a copy, and a slow
// client takes its time. The key may get another value meanwhile, be removed or
// be evicted; what was pinned stays as it was until its last pin goes.
//
// Entries have no room for a count (entry.h), and few are pinned at a time, so
// the counts are in a table.
#pragma once

#include <string_view>
#include <utility>

namespace kvd {

class Entry;

// Thread: that of the index.
class ValuePin {
 public:
  // The entry's value must be there.
  explicit ValuePin(const Entry& entry);
  ValuePin(ValuePin&& other) noexcept
      : entry_(std::exchange(other.entry_, nullptr)) {}
  ValuePin& operator=(ValuePin&& other) noexcept {
    std::swap(entry_, other.entry_);
    return *this;
  }
  ~ValuePin();

  std::string_view value() const;

  // For EntryDeleter: who owned the pinned entry has done with it.
  static void LeaveToPins(Entry* entry);

 private:
  const Entry* entry_;
};

}  // namespace kvd
