// SPDX-License-Identifier: MIT
//
// From records to the state in memory: for each key the newest record counts,
// in whatever order they come. Compacted segments hold old and new changes
// side by side, and share their range of sequence numbers with other segments.
//
// A removal is remembered, as a ghost in the index, as long as an older put of
// its key may still come. Segments come in the order of their lowest sequence
// number, so that a log without compacted segments needs no ghosts at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <queue>
#include <string>
#include <vector>

#include "log/format/manifest.h"
#include "log/read/segment_reader.h"
#include "store/memory/databases.h"
#include "store/start/prepared_records.h"

namespace kvd {

// Thread: the one that loads. Databases and manifest outlive it.
class Replayer {
 public:
  // Takes in what the MANIFEST knows of databases. Live segments may leave
  // `value_bytes_max` of values in memory.
  Replayer(Databases* databases, const Manifest& manifest,
           uint64_t value_bytes_max);

  // The records up to the next call are of sealed segment `index`; segments
  // follow each other as in the MANIFEST. From a hint they are in no order, and
  // changes of databases are not among them.
  void BeginSealed(size_t index, bool from_hint);
  // All records of that segment, which were from its hint, have come.
  void EndHint(size_t index);
  // The records from here on are newer than all before.
  void EndSealed();

  // Takes records of a segment in, decoded elsewhere …
  void Apply(PreparedRecords* prepared, uint32_t segment);
  // … or here.
  void Apply(const Group& group, uint32_t segment);

  // All that came.
  uint64_t records() const { return records_; }

 private:
  struct Removal {
    uint64_t seq;
    uint64_t hash;
    uint16_t database;
    std::string key;

    // The oldest is the first to be forgotten.
    bool operator<(const Removal& other) const { return seq > other.seq; }
  };

  const Index& IndexOf(const Change& change) const;
  void Apply(const Change& change, uint64_t hash, uint32_t segment,
             EntryPtr entry);
  void ApplyRemoval(const Change& change, uint64_t hash, Place place);
  void ExpectKeys();
  void ForgetRemovalsUpTo(uint64_t seq);

  Databases& databases_;
  SegmentUsage& usage_;
  const Manifest& manifest_;
  uint64_t records_ = 0;
  // Records older than this do not come any more: with the segment that is
  // being read, and by segment with the ones behind it.
  uint64_t oldest_to_come_ = 0;
  std::vector<uint64_t> oldest_behind_;
  std::priority_queue<Removal> removals_;
  uint64_t records_of_hint_ = 0;  // That came out of the one being read.
  uint64_t sealed_records_ = 0;   // Of all sealed segments.
  // Of records that are applied together, those that are no puts of new keys:
  // whether entries are asked for with the next ones.
  uint64_t meetings_ = 0;
  bool asks_for_entries_ = false;
  PreparedRecords prepared_;
  ValueBudget value_budget_;  // Of the live segments.
};

}  // namespace kvd
