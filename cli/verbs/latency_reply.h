// SPDX-License-Identifier: MIT
//
// Histograms as KV.LATENCY gives them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "resp/reply_parser.h"

namespace kvctl {

// The value of a field of a map, in version 2 or 3; an empty reply if it has no
// such field.
const kvd::Reply& FieldOf(const kvd::Reply& map, std::string_view name);

class LatencyHistogram {
 public:
  LatencyHistogram() = default;
  // Of KV.LATENCY's map; what is missing there is 0.
  explicit LatencyHistogram(const kvd::Reply& map);

  int64_t count() const { return count_; }
  int64_t max_ns() const { return max_ns_; }
  // Nanoseconds that `per_mille` of 1000 did not exceed, exact to 3 %; 0 when
  // nothing was counted.
  int64_t Quantile(int64_t per_mille) const;
  // The last value of each bucket, and how many there are in it.
  const std::map<int64_t, int64_t>& buckets() const { return buckets_; }

  // What came after `before` was taken of the same histogram; all of it if that
  // was reset since. max_ns() is that of all.
  LatencyHistogram Since(const LatencyHistogram& before) const;

 private:
  int64_t count_ = 0;
  int64_t max_ns_ = 0;
  std::map<int64_t, int64_t> buckets_;
};

// "870ns", "12.4us", "3.21ms", "1.50s": three digits.
std::string FormatNs(int64_t ns);

}  // namespace kvctl
