// SPDX-License-Identifier: MIT
#include "store/memory/value_cache.h"

#include <algorithm>
#include <vector>

#include "base/planted_bug.h"

namespace kvd {
namespace {

// Of a small limit no more than this part is kept free.
constexpr uint64_t kOnTheirWayPart = 8;

}  // namespace

uint64_t ValueCache::bound() const {
  return std::min(options_.value_bytes_max, LeftByLimit());
}

uint64_t ValueCache::LeftByLimit() const {
  const uint64_t limit = limit_.bytes();
  if (limit == 0) return UINT64_MAX;
  // One group is written while the next one fills.
  const uint64_t on_their_way =
      std::min(2 * options_.group_bytes_max, limit / kOnTheirWayPart);
  const uint64_t taken = memory_.without_values() + on_their_way;
  return limit - std::min(limit, taken);
}

uint64_t ValueCache::Excess() const {
  const auto above = [](uint64_t bytes, uint64_t bound) {
    return bytes - std::min(bytes, bound);
  };
  return std::max(above(memory_.value_bytes, options_.value_bytes_max),
                  above(memory_.evictable_bytes, LeftByLimit()));
}

bool ValueCache::MayKeep(uint64_t value_bytes) const {
  // Only writers bring memory to its limit, and they wait for room.
  return value_bytes <= bound() / kLargestKeptShare && !limit_.IsOver() &&
         !log_.abandoned();
}

bool ValueCache::Trim() {
  // What is on disk no further than in the page cache can be read as well.
  const Seq readable =
      IsPlanted(PlantedBug::kEvictUnwritten) ? UINT64_MAX : log_.written_seq();
  size_t slots = 0;
  while (Excess() > 0 && slots < kSweepSlotsMax) {
    Keyspace& keyspace = databases_.Internal(static_cast<size_t>(database_));
    std::vector<Entry*> victims;
    const uint64_t wanted_bytes = Excess();
    uint64_t bytes = 0;
    cursor_ = keyspace.index().SweepValues(
        cursor_, kSweepSlotsMax, &slots, [&](Entry& entry) {
          if (bytes >= wanted_bytes || victims.size() == kEvictionsAtOnce) {
            return false;
          }
          if (entry.visited()) {
            entry.set_visited(false);
          } else if (entry.seq() <= readable) {
            victims.push_back(&entry);
            bytes += entry.value_bytes();
          }
          return true;
        });
    for (Entry* victim : victims) keyspace.MakeCold(victim);
    evicted_ += victims.size();
    if (cursor_ == 0) database_ = (database_ + 1) % kDatabases;
  }
  return Excess() > 0;
}

}  // namespace kvd
