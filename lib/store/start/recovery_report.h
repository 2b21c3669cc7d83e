// SPDX-License-Identifier: MIT
//
// What a start tells, while it goes on and when it is done.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "store/memory/basics.h"

namespace kvd {

struct LoadProgress {
  uint64_t bytes_done = 0;
  uint64_t bytes_all = 0;
  int segments_done = 0;
  int segments_all = 0;
  // Where these figures say nothing: how far it is, or what it waits for, for
  // people.
  std::string words = {};
};

// Called at least once a segment, on the thread that loads. When it returns
// false, the start gives up: kCancelled, and nothing was changed but that a new
// store may have been made.
using OnLoadProgress = std::function<bool(const LoadProgress&)>;

// What was found and done; for the log and for tests.
struct RecoveryReport {
  bool created = false;     // The directory was empty.
  bool clean_stop = false;  // The last run stopped as asked.
  uint64_t segments = 0;
  uint64_t hinted = 0;      // Sealed ones whose values were not read.
  uint64_t records = 0;     // Replayed.
  uint64_t torn_bytes = 0;  // Cut off the tail: from the first bad byte to the
                            // last written one.
  uint64_t torn_records = 0;  // Announced by intact group headers among them.
  Seq last_seq = 0;           // Of the newest surviving change.
};

}  // namespace kvd
