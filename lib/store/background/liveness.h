// SPDX-License-Identifier: MIT
//
// What compaction asks the index, and tells it: which of some records are
// current, and where they are once they were written anew. A slice of records
// at a time, whose cache misses overlap.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "log/format/record.h"
#include "store/background/compaction_job.h"
#include "store/memory/basics.h"
#include "store/memory/databases.h"

namespace kvd {

// Thread: loop.
class Liveness {
 public:
  // `databases` outlive it.
  explicit Liveness(Databases& databases) : databases_(databases) {}

  // For the next job's victims: segments that stay hold dead puts from this
  // change on, which is what tombstones may hide; UINT64_MAX if none does.
  void Begin(Seq hiding_from_seq) { hiding_from_seq_ = hiding_from_seq; }

  // Appends what becomes of each record.
  void Judge(std::span<const Record> records, std::vector<Fate>* fates);

  // Has entries follow the records that the job moved, unless their keys have
  // got newer changes, and counts what the new segments hold.
  void Repoint(const CompactionJob& job);

 private:
  void Prefetch(std::span<const Record> records);
  Fate FateOf(const Record& record, uint64_t hash) const;

  Databases& databases_;
  Seq hiding_from_seq_ = UINT64_MAX;
  std::vector<uint64_t> hashes_;  // Of the slice at hand.
};

}  // namespace kvd
