// SPDX-License-Identifier: MIT
#pragma once

#include "base/histogram.h"

namespace kvd {

// How commit groups turned out and how long the disk took, since the start or
// the last reset. Groups without records, which only declare others durable, do
// not count as groups. Times are in nanoseconds and end when the loop hears of
// the completion.
struct LogFigures {
  Histogram group_records;
  Histogram group_bytes;  // With header and padding.
  // From the submission of something that had to reach the disk: a group in
  // SyncMode::kAlways, a sync in the other modes.
  Histogram flush_ns;
  // SyncMode::kAlways: from a group's first record until it was durable; the
  // longest that anyone waited for that group.
  Histogram wait_ns;
};

}  // namespace kvd
