// SPDX-License-Identifier: MIT
#include "base/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace kvd {
namespace {

constexpr uint64_t kAll = 1000;

struct Bucket {
  uint64_t last;
  uint64_t count;
};

std::vector<Bucket> BucketsOf(const Histogram& histogram) {
  std::vector<Bucket> buckets;
  histogram.ForEach([&](uint64_t last, uint64_t count) {
    buckets.push_back({last, count});
  });
  return buckets;
}

// The last value of the bucket that `value` is in.
uint64_t LastBeside(uint64_t value) {
  Histogram histogram;
  histogram.Add(value);
  return BucketsOf(histogram).at(0).last;
}

// The smallest value that so many of 1000 do not exceed, by the definition.
uint64_t ExactQuantile(const std::vector<uint64_t>& sorted,
                       uint64_t per_mille) {
  for (size_t i = 0; i < sorted.size(); ++i) {
    if ((i + 1) * 1000 >= sorted.size() * per_mille) return sorted[i];
  }
  return sorted.back();
}

TEST(Histogram, AnEmptyOneSaysNothing) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.mean(), 0);
  EXPECT_EQ(histogram.Quantile(500), 0u);
  EXPECT_EQ(histogram.Quantile(kAll), 0u);
  EXPECT_EQ(histogram.CountBelowPower(39), 0u);
  EXPECT_TRUE(BucketsOf(histogram).empty());
}

// Every value up to a few powers of two, and then the edges of all buckets that
// there are.
TEST(Histogram, BucketsCoverEveryValueOnceAndAreNarrow) {
  uint64_t first = 0;
  while (first < Histogram::kValueEnd) {
    const uint64_t last = LastBeside(first);
    ASSERT_GE(last, first);
    ASSERT_EQ(LastBeside(last), last);
    if (first < 5000) {
      for (uint64_t value = first; value <= last; ++value) {
        ASSERT_EQ(LastBeside(value), last) << value;
      }
    }
    if (first < 32) {
      ASSERT_EQ(last, first);
    }
    ASSERT_LE((last - first) * 32, first) << first;
    first = last + 1;
  }
  EXPECT_EQ(first, Histogram::kValueEnd);
}

TEST(Histogram, HugeValuesKeepTheirMaximumAndSum) {
  Histogram histogram;
  histogram.Add(7);
  histogram.Add(Histogram::kValueEnd + 5, 2);
  EXPECT_EQ(histogram.max(), Histogram::kValueEnd + 5);
  EXPECT_EQ(histogram.sum(), 7 + 2 * (Histogram::kValueEnd + 5));
  EXPECT_EQ(histogram.Quantile(333), 7u);
  EXPECT_EQ(histogram.Quantile(990), Histogram::kValueEnd + 5);
  EXPECT_EQ(histogram.CountBelowPower(39), 1u);
}

TEST(Histogram, QuantilesCountExactly) {
  Histogram histogram;
  for (uint64_t value = 1; value <= 10; ++value) histogram.Add(value);
  EXPECT_EQ(histogram.Quantile(0), 1u);
  EXPECT_EQ(histogram.Quantile(100), 1u);
  EXPECT_EQ(histogram.Quantile(101), 2u);
  EXPECT_EQ(histogram.Quantile(500), 5u);
  EXPECT_EQ(histogram.Quantile(990), 10u);
  EXPECT_EQ(histogram.Quantile(kAll), 10u);
  EXPECT_EQ(histogram.mean(), 5.5);
}

TEST(Histogram, TheRareOneInAThousandShowsAt999AndNotBefore) {
  Histogram histogram;
  histogram.Add(10, 999);
  histogram.Add(1'000'000);
  EXPECT_EQ(histogram.Quantile(999), 10u);
  EXPECT_EQ(histogram.Quantile(kAll), 1'000'000u);
}

TEST(Histogram, CountsBelowPowersAreExact) {
  Histogram histogram;
  for (uint64_t value = 0; value < 2000; ++value) histogram.Add(value);
  for (int bits = 0; bits <= 10; ++bits) {
    EXPECT_EQ(histogram.CountBelowPower(bits), uint64_t{1} << bits);
  }
  EXPECT_EQ(histogram.CountBelowPower(11), 2000u);
}

TEST(Histogram, ResetForgetsEverything) {
  Histogram histogram;
  histogram.Add(5, 3);
  histogram.Reset();
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.max(), 0u);
  EXPECT_TRUE(BucketsOf(histogram).empty());
}

TEST(Histogram, QuantilesOfRandomValuesAreThoseOfTheSortedList) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    Histogram histogram;
    std::vector<uint64_t> values;
    const size_t count = 1 + random() % 5000;
    for (size_t i = 0; i < count; ++i) {
      const uint64_t value = (random() % Histogram::kValueEnd) >>
                             (random() % Histogram::kValueBits);
      values.push_back(value);
      histogram.Add(value);
    }
    std::sort(values.begin(), values.end());
    ASSERT_EQ(histogram.max(), values.back());
    for (uint64_t per_mille = 0; per_mille <= kAll; ++per_mille) {
      const uint64_t exact = ExactQuantile(values, per_mille);
      ASSERT_EQ(histogram.Quantile(per_mille),
                std::min(LastBeside(exact), values.back()))
          << per_mille;
    }
  }
}

}  // namespace
}  // namespace kvd
