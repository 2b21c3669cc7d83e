// SPDX-License-Identifier: MIT
//
// What one Txn of etcd takes, and what a client is told whose command does not
// fit into any.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "etcd/engine/txn_limits.h"
#include "tests/etcd/engine_host.h"
#include "tests/support/fake_etcd.h"

namespace kvd::etcd {
namespace {

// Those beside the sequence key and a generation.
constexpr int kChangesMax = static_cast<int>(kTxnItemsMax) - 1;
constexpr int kConditionsMax = static_cast<int>(kTxnItemsMax) - 2;

class EngineLimits : public EngineTest {
 protected:
  // A command that puts keys of these numbers.
  static Room PutKeys(Host& host, int from, int to,
                      const std::string& value = "v") {
    return host.Try(false, [&](Operation& op) {
      if (op.Reserve(
              static_cast<uint64_t>(to - from) *
                  Operation::PutBytes(Key(from).size() + 8, value.size()),
              Purpose::kWrite) != Room::kReady) {
        return;
      }
      for (int i = from; i < to; ++i) op.Put(Key(i), value, 0, KeyEvent::kSet);
    });
  }
  // Operations want keys that stay where they are.
  static const std::string& Key(int i) {
    static const std::vector<std::string> keys = [] {
      std::vector<std::string> made;
      for (int key = 0; key < 5000; ++key) {
        made.push_back("key" + std::to_string(key));
      }
      return made;
    }();
    return keys.at(static_cast<size_t>(i));
  }

  // The command can never run, and the reply says this.
  static void ExpectRefused(Host& host, const std::string& why,
                            const std::function<void(Operation&)>& command) {
    EXPECT_EQ(host.Try(false, command), Room::kTooLarge);
    EXPECT_NE(host.store().WhyTooLarge().find(why), std::string::npos)
        << host.store().WhyTooLarge();
  }
  void Commit(Host& host) { EXPECT_EQ(OutcomeOf(host), Outcome::kCommitted); }
  // As soon as it may run.
  void Fresh(Host& host) { EXPECT_EQ(Get(host, "none"), "(none)"); }

