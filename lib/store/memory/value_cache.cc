// SPDX-License-Identifier: MIT
#include "store/memory/value_cache.h"

#include <algorithm>
#include <vector>

#include "base/planted_bug.h"
#include "store/store_impl.h"

namespace kvd {
namespace {

// Of a small limit no more than this part is kept free.
constexpr uint64_t kOnTheirWayPart = 8;

}  // namespace

uint64_t ValueCache::bound() const {
  return std::min(store_.options.value_cache_bytes, LeftByLimit());
}

uint64_t ValueCache::LeftByLimit() const {
  const uint64_t limit = store_.options.memory_limit_bytes;
  if (limit == 0) return UINT64_MAX;
  // One group is written while the next one fills.
  const uint64_t on_their_way = std::min(
      2 * store_.options.open_group_bytes_max, limit / kOnTheirWayPart);
  const uint64_t taken = store_.memory.without_values() + on_their_way;
  return limit - std::min(limit, taken);
}

uint64_t ValueCache::Excess() const {
  const auto above = [](uint64_t bytes, uint64_t bound) {
    return bytes - std::min(bytes, bound);
  };
  return std::max(
      above(store_.memory.value_bytes, store_.options.value_cache_bytes),
      above(store_.memory.evictable_bytes, LeftByLimit()));
}

bool ValueCache::MayKeep(uint64_t value_bytes) const {
  // Only writers bring memory to its limit, and they wait for room.
  return value_bytes <= bound() / kLargestKeptShare && !store_.IsOverLimit() &&
         !store_.log->abandoned();
}

bool ValueCache::Trim() {
  // What is on disk no further than in the page cache can be read as well.
  const Seq readable = IsPlanted(PlantedBug::kEvictUnwritten)
                           ? UINT64_MAX
                           : store_.log->written_seq();
  size_t slots = 0;
  while (Excess() > 0 && slots < kSweepSlotsMax) {
    Keyspace& keyspace = *store_.keyspaces[static_cast<size_t>(database_)];
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
