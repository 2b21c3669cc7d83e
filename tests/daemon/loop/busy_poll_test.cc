// SPDX-License-Identifier: MIT
#include "daemon/loop/busy_poll.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>

namespace kvd {
namespace {

constexpr int64_t kLimitNs = 300'000;
constexpr size_t kMany = 50;

// A disk that flushes for as many clients as wait, and commands that come
// meanwhile. Turns take no time.
class BusyPollTest : public ::testing::Test {
 protected:
  void Work(size_t clients, bool news) {
    poll_.Worked({now_ns_, now_ns_, news, clients});
  }
  void Commands(size_t clients) { Work(clients, /*news=*/false); }
  void Landed(size_t clients) { Work(clients, /*news=*/true); }
  bool StaysAwake() const { return poll_.StaysAwake(now_ns_); }

  int64_t now_ns_ = 1'000'000'000;
  BusyPoll poll_{kLimitNs};
};

TEST_F(BusyPollTest, SleepsWhileNobodyWaits) {
  EXPECT_FALSE(StaysAwake());
  Landed(0);
  EXPECT_FALSE(StaysAwake());
  Commands(0);
  EXPECT_FALSE(StaysAwake());
}

TEST_F(BusyPollTest, StaysAwakeForManyUntilTheLimit) {
  Commands(kMany);
  EXPECT_TRUE(StaysAwake());
  now_ns_ += kLimitNs - 1;
  EXPECT_TRUE(StaysAwake());
  now_ns_ += 1;
  EXPECT_FALSE(StaysAwake());
}

TEST_F(BusyPollTest, DoesNotForFew) {
  for (int i = 0; i < 100; ++i) {
    Landed(static_cast<size_t>(BusyPoll::kClientsMin) - 1);
    EXPECT_FALSE(StaysAwake());
  }
  Commands(static_cast<size_t>(BusyPoll::kClientsMin));
  EXPECT_TRUE(StaysAwake());
}

TEST_F(BusyPollTest, ARestEndsIt) {
  Commands(kMany);
  Landed(0);
  poll_.Rested();
  Commands(1);
  EXPECT_FALSE(StaysAwake());
}

// Right after a flush only those wait who have come during it.
TEST_F(BusyPollTest, FewOfManyCountAsMany) {
  Commands(kMany);
  Landed(1);
  EXPECT_TRUE(StaysAwake());
  Landed(0);
  EXPECT_FALSE(StaysAwake());
  Commands(1);
  EXPECT_TRUE(StaysAwake());
  // And as few once the many are gone.
  for (int i = 0; i < 100; ++i) Landed(1);
  EXPECT_FALSE(StaysAwake());
}

// Commands that come in during a flush do not make it a younger one.
TEST_F(BusyPollTest, CommandsDoNotLengthenTheWait) {
  Commands(kMany);
  now_ns_ += kLimitNs / 2;
  Commands(kMany + 1);
  EXPECT_TRUE(StaysAwake());
  now_ns_ += kLimitNs / 2;
  Commands(kMany + 2);
  EXPECT_FALSE(StaysAwake());
}

TEST_F(BusyPollTest, SleepsAtOnceAfterAFlushThatTookLonger) {
  Commands(kMany);
  now_ns_ += kLimitNs;
  Landed(kMany);
  EXPECT_FALSE(StaysAwake());
  // Until one has taken less.
  now_ns_ += kLimitNs - 1;
  Landed(kMany);
  EXPECT_TRUE(StaysAwake());
}

// What was done while nobody waited says nothing about the disk.
TEST_F(BusyPollTest, ALullIsNoLongFlush) {
  Commands(kMany);
  Landed(0);
  now_ns_ += 100 * kLimitNs;
  Landed(0);
  Commands(kMany);
  EXPECT_TRUE(StaysAwake());
}

TEST_F(BusyPollTest, NeverWithoutALimit) {
  BusyPoll never(0);
  for (int i = 0; i < 3; ++i) {
    never.Worked({now_ns_, now_ns_, true, kMany});
    EXPECT_FALSE(never.StaysAwake(now_ns_));
  }
}

}  // namespace
}  // namespace kvd
