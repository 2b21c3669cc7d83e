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
//
// To take a value in and another one out is an eighth of the work of a read
// from disk. Where keys are many times as much as memory and none is read
// oftener than others, it gains nothing: so while few reads find their value in
// memory, only some of those that come from the disk push others out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "store/store.h"

namespace kvd {

// One call's work: slots that the hand passes, at the most …
inline constexpr size_t kSweepSlotsMax = 16'384;
// … and values that it evicts between two of them.
inline constexpr size_t kEvictionsAtOnce = 64;
// A value above this share of the bound is not kept after a read: it would
// push out too much.
inline constexpr uint64_t kLargestKeptShare = 8;
// Of so many values that were read from disk …
inline constexpr size_t kAdmissionTrial = 1024;
// … there are few in memory when those that were used meanwhile are less than
// this part of them. Then one in as many reads pushes others out.
inline constexpr size_t kFewHitsPart = 8;

// Thread: loop.
class ValueCache {
 public:
  // The store outlives it.
  explicit ValueCache(Store::Impl& store) : store_(store) {}

  // What values may take: what StoreOptions say, and with a limit for all no
  // more than keys and tables leave them. Something of the limit stays free for
  // values on their way to the disk, which cannot be evicted yet.
  uint64_t bound() const;

  // Evicts until values are within the bound, as far as one call's work goes:
  // true when there is more to do. Values that are not on disk yet stay.
  bool Trim();
  // A command used a value that was in memory.
  void Hit() { ++hits_; }
  // A command used one that was read from disk: whether to keep it.
  bool Admit(uint64_t value_bytes);

  uint64_t evicted() const { return evicted_; }

 private:
  // Memory that keys and tables leave values under a limit.
  uint64_t LeftByLimit() const;
  bool MayKeep(uint64_t value_bytes) const;
  uint64_t Excess() const;

  Store::Impl& store_;
  int database_ = 0;     // Where the hand is: internal number …
  uint64_t cursor_ = 0;  // … and place in its index.
  uint64_t evicted_ = 0;

  size_t reads_ = 0;       // From disk, in this trial …
  size_t hits_ = 0;        // … and values that were in memory.
  bool few_hits_ = false;  // In the last one.
};

}  // namespace kvd
