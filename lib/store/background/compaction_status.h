// SPDX-License-Identifier: MIT
//
// What compaction is told and what it tells.
#pragma once

#include <cstdint>
#include <string>

namespace kvd {

struct CompactionOptions {
  int64_t interval_ms = 60'000;  // Between two looks; 0 is only when asked.
  double min_dead_ratio = 0.4;   // What makes a segment worth it.
  uint64_t rate_bytes_per_s = 64 << 20;  // Of what is rewritten; 0: no limit.
  uint64_t history_bytes = 0;            // The newest log stays as it is.

  bool operator==(const CompactionOptions&) const = default;
};

struct CompactionStatus {
  bool running = false;
  uint64_t runs_ended = 0;
  uint64_t bytes_done = 0;  // Of this run or the last one …
  uint64_t bytes_all = 0;   // … out of about so many.
  uint64_t last_reclaimed_bytes = 0;
  int64_t last_took_ms = 0;
  int64_t last_ended_ms = 0;     // Wall clock; 0 for never.
  std::string last_error;        // Empty if the last run ended well.
  uint64_t reclaimed_bytes = 0;  // Since the start.
  uint64_t errors = 0;           // Jobs that were given up.
  uint64_t largest_slice = 0;    // Records that the loop handled in one go …
  int64_t longest_slice_us = 0;  // … and how long it took, at the most.
};

}  // namespace kvd
