// SPDX-License-Identifier: MIT
//
// A reply is about one moment: what a kvd has changed by itself is in its index
// at once, and what others had changed before that when the watch tells.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <string_view>

#include "base/planted_bug.h"
#include "tests/etcd/engine_host.h"
#include "tests/support/fake_etcd.h"

namespace kvd::etcd {
namespace {

class EngineMoments : public EngineTest {
 protected:
  static constexpr int kReader = 1;
  static constexpr int kWriter = 2;

  EngineMoments() {
    Ready();
    EXPECT_TRUE(one_.Set("y", "old"));
    EXPECT_EQ(OutcomeOf(one_), Outcome::kCommitted);
  }
  // Two clients of "one" are told that it is up to date; then "two" sets x, and
  // after that the second client does `change`. "one" has not been told of x.
  void LetOneBeAhead(const std::function<bool()>& change) {
    for (const int client : {kWriter, kReader}) {
      one_.Become(client);
      EXPECT_EQ(Get(one_, "x"), "(none)");
    }
    etcd_.HoldWatches("one", true);
    EXPECT_TRUE(two_.Set("x", "new"));
    EXPECT_EQ(OutcomeOf(two_), Outcome::kCommitted);
    one_.Become(kWriter);
    EXPECT_TRUE(change());
    EXPECT_EQ(OutcomeOf(one_), Outcome::kCommitted);
    one_.Become(kReader);
  }
  void LetOneBeAhead() {
    LetOneBeAhead([this] { return one_.Set("y", "new"); });
  }
  bool ReadBoth() {
    return one_.Run(true, [this](Operation& op) {
      y_ = ValueOf(op, "y");
      x_ = ValueOf(op, "x");
    });
  }
  bool Read(const std::string& key) {
    return one_.Run(true, [&](Operation& op) { op.Find(key); });
  }
  // Operations want keys that stay where they are.
  static std::string ValueOf(Operation& op, std::string_view key) {
    const Entry* entry = op.Find(key);
    return entry == nullptr ? "(none)" : std::string(op.Value(*entry));
  }
  void See() { etcd_.HoldWatches("one", false); }

  std::string x_;
  std::string y_;
};

TEST_F(EngineMoments, WhatReadsSeveralKeysWaitsForTheWatch) {
  LetOneBeAhead();
  EXPECT_FALSE(ReadBoth());
  for (int i = 0; i < 10; ++i) Pass();
  EXPECT_FALSE(ReadBoth());
  See();
  Until([&] { return ReadBoth(); });
  EXPECT_EQ(y_ + x_, "newnew");
}

#ifdef KVD_PLANTED_BUGS
TEST_F(EngineMoments, AreSeenToBeMixed) {
  const ScopedPlantedBug planted(PlantedBug::kMixMoments);
  LetOneBeAhead();
  EXPECT_TRUE(ReadBoth());
  EXPECT_EQ(y_ + x_, "new(none)");
}
#endif

TEST_F(EngineMoments, ARemovalIsAheadToo) {
  LetOneBeAhead([this] { return one_.Remove("y"); });
  EXPECT_FALSE(ReadBoth());
}

TEST_F(EngineMoments, AFlushIsAheadToo) {
  LetOneBeAhead([this] { return one_.Flush(); });
  EXPECT_FALSE(ReadBoth());
}

TEST_F(EngineMoments, WhatCountsAllKeysWaitsForTheWatch) {
  LetOneBeAhead();
  uint64_t count = 0;
  const auto count_all = [&](Operation& op) { count = op.Count(); };
  EXPECT_FALSE(one_.Run(true, count_all));
  See();
  Until([&] { return one_.Run(true, count_all); });
  EXPECT_EQ(count, 3u);
}

TEST_F(EngineMoments, ThatADatabaseIsEmptyIsOneToo) {
  EXPECT_TRUE(one_.Flush());
  EXPECT_EQ(OutcomeOf(one_), Outcome::kCommitted);
  EXPECT_EQ(one_.Try(false,
                     [](Operation& op) {
                       EXPECT_EQ(op.Random([] { return 0; }), nullptr);
                       Host::Put(op, "z", "1");
                     }),
            Room::kTooLarge);
}

// Nothing that it could be compared with.
TEST_F(EngineMoments, WhatReadsOneKeyDoesNotWait) {
  LetOneBeAhead();
  EXPECT_TRUE(Read("x"));
  EXPECT_TRUE(Read("y"));
}

TEST_F(EngineMoments, OneClientsReadsAreInOrder) {
  LetOneBeAhead();
  EXPECT_TRUE(Read("y"));
  EXPECT_FALSE(Read("x"));
  See();
  Until([&] { return Read("x"); });
}

TEST_F(EngineMoments, OneClientsReadsComeBehindItsChanges) {
  LetOneBeAhead();
  one_.Become(kWriter);
  EXPECT_FALSE(Read("x"));
  See();
  Until([&] { return Read("x"); });
}

// Keys that nobody here has changed since the watch told of all.
TEST_F(EngineMoments, WhatIsNotAheadDoesNotWait) {
  LetOneBeAhead();
  EXPECT_TRUE(one_.Run(true, [](Operation& op) {
    op.Find("ready");
    op.Find("x");
  }));
}

// What changes something proves by its Txn what it has seen.
TEST_F(EngineMoments, WhatChangesSomethingDoesNotWait) {
  LetOneBeAhead();
  EXPECT_TRUE(one_.Run(false, [](Operation& op) {
    op.Find("x");
    op.Find("y");
    Host::Put(op, "z", "1");
  }));
  EXPECT_EQ(OutcomeOf(one_), Outcome::kRefused);
}

// The condition is that of an earlier command, and proves nothing of this one.
TEST_F(EngineMoments, WhatOthersHaveReadInTheBatchIsNotProvenByThat) {
  EXPECT_EQ(Get(one_, "y"), "old");
  etcd_.HoldWatches("one", true);
  EXPECT_TRUE(two_.Remove("y"));
  EXPECT_EQ(OutcomeOf(two_), Outcome::kCommitted);
  EXPECT_TRUE(one_.Run(false, [](Operation& op) {
    op.Find("y");
    Host::Put(op, "z", "1");
  }));
  one_.NewWords();
  EXPECT_FALSE(one_.Run(false, [](Operation& op) { op.Find("y"); }));
}

// Else its commands would be told what has become of another one's.
TEST_F(EngineMoments, NoBatchBeginsBeforeTheEndOfTheLastIsTaken) {
  EXPECT_TRUE(one_.Set("z", "1"));
  Until([&] { return etcd_.Get("kvd/0/0/z").has_value(); });
  Pass();
  EXPECT_FALSE(one_.Set("z", "2"));
  EXPECT_EQ(one_.batches().TakeOutcome(), Outcome::kCommitted);
  EXPECT_TRUE(one_.Set("z", "2"));
}

}  // namespace
}  // namespace kvd::etcd
