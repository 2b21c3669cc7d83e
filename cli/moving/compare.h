// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "cli/failure.h"
#include "cli/moving/record_sorter.h"
#include "cli/records/record_source.h"

namespace kvctl {

struct CompareOptions {
  std::optional<int64_t> database = {};  // Only this one's keys.
  // Keys whose deadline has passed by then are as good as gone.
  std::optional<int64_t> now_ms = {};
  // Else deadlines may be off by kDeadlineSlackMs.
  bool exact_deadlines = true;
};

enum class Side { kOnlyA, kOnlyB, kBoth };

struct Difference {
  Side side;
  // With kBoth: what is different.
  bool value = false;
  bool deadline = false;
};

struct Compared {
  int64_t equal = 0;
  int64_t only_a = 0;
  int64_t only_b = 0;
  int64_t different = 0;

  bool is_equal() const { return only_a + only_b + different == 0; }
};

// Reads a source to its end. In place of values there are checksums of 128
// bits, which two values share by accident only as often as never.
Attempt<void> Collect(RecordSource* source, const CompareOptions& options,
                      RecordSorter* sorter);

// Compares what was collected, in the order of the keys; `visit` gets each
// difference with the record of A, or of B if A has none.
using Visit = std::function<Attempt<void>(const Difference&, const Record&)>;
Attempt<Compared> Compare(RecordSorter* a, RecordSorter* b,
                          const CompareOptions& options, const Visit& visit);

}  // namespace kvctl
