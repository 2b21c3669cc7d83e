// SPDX-License-Identifier: MIT
//
// The changes of an open transaction, and how each is undone, the newest first.
// What a change replaces is kept as it is: an undone transaction copies
// nothing, and costs about as much as its changes did.
//
// The other way would be a stage: an overlay that look-ups go through and that
// is applied at the end. Whatever looks at more than one key would need a
// second version that merges both: DBSIZE, SCAN, KEYS, RANDOMKEY, and all of
// them behind a FLUSHALL or SWAPDB inside. In place they are right by
// themselves, a plain change pays for a branch that is predicted well, and
// whoever has to ask others whether a batch of changes may stand has the same
// list to undo it. The price: what waits begins again.
//
// The records stay in the open group from the first one on, whatever its size.
// Nothing of them was seen outside when they are undone, so their sequence
// numbers are given again.
//
// Replaced entries do not count for memory.limit: they were there before, and
// go at the end. The table of a flush counts, until it is freed.
//
// Changes pay for work put off (cleared_tables.h, undurable_removals.h). These
// pay when they are kept: what they replaced may still come back, and a ghost
// whose removal is worked off by then would stay for ever.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "store/journal.h"
#include "store/memory/basics.h"
#include "store/memory/cleared_tables.h"
#include "store/memory/databases.h"
#include "store/memory/undurable_removals.h"

namespace kvd {

// Between the first change and Undo() or Keep() nothing else changes the store
// or its log. Thread: loop.
class UndoList {
 public:
  // References outlive it.
  UndoList(Journal& journal, Databases& databases, UndurableRemovals& removals,
           ClearedTables& cleared);

  // Everything from here on is undone or kept together. What begins within is a
  // part: it is undone by itself, and kept with the whole.
  void Begin();
  bool is_open() const { return !parts_.empty(); }

  bool empty() const { return steps_.empty(); }
  // What the changes take in the log.
  uint64_t log_bytes() const { return empty() ? 0 : journal_.BytesSinceMark(); }

  // Before the record of each change is appended …
  void BeforeRecord();
  // … and then the change itself, as in changes.h.
  void Put(Keyspace& keyspace, uint64_t hash, EntryPtr entry);
  // Leaves a ghost.
  void Bury(Keyspace& keyspace, uint64_t hash, std::string_view key, Seq seq,
            Place place);
  void Erase(Keyspace& keyspace, uint64_t hash, std::string_view key, Seq seq,
             Place place);
  void Flush(Keyspace& keyspace, Seq seq, Place place);
  void Swap(uint8_t one, uint8_t other, Seq seq, Place place);

  // Either ends what was begun last.
  void Undo();
  void Keep();

  struct KeyStep {
    enum Kind : uint8_t { kPut, kBury, kErase };
    Kind kind;
    uint32_t segment;  // That has the record.
    Keyspace* keyspace;
    uint64_t hash;
    const Entry* fresh;  // Null for kErase.
    EntryPtr old;        // Null for a put of a new key.
    Seq last_change;     // Before it.
  };
  struct FlushStep {
    uint32_t segment;
    Keyspace* keyspace;
    Keyspace::Cleared cleared;
  };
  struct SwapStep {
    uint32_t segment;
    uint8_t one;
    uint8_t other;
    Seq before_one;
    Seq before_other;
  };
  using Step = std::variant<KeyStep, FlushStep, SwapStep>;
  // The changes so far, the oldest first.
  const std::vector<Step>& steps() const { return steps_; }

 private:
  struct Part {
    size_t first_step;
    uint64_t kept_bytes;  // Before it.
  };

  void Add(Step step, uint64_t kept_bytes);
  void UndoStep(KeyStep& step);
  void UndoStep(FlushStep& step);
  void UndoStep(SwapStep& step);
  void KeepStep(KeyStep& step);
  void KeepStep(FlushStep& step);
  void KeepStep(SwapStep& step);
  void Clear();

  Journal& journal_;
  Databases& databases_;
  SegmentUsage& usage_;
  UndurableRemovals& removals_;
  ClearedTables& cleared_;
  std::vector<Step> steps_;
  std::vector<Part> parts_;
};

}  // namespace kvd
