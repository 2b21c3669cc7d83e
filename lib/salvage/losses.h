// SPDX-License-Identifier: MIT
//
// Which changes could not be read, as far as anything left tells: sequence
// numbers without a gap in the log, hints, the MANIFEST, the heads of other
// segments. From that follows which keys are what they were.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fs/file_system.h"
#include "salvage/keys.h"
#include "salvage/seq_set.h"
#include "salvage/standing.h"
#include "salvage/survey.h"
#include "salvage/tally.h"

namespace kvd {

// What one segment lost.
struct Loss {
  enum class Kind {
    kDamaged,
    kMissing,
    kTorn,  // At the end of the log; nothing proves that it had been durable.
  };
  Kind kind = Kind::kDamaged;
  std::string file;
  std::vector<DamagedPart> parts;
  // The changes, where their numbers are known.
  std::vector<SeqRange> seqs;
  // Whether each lost record's key is known, and how many they are.
  bool keys_known = false;
  uint64_t keys = 0;
  // If not: no lost change is behind this one; UINT64_MAX when nothing says.
  uint64_t last_seq_max = 0;

  // Damage that cost no change: what it hit only told about the segment, or all
  // of it was found elsewhere.
  bool is_harmless() const { return keys_known && keys == 0 && seqs.empty(); }
};

struct Losses {
  std::vector<Loss> list;
  // Of lost records whose keys are known, the newest of each.
  Versions named;
  // A key whose newest record is not behind this change may have had another
  // one. 0: none.
  uint64_t unknown_last_seq = 0;
  // All lost numbers that are known.
  SeqSet seqs;
  // A flush or a swap may be among them.
  bool databases_unknown = false;
};

struct LossFacts {
  const Survey& survey;
  const Standings& standings;
  const std::vector<SegmentTally>& tallies;  // By the survey's segments.
  const SeqSet& rescued;  // Numbers of records that were found elsewhere.
  // Flushes and swaps up to this change are known in any case.
  uint64_t databases_as_of;
};

Losses FindLosses(Directory& directory, const LossFacts& facts);

}  // namespace kvd
