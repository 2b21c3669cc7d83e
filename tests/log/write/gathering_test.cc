// SPDX-License-Identifier: MIT
#include "log/write/gathering.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace kvd {
namespace {

constexpr int64_t kUs = 1000;
constexpr int64_t kNow = 1'000'000 * kUs;
constexpr int64_t kFlush = 300 * kUs;

// How long a group that has records since the flush ended waits for one more.
int64_t WaitNs(const Gathering& gathering) {
  int64_t ns = 0;
  while (gathering.Waits(kNow + ns, kNow)) ns += kUs;
  return ns;
}

TEST(Gathering, WaitsForAFlush) {
  Gathering gathering;
  gathering.Landed(kNow, kFlush, 1, 1);
  EXPECT_EQ(WaitNs(gathering), kFlush);
}

TEST(Gathering, WaitsForNoLongerThanTheLimit) {
  Gathering gathering;
  gathering.Landed(kNow, 8'000 * kUs, 1, 1);
  EXPECT_EQ(WaitNs(gathering), Gathering::kWaitNsMax);
}

TEST(Gathering, WaitsForNobodyWhenAllAreBack) {
  Gathering gathering;
  gathering.Landed(kNow, kFlush, 2, 0);
  gathering.Came();
  EXPECT_EQ(WaitNs(gathering), kFlush);
  gathering.Came();
  EXPECT_EQ(WaitNs(gathering), 0);
}

TEST(Gathering, OneWriterAloneWaitsForNobody) {
  Gathering gathering;
  gathering.Landed(kNow, kFlush, 1, 0);
  EXPECT_EQ(WaitNs(gathering), 0);
}

TEST(Gathering, WaitsForNobodyOnceItLeaves) {
  Gathering gathering;
  gathering.Landed(kNow, kFlush, 2, 2);
  gathering.StopWaiting();
  EXPECT_EQ(WaitNs(gathering), 0);
}

// A flush without records, that only declares.
TEST(Gathering, NobodyIsExpectedAfterAnEmptyFlush) {
  Gathering gathering;
  gathering.Landed(kNow, kFlush, 0, 2);
  EXPECT_EQ(WaitNs(gathering), 0);
}

}  // namespace
}  // namespace kvd
