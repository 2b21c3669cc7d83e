// SPDX-License-Identifier: MIT
//
// Counts values in fixed memory: in buckets of width one below 32, and above
// that in 32 buckets for each power of two, so that a bucket is never wider
// than 3.1 % of its values. After HdrHistogram (Gil Tene, hdrhistogram.org).
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace kvd {

// Thread: one at a time.
class Histogram {
 public:
  // Counts `value`, `times` times. Values from kValueEnd on share the last
  // bucket; sum() and max() stay exact.
  void Add(uint64_t value, uint64_t times = 1) {
    counts_[BucketOf(value)] += times;
    count_ += times;
    sum_ += value * times;
    max_ = std::max(max_, value);
  }
  void Reset() { *this = Histogram(); }

  uint64_t count() const { return count_; }
  uint64_t sum() const { return sum_; }
  uint64_t max() const { return max_; }
  double mean() const {
    return count_ == 0
               ? 0
               : static_cast<double>(sum_) / static_cast<double>(count_);
  }

  // The value that `per_mille` of 1000 values do not exceed, rounded up to the
  // end of its bucket and to max() at most. 0 when there are no values.
  uint64_t Quantile(uint64_t per_mille) const;

  // How many values were less than 2^bits: exact, for bits < kValueBits.
  uint64_t CountBelowPower(int bits) const;

  // Calls `each(last, count)` with the last value and the count of every bucket
  // that is not empty, smallest first.
  template <typename Each>
  void ForEach(Each each) const {
    for (size_t i = 0; i < kBuckets; ++i) {
      if (counts_[i] != 0) each(LastOf(i), counts_[i]);
    }
  }

  static constexpr int kValueBits = 40;  // As nanoseconds 18 minutes.
  static constexpr uint64_t kValueEnd = uint64_t{1} << kValueBits;

 private:
  static constexpr int kStepBits = 5;
  static constexpr uint64_t kSteps = uint64_t{1} << kStepBits;
  static constexpr size_t kBuckets = (kValueBits - kStepBits + 1) * kSteps;

  static size_t BucketOf(uint64_t value) {
    value = std::min(value, kValueEnd - 1);
    if (value < kSteps) return value;
    // What is left of the value is its highest bit and kStepBits below it.
    const int shift = std::bit_width(value) - kStepBits - 1;
    return static_cast<uint64_t>(shift) * kSteps + (value >> shift);
  }
  static uint64_t LastOf(size_t bucket) {
    if (bucket < kSteps) return bucket;
    const size_t shift = bucket / kSteps - 1;
    return ((bucket - shift * kSteps + 1) << shift) - 1;
  }

  std::array<uint64_t, kBuckets> counts_ = {};
  uint64_t count_ = 0;
  uint64_t sum_ = 0;
  uint64_t max_ = 0;
};

}  // namespace kvd
