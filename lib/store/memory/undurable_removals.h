// SPDX-License-Identifier: MIT
//
// Removals that are executed and not durable yet. Each leaves a ghost in its
// keyspace, so that whoever misses the key waits with the remover; once it is
// durable, the ghost goes.
//
// Ghosts go in slices, and each new removal drops two of those whose time has
// come: so what waits is bounded however busy the loop is, and it counts for
// memory.limit meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <string>
#include <string_view>

#include "log/format/place.h"
#include "store/memory/basics.h"
#include "store/memory/keyspace.h"

namespace kvd {

// Thread: loop.
class UndurableRemovals {
 public:
  // `memory` outlives it, and so do the keyspaces of what is removed.
  explicit UndurableRemovals(MemoryUse* memory) : memory_(*memory) {}

  // Puts a ghost in the place of a live key, removed by change `seq`, which is
  // newer than all before. Some of what is durable goes instead. `key` may
  // point into the entry.
  void Bury(Keyspace* keyspace, uint64_t hash, std::string_view key, Seq seq,
            Place place, Seq durable_seq);

  // The same in parts, for a removal that may be undone: notes it, the caller
  // puts the ghost; takes the newest back; drops what so many removals pay for.
  void Note(Keyspace* keyspace, uint64_t hash, std::string_view key, Seq seq);
  void TakeBack();
  void PayFor(size_t removals, Seq durable_seq);
  // The newest ones have this number by now.
  void Renumber(size_t newest, Seq seq);

  // Ghosts of changes behind this one stay, durable or not: what was there
  // before may still be told.
  void KeepBehind(Seq seq) { keep_behind_ = seq; }

  // Drops a slice of the ghosts whose removal is durable: true when more may be
  // left.
  bool DropSlice(Seq durable_seq);

  size_t size() const { return removals_.size(); }

 private:
  struct Removal {
    Seq seq;
    Keyspace* keyspace;
    uint64_t hash;
    std::string key;

    uint64_t memory_bytes() const;
  };

  bool Drop(Seq durable_seq, size_t ghosts_max);

  MemoryUse& memory_;
  std::deque<Removal> removals_;  // By sequence number.
  Seq keep_behind_ = std::numeric_limits<Seq>::max();
};

}  // namespace kvd
