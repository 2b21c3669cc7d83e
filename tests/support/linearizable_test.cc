// SPDX-License-Identifier: MIT
#include "tests/support/linearizable.h"

#include <gtest/gtest.h>

#include <random>

namespace kvd {
namespace {

// A register of a number.
class Register {
 public:
  Register& Write(int64_t called, int64_t answered, int value) {
    check_.Answered(called, answered, [value](int) { return value; });
    return *this;
  }
  Register& MayWrite(int64_t called, int value) {
    check_.Unknown(called, [value](int) { return value; });
    return *this;
  }
  Register& Read(int64_t called, int64_t answered, int value) {
    check_.Answered(called, answered, [value](int state) {
      return state == value ? std::optional<int>(state) : std::nullopt;
    });
    return *this;
  }
  Register& Add(int64_t called, int64_t answered, int result) {
    check_.Answered(called, answered, [result](int state) {
      return state + 1 == result ? std::optional<int>(result) : std::nullopt;
    });
    return *this;
  }
  bool Check() { return check_.Check(); }

 private:
  Linearizability<int> check_{0};
};

TEST(Linearizability, OneAfterTheOther) {
  EXPECT_TRUE(Register().Check());
  EXPECT_TRUE(Register().Read(1, 2, 0).Write(3, 4, 7).Read(5, 6, 7).Check());
  EXPECT_FALSE(Register().Read(1, 2, 7).Check());
}

TEST(Linearizability, AReadIsNotStale) {
  EXPECT_FALSE(Register().Write(1, 2, 7).Read(3, 4, 0).Check());
  EXPECT_TRUE(Register().Write(1, 4, 7).Read(2, 3, 0).Check());
  EXPECT_TRUE(Register().Write(1, 4, 7).Read(2, 3, 7).Check());
}

TEST(Linearizability, WhatOneHasReadTheNextReadsToo) {
  EXPECT_FALSE(Register().Write(1, 10, 7).Read(2, 3, 7).Read(4, 5, 0).Check());
  EXPECT_TRUE(Register().Write(1, 10, 7).Read(2, 3, 0).Read(4, 5, 7).Check());
  EXPECT_TRUE(Register().Write(1, 10, 7).Read(2, 5, 7).Read(3, 6, 0).Check());
}

TEST(Linearizability, OverlappingWritesHaveOneOrder) {
  EXPECT_TRUE(Register()
                  .Write(1, 4, 7)
                  .Write(2, 3, 8)
                  .Read(5, 6, 7)
                  .Read(7, 8, 7)
                  .Check());
  EXPECT_FALSE(Register()
                   .Write(1, 4, 7)
                   .Write(2, 3, 8)
                   .Read(5, 6, 7)
                   .Read(7, 8, 8)
                   .Check());
}

TEST(Linearizability, AnUnknownWriteIsDoneLateOrNeverAndOnce) {
  EXPECT_TRUE(Register().MayWrite(1, 7).Read(2, 3, 0).Check());
  EXPECT_TRUE(Register().MayWrite(1, 7).Read(2, 3, 0).Read(4, 5, 7).Check());
  EXPECT_FALSE(Register().Read(1, 2, 7).MayWrite(3, 7).Check());
  EXPECT_FALSE(Register()
                   .MayWrite(1, 7)
                   .Read(2, 3, 7)
                   .Write(4, 5, 8)
                   .Read(6, 7, 7)
                   .Check());
}

TEST(Linearizability, NothingIsDoneTwice) {
  EXPECT_TRUE(Register().Add(1, 4, 1).Add(2, 3, 2).Read(5, 6, 2).Check());
  EXPECT_FALSE(Register().Add(1, 4, 1).Add(2, 3, 1).Check());
  EXPECT_FALSE(Register().Add(1, 2, 1).Read(3, 4, 2).Check());
}

// A history of eight clients as a real register would make it; then with one
// answer changed.
TEST(Linearizability, LongHistories) {
  std::mt19937_64 random(1);
  for (bool wrong : {false, true}) {
    const bool expected = !wrong;
    Register history;
    int value = 0;
    for (int i = 0; i < 500; ++i) {
      // It is done at 10 * i, and up to eight are under way at once.
      const int64_t before = static_cast<int64_t>(random() % 40);
      const int64_t after = static_cast<int64_t>(random() % 40);
      const int64_t called = 10 * i - before;
      const int64_t answered = 10 * i + after;
      if (random() % 3 == 0) {
        history.Add(called, answered, ++value);
      } else if (random() % 50 == 0) {
        history.MayWrite(called, value = static_cast<int>(random() % 1000));
      } else {
        const bool changed = wrong && i > 490;
        history.Read(called, answered, changed ? -1 : value);
        wrong = wrong && !changed;
      }
    }
    EXPECT_EQ(history.Check(), expected);
    EXPECT_FALSE(wrong);
  }
}

}  // namespace
}  // namespace kvd
