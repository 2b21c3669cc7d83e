// SPDX-License-Identifier: MIT
//
// The newest record of each key among those that were read, and the flushes
// and swaps. Memory: the keys, and some hundred bytes for each.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "log/format/manifest.h"
#include "log/format/record.h"
#include "salvage/tally.h"

namespace kvd {

// A key of an internal database, as one string.
std::string PlacedKey(uint16_t database, std::string_view key);
uint16_t DatabaseOf(std::string_view placed_key);
std::string_view KeyOf(std::string_view placed_key);

struct Version {
  uint64_t seq = 0;
  uint64_t deadline_ms = 0;
  RecordPlace place;
  RecordKind kind = RecordKind::kPut;
};
using Versions = std::unordered_map<std::string, Version>;

// Keeps the newer one.
void TakeNewer(Versions* versions, std::string placed_key, const Version& one);

class Keys {
 public:
  // A record that counts, or one that does perhaps. In any order.
  void Take(const Record& record, const RecordPlace& place);
  void TakeDoubtful(const Record& record, const RecordPlace& place);

  const Versions& newest() const { return newest_; }
  const Versions& doubtful() const { return doubtful_; }
  // The highest number of all.
  uint64_t last_seq() const { return last_seq_; }
  // `known`, which holds after the change `as_of`, with what was read behind.
  DatabaseMap DatabasesBehind(DatabaseMap known, uint64_t as_of) const;

 private:
  struct Change {
    uint64_t seq;
    RecordKind kind;
    uint16_t database;
    uint16_t other;  // Of a swap.
  };

  Versions newest_;
  Versions doubtful_;
  std::vector<Change> changes_;  // Flushes and swaps.
  uint64_t last_seq_ = 0;
};

}  // namespace kvd
