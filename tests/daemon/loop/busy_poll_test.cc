// SPDX-License-Identifier: MIT
#include "daemon/loop/busy_poll.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <optional>

namespace kvd {
namespace {

constexpr int64_t kLimitNs = 300'000;
constexpr size_t kMany = 50;

// A disk that flushes for as many clients as wait, and commands that come
// meanwhile. Turns take no time.
class BusyPollTest : public ::testing::Test {
 protected:
  std::optional<int64_t> Work(size_t clients, bool news) {
    return poll_.Worked({now_ns_, now_ns_, news, clients});
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
  ASSERT_TRUE(poll_.many_wait());
  poll_.Rested();
  EXPECT_FALSE(poll_.many_wait());
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

TEST_F(BusyPollTest, TellsHowLongManyWaited) {
  Commands(kMany);
  now_ns_ += 100'000;
  EXPECT_EQ(Work(kMany, /*news=*/true), 100'000);
  // Asleep, too.
  now_ns_ += 2 * kLimitNs;
  EXPECT_EQ(Work(kMany, /*news=*/true), 2 * kLimitNs);
  now_ns_ += 3 * kLimitNs;
  EXPECT_FALSE(StaysAwake());
  EXPECT_EQ(Work(kMany, /*news=*/true), 3 * kLimitNs);
  EXPECT_EQ(Work(kMany, /*news=*/false), std::nullopt);
}

TEST_F(BusyPollTest, ManyWaitUntilFewDoForAWhile) {
  EXPECT_FALSE(poll_.many_wait());
  Commands(static_cast<size_t>(BusyPoll::kClientsMin) - 1);
  EXPECT_FALSE(poll_.many_wait());
  Commands(static_cast<size_t>(BusyPoll::kClientsMin));
  EXPECT_TRUE(poll_.many_wait());
  // Between two groups of them.
  for (int i = 0; i < 10; ++i) Landed(0);
  EXPECT_TRUE(poll_.many_wait());
  for (int i = 0; i < 10; ++i) Landed(0);
  EXPECT_FALSE(poll_.many_wait());
}

TEST_F(BusyPollTest, NeverWithoutALimit) {
  BusyPoll never(0);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(never.Worked({now_ns_, now_ns_, true, kMany}), std::nullopt);
    EXPECT_FALSE(never.StaysAwake(now_ns_));
    EXPECT_FALSE(never.many_wait());
  }
}

}  // namespace
}  // namespace kvd
