// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>

#include "log/format/manifest.h"
#include "log/format/record.h"

namespace kvd {

// Flushes of databases and swaps that wait to be durable; with more of them the
// lazy modes sync.
inline constexpr size_t kDatabaseChangesMax = 16 << 10;

// Flushes and swaps that are not durable yet: the MANIFEST may say of a change
// that it was made only once it cannot be lost. Thread: loop.
class DatabaseChanges {
 public:
  // Of a record that was appended; `value` is the record's.
  void Add(RecordKind kind, uint16_t database, std::string_view value,
           uint64_t seq);
  // Moves those up to `seq` into `databases`.
  void ApplyUpTo(uint64_t seq, DatabaseMap* databases);
  size_t size() const { return changes_.size(); }
  // Takes the newest back, down to so many.
  void CutBack(size_t size) { changes_.resize(size); }

 private:
  struct Change {
    RecordKind kind;
    uint16_t database;
    uint16_t other;  // For kSwap.
    uint64_t seq;
  };

  std::deque<Change> changes_;
};

}  // namespace kvd
