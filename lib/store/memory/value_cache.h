// SPDX-License-Identifier: MIT
//
// Which values stay in memory: a bound, and a hand that goes round.
//
// The policy is CLOCK (Corbató, 1968) as SIEVE (Zhang et al., NSDI 2024) uses
// its mark: a value comes in unmarked, a read marks it, and the hand takes the
// mark of those it passes and evicts those without. Whatever is read once, as
// by a scan, goes the next time the hand comes by; whatever is read again
// between two rounds stays. The hand follows the order of the index, which is
// random, so the policy needs no list and no memory at all: the mark is a bit
// of the entry, and slots know which entries hold a value.
#pragma once

#include <cstddef>
#include <cstdint>

#include "log/log_writer.h"
#include "store/memory/databases.h"
#include "store/memory/memory_limit.h"

namespace kvd {

// One call's work: slots that the hand passes, at the most …
inline constexpr size_t kSweepSlotsMax = 16'384;
// … and values that it evicts between two of them.
inline constexpr size_t kEvictionsAtOnce = 64;
// A value above this share of the bound is not kept after a read: it would
// push out too much.
inline constexpr uint64_t kLargestKeptShare = 8;

struct ValueCacheOptions {
  uint64_t value_bytes_max = UINT64_MAX;
  // Of a commit group: what writers may have on its way to the disk.
  uint64_t group_bytes_max = 0;
};

// Thread: loop.
class ValueCache {
 public:
  // References outlive it.
  ValueCache(const ValueCacheOptions& options, Databases& databases,
             const MemoryLimit& limit, const LogWriter& log)
      : options_(options),
        databases_(databases),
        memory_(databases.memory()),
        limit_(limit),
        log_(log) {}

  // What values may take: what the options say, and with a limit for all no
  // more than keys and tables leave them. Something of the limit stays free for
  // values on their way to the disk, which cannot be evicted yet.
  uint64_t bound() const;

  // Evicts until values are within the bound, as far as one call's work goes:
  // true when there is more to do. Values that are not on disk yet stay.
  bool Trim();
  // A command used a value that was read from disk: whether to keep it.
  bool MayKeep(uint64_t value_bytes) const;

  // The first of the options, from now on.
  void set_value_bytes_max(uint64_t bytes) { options_.value_bytes_max = bytes; }

  uint64_t evicted() const { return evicted_; }

 private:
  // Memory that keys and tables leave values under a limit.
  uint64_t LeftByLimit() const;
  uint64_t Excess() const;

  ValueCacheOptions options_;
  Databases& databases_;
  const MemoryUse& memory_;
  const MemoryLimit& limit_;
  const LogWriter& log_;
  int database_ = 0;     // Where the hand is: internal number …
  uint64_t cursor_ = 0;  // … and place in its index.
  uint64_t evicted_ = 0;
};

}  // namespace kvd