  const TxnRequest& LastTxn() const { return etcd_.history().back().request; }
};

TEST_F(EngineLimits, ATxnTakesSoManyKeys) {
  Ready();
  EXPECT_EQ(PutKeys(one_, 0, kChangesMax), Room::kReady);
  Commit(one_);
  EXPECT_EQ(LastTxn().then.size(), kTxnItemsMax);
  EXPECT_EQ(Get(two_, Key(kChangesMax - 1)), "v");

  EXPECT_EQ(PutKeys(one_, 0, 500), Room::kTooLarge);
  const std::string why = one_.store().WhyTooLarge();
  EXPECT_NE(why.find("change 500 keys"), std::string::npos) << why;
  EXPECT_NE(why.find("takes 126"), std::string::npos) << why;
  EXPECT_NE(why.find("nothing was changed"), std::string::npos) << why;
  EXPECT_EQ(Get(one_, Key(kChangesMax)), "(none)");
}

TEST_F(EngineLimits, WhatDoesNotFitIntoABatchIsInTheNext) {
  Ready();
  EXPECT_EQ(PutKeys(one_, 0, 100), Room::kReady);
  EXPECT_EQ(PutKeys(one_, 100, 200), Room::kWait);
  EXPECT_EQ(PutKeys(one_, 100, 126), Room::kReady);
  Commit(one_);
  EXPECT_EQ(PutKeys(one_, 126, 200), Room::kReady);
  Commit(one_);
  EXPECT_EQ(Get(two_, Key(199)), "v");
}

TEST_F(EngineLimits, SeveralChangesOfAKeyAreOne) {
  Ready();
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(one_.Set("key", std::string(4000, 'v') + std::to_string(i)));
    ASSERT_TRUE(one_.Increment("count"));
    ASSERT_TRUE(one_.Set("gone", "v"));
    ASSERT_TRUE(one_.Remove("gone"));
  }
  Commit(one_);
  EXPECT_EQ(LastTxn().then.size(), 4u);
  EXPECT_EQ(Get(two_, "count"), "500");
  EXPECT_EQ(Get(two_, "gone"), "(none)");
}

TEST_F(EngineLimits, AValueIsAMebibyteAtTheMost) {
  Ready();
  ASSERT_TRUE(one_.Set("key", std::string(kTxnValueBytesMax, 'v')));
  Commit(one_);
  EXPECT_EQ(Get(two_, "key"), std::string(kTxnValueBytesMax, 'v'));
  ExpectRefused(one_, "a value of 2097152 bytes", [](Operation& op) {
    Host::Put(op, "key", std::string(2 << 20, 'v'));
  });
}

TEST_F(EngineLimits, ValuesOfABatchAreBoundedTogether) {
  Ready();
  const std::string half(500'000, 'v');
  ASSERT_TRUE(one_.Set("a", half));
  ASSERT_TRUE(one_.Set("b", half));
  EXPECT_FALSE(one_.Set("c", half));
  Commit(one_);
  ASSERT_TRUE(one_.Set("c", half));
  Commit(one_);
  EXPECT_EQ(PutKeys(one_, 0, 3, half), Room::kTooLarge);
  EXPECT_NE(one_.store().WhyTooLarge().find("bytes at once"),
            std::string::npos);
}

// Keys in conditions count, too.
TEST_F(EngineLimits, LongKeysAreBoundedTogether) {
  Ready();
  std::vector<std::string> keys;
  for (int i = 0; i < 25; ++i) {
    keys.push_back(std::string(60'000, 'k') + std::to_string(i));
  }
  const auto read_and_write = [&keys](size_t count) {
    return [&keys, count](Operation& op) {
      for (size_t i = 0; i < count; ++i) op.Find(keys[i]);
      Host::Put(op, "key", "v");
    };
  };
  EXPECT_EQ(one_.Try(false, read_and_write(15)), Room::kReady);
  Commit(one_);
  ExpectRefused(one_, "bytes at once", read_and_write(25));
}

TEST_F(EngineLimits, WhatAChangeDependsOnIsBounded) {
  Ready();
  const auto read_and_write = [](int keys) {
    return [keys](Operation& op) {
      for (int again = 0; again < 2; ++again) {
        for (int i = 0; i < keys; ++i) op.Find(Key(i));
      }
      Host::Put(op, "key", "v");
    };
  };
  EXPECT_EQ(one_.Try(false, read_and_write(kConditionsMax)), Room::kReady);
  Commit(one_);
  EXPECT_EQ(LastTxn().compares.size(), kTxnItemsMax);
  ExpectRefused(one_, "takes 125 such conditions",
                read_and_write(kConditionsMax + 1));
}

TEST_F(EngineLimits, WhoOnlyReadsReadsAsMuchAsItLikes) {
  Ready();
  Fresh(one_);
  const auto read = [](Operation& op) {
    for (int i = 0; i < 5000; ++i) op.Find(Key(i));
  };
  EXPECT_TRUE(one_.Run(true, read));
  // Of a key that is not certain yet it waits for that.
  ASSERT_TRUE(one_.Set(Key(7), "v"));
  EXPECT_FALSE(one_.Run(true, read));
  Commit(one_);
  Fresh(one_);
  EXPECT_TRUE(one_.Run(true, read));
}

TEST_F(EngineLimits, CountsHaveNoConditions) {
  Ready();
  Fresh(one_);
  ExpectRefused(one_, "counts, listings", [](Operation& op) {
    op.Count();
    Host::Put(op, "key", "v");
  });
  EXPECT_TRUE(one_.Run(true, [](Operation& op) { op.Count(); }));
}

TEST_F(EngineLimits, DatabasesDoNotChangePlaces) {
  Ready();
  ExpectRefused(one_, "SWAPDB cannot be done on etcd", [](Operation& op) {
    if (op.Reserve(Operation::SwapBytes(), Purpose::kWrite) == Room::kReady) {
      op.SwapDatabases(0, 1);
    }
  });
  EXPECT_EQ(Get(one_, "ready"), "2");
}

TEST_F(EngineLimits, AllDatabasesAreFlushedByOneTxn) {
  Ready();
  ASSERT_TRUE(one_.Set("before", "v"));
  ASSERT_TRUE(one_.Run(false, [](Operation& op) {
    if (op.Reserve(kDatabases * Operation::RemoveBytes(0), Purpose::kRemoval) ==
        Room::kReady) {
      op.FlushAll();
    }
  }));
  ASSERT_TRUE(one_.Set("behind", "v"));
  Commit(one_);
  // The generations, the key behind it, the sequence key.
  EXPECT_EQ(LastTxn().then.size(), size_t{kDatabases} + 2);
  EXPECT_EQ(Get(two_, "ready"), "(none)");
  EXPECT_EQ(Get(two_, "before"), "(none)");
  EXPECT_EQ(Get(two_, "behind"), "v");
}

// No value can go to disk: nobody waits for that.
TEST_F(EngineLimits, FullMemoryRefuses) {
  EtcdStoreOptions options = WithoutBeats();
  options.memory_limit_bytes = 1 << 20;
  Host small(etcd_, clock_, "small", options);
  const std::string value(200'000, 'v');
  Room room = Room::kReady;
  for (int i = 0; i < 10 && room != Room::kMemoryFull; ++i) {
    Until([&] {
      small.store().Pump();
      small.store().Poll();
      small.batches().TakeOutcome();
      room = small.Try(false, [&](Operation& op) {
        op.AdmitPut(Key(i), value.size(), 0);
        Host::Put(op, Key(i), value);
      });
      return room != Room::kWait;
    });
  }
  EXPECT_EQ(room, Room::kMemoryFull);
}

// A command that was undone leaves nothing in the batch of others.
TEST_F(EngineLimits, WhatWasUndoneIsNoPartOfTheBatch) {
  Ready();
  ASSERT_TRUE(one_.Set("a", "1"));
  ASSERT_TRUE(one_.Increment("count"));
  EXPECT_EQ(one_.Try(false,
                     [](Operation& op) {
                       op.Find("seen");
                       Host::Put(op, "a", std::string(2 << 20, 'v'));
                     }),
            Room::kTooLarge);
  EXPECT_EQ(one_.Try(false,
                     [](Operation& op) {
                       for (int i = 0; i < 200; ++i) op.Find(Key(i));
                       if (op.Reserve(Operation::RemoveBytes(0),
                                      Purpose::kRemoval) == Room::kReady) {
                         op.FlushDatabase();
                       }
                     }),
            Room::kWait);
  ASSERT_TRUE(one_.Increment("count"));
  Commit(one_);
  // a, count, sequence; count, the generation, sequence.
  EXPECT_EQ(LastTxn().then.size(), 3u);
  EXPECT_EQ(LastTxn().compares.size(), 3u);
  EXPECT_EQ(Get(two_, "a"), "1");
  EXPECT_EQ(Get(two_, "count"), "2");
}

// All changes of a Txn get one revision: of a key whose revision somebody was
// shown it has to be the right one.
TEST_F(EngineLimits, AShownRevisionIsOfTheLastChange) {
  Ready();
  const auto set_and_show = [this](const std::string& value) {
    return [this, value](Operation& op) {
      Host::Put(op, "key", value);
      one_.batches().ShowsRevision(op.seen());
    };
  };
  EXPECT_TRUE(one_.Run(false, set_and_show("1")));
  EXPECT_FALSE(one_.Set("key", "2"));
  EXPECT_FALSE(one_.Remove("key"));
  EXPECT_FALSE(one_.Flush());
  EXPECT_TRUE(one_.Set("other", "2"));
  Commit(one_);
  EXPECT_TRUE(one_.Set("key", "2"));
  Commit(one_);
  // Also of one that somebody else has changed.
  EXPECT_TRUE(one_.Set("key", "3"));
  EXPECT_TRUE(one_.Run(false, [this](Operation& op) {
    one_.batches().ShowsRevision(op.Find("key")->seq());
  }));
  EXPECT_FALSE(one_.Set("key", "4"));
  Commit(one_);
  ExpectRefused(one_, "shows a revision", [&](Operation& op) {
    set_and_show("4")(op);
    Host::Put(op, "key", "5");
  });
  EXPECT_EQ(Get(two_, "key"), "3");
}

}  // namespace
}  // namespace kvd::etcd
