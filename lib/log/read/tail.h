// SPDX-License-Identifier: MIT
//
// Torn or damaged? The one decision on which recovery stands, as a table.
// FORMAT.md, "Torn or damaged".
#pragma once

#include "log/read/segment_reader.h"

namespace kvd {

// Everything that the decision depends on.
struct TailFacts {
  Found found = Found::kNothing;  // At the position.
  // For kGroup: whether it begins with the sequence number that comes next.
  bool continues = true;
  // For kNothing: whether the next live segment begins with that number.
  bool goes_on = false;
  bool sealed = false;         // The MANIFEST has this segment's length …
  bool at_sealed_end = false;  // … and the position is that length.
  // A header that verifies, later in the log, says that the next change was
  // durable.
  bool evidence = false;
};

enum class Verdict {
  kAccept,   // Apply the group, go on.
  kEnd,      // The log of this segment ends here, whole.
  kTorn,     // A crash cut the log here: nothing proves the rest was durable.
  kDamaged,  // What had been durable is gone.
};

constexpr Verdict DecideTail(const TailFacts& facts) {
  if (facts.sealed) {
    if (facts.at_sealed_end) return Verdict::kEnd;
    return facts.found == Found::kGroup && facts.continues ? Verdict::kAccept
                                                           : Verdict::kDamaged;
  }
  if (facts.found == Found::kGroup && facts.continues) return Verdict::kAccept;
  if (facts.found == Found::kNothing && facts.goes_on) return Verdict::kEnd;
  if (facts.evidence) return Verdict::kDamaged;
  return facts.found == Found::kNothing ? Verdict::kEnd : Verdict::kTorn;
}

}  // namespace kvd
