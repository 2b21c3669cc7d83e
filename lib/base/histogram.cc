// SPDX-License-Identifier: MIT
#include "base/histogram.h"

#include "base/check.h"

namespace kvd {

uint64_t Histogram::Quantile(uint64_t per_mille) const {
  const uint64_t wanted = std::max<uint64_t>(
      1, count_ / 1000 * per_mille + (count_ % 1000 * per_mille + 999) / 1000);
  uint64_t seen = 0;
  // The last bucket also holds all larger values, so its end is no bound.
  for (size_t i = 0; i + 1 < kBuckets; ++i) {
    seen += counts_[i];
    if (seen >= wanted) return std::min(LastOf(i), max_);
  }
  return max_;
}

uint64_t Histogram::CountBelowPower(int bits) const {
  KVD_CHECK(bits >= 0 && bits < kValueBits);
  const uint64_t end = uint64_t{1} << bits;
  uint64_t below = 0;
  for (size_t i = 0; LastOf(i) < end; ++i) below += counts_[i];
  return below;
}

}  // namespace kvd
