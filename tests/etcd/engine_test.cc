// SPDX-License-Identifier: MIT
//
// Stores that share an etcd, command by command: what a daemon does with them,
// done by hand.
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "etcd/engine/etcd_store.h"
#include "store/operation.h"
#include "tests/support/fake_etcd.h"
#include "tests/support/manual_clock.h"

namespace kvd::etcd {
namespace {

using Outcome = Batches::Outcome;

// One kvd, without its clients.
class Host {
 public:
  Host(FakeEtcd& etcd, Clock& clock, const std::string& name)
      : store_(etcd.Connect(name, Wake([] {})),
               {.id = name, .nonce = name + "-1"}, clock, Wake([] {})) {}

  EtcdStore& store() { return store_; }
  Batches& batches() { return *store_.batches(); }

  // Whether the command ran; what it changed is on its way after Pump().
  bool Run(bool reads, const std::function<void(Operation&)>& command) {
    uint64_t& stamp = stamp_;
    if (batches().Admit(reads, &stamp) != Batches::Admission::kRun) {
      return false;
    }
    batches().BeginCommand();
    ColdValues cold;
    Operation op(store_, 0, &cold);
    command(op);
    const bool ran = op.blocked() == Room::kReady;
    const auto verdict = batches().EndCommand(ran, false, op.seen());
    return ran && verdict.room == Room::kReady;
  }
  bool Set(const std::string& key, const std::string& value) {
    return Run(false, [&](Operation& op) {
      if (op.Reserve(Operation::PutBytes(key.size(), value.size()),
                     Purpose::kWrite) != Room::kReady) {
        return;
      }
      op.Put(key, value, 0, KeyEvent::kSet);
    });
  }
  bool Increment(const std::string& key) {
    return Run(false, [&](Operation& op) {
      const Entry* entry = op.Find(key);
      const int old =
          entry == nullptr ? 0 : std::stoi(std::string(op.Value(*entry)));
      const std::string value = std::to_string(old + 1);
      if (op.Reserve(Operation::PutBytes(key.size(), value.size()),
                     Purpose::kWrite) != Room::kReady) {
        return;
      }
      op.Put(key, value, 0, KeyEvent::kIncrBy);
    });
  }
  bool Remove(const std::string& key) {
    return Run(false, [&](Operation& op) {
      if (op.Find(key) == nullptr) return;
      if (op.Reserve(Operation::RemoveBytes(key.size()), Purpose::kRemoval) !=
          Room::kReady) {
        return;
      }
      op.Remove(key, KeyEvent::kDel);
    });
  }
  bool Flush() {
    return Run(false, [&](Operation& op) {
      if (op.Reserve(Operation::RemoveBytes(0), Purpose::kRemoval) ==
          Room::kReady) {
        op.FlushDatabase();
      }
    });
  }
  // Reads as a client does whose words have just come.
  std::optional<std::string> Get(const std::string& key,
                                 const std::function<void()>& pass) {
    stamp_ = 0;
    std::optional<std::string> value;
    const auto read = [&](Operation& op) {
      const Entry* entry = op.Find(key);
      value = entry == nullptr ? "(none)" : std::string(op.Value(*entry));
    };
    for (int i = 0; i < 20'000 && !Run(true, read); ++i) pass();
    return value;
  }

 private:
  EtcdStore store_;
  uint64_t stamp_ = 0;
};

class EngineTest : public testing::Test {
 protected:
  // A turn of each.
  void Pass() {
    for (Host* host : {&one_, &two_}) host->store().Pump();
    clock_.AdvanceMs(1);
    etcd_.Run();
    for (Host* host : {&one_, &two_}) {
      host->store().Poll();
      host->store().Tick();
    }
  }
  void Until(const std::function<bool()>& done) {
    for (int i = 0; i < 20'000; ++i, Pass()) {
      if (done()) return;
    }
    FAIL() << "it did not come";
  }
  // What became of the batch that is under way.
  Outcome OutcomeOf(Host& host) {
    Outcome outcome = Outcome::kNone;
    Until([&] {
      outcome = host.batches().TakeOutcome();
      return outcome != Outcome::kNone;
    });
    return outcome;
  }
  void Ready() {
    Until([&] { return one_.Set("ready", "1"); });
    EXPECT_EQ(OutcomeOf(one_), Outcome::kCommitted);
    Until([&] { return two_.Set("ready", "2"); });
    EXPECT_EQ(OutcomeOf(two_), Outcome::kCommitted);
  }
  std::string Get(Host& host, const std::string& key) {
    return host.Get(key, [this] { Pass(); }).value_or("(nothing)");
  }

  ManualClock clock_;
  FakeEtcd etcd_{clock_};
  Host one_{etcd_, clock_, "one"};
  Host two_{etcd_, clock_, "two"};
};

TEST_F(EngineTest, WhatOneHasSetTheOtherReads) {
  Ready();
  ASSERT_TRUE(one_.Set("key", "value"));
  EXPECT_EQ(OutcomeOf(one_), Outcome::kCommitted);
  EXPECT_EQ(Get(two_, "key"), "value");
  ASSERT_TRUE(two_.Remove("key"));
  EXPECT_EQ(OutcomeOf(two_), Outcome::kCommitted);
  EXPECT_EQ(Get(two_, "key"), "(none)");
  EXPECT_EQ(Get(one_, "key"), "(none)");
}

TEST_F(EngineTest, OfTwoThatReadTheSameOneRunsAgain) {
  Ready();
  ASSERT_TRUE(one_.Increment("count"));
  ASSERT_TRUE(two_.Increment("count"));
  const Outcome first = OutcomeOf(one_);
  const Outcome second = OutcomeOf(two_);
  EXPECT_NE(first, second);
  Host& late = first == Outcome::kRefused ? one_ : two_;
  Until([&] { return late.Increment("count"); });
  EXPECT_EQ(OutcomeOf(late), Outcome::kCommitted);
  EXPECT_EQ(Get(one_, "count"), "2");
  EXPECT_EQ(Get(two_, "count"), "2");
}

TEST_F(EngineTest, CountersFromBothSidesAddUp) {
  Ready();
  int done = 0;
  for (int i = 0; i < 40; ++i) {
    for (Host* host : {&one_, &two_}) {
      for (Outcome outcome = Outcome::kNone; outcome != Outcome::kCommitted;) {
        Until([&] { return host->Increment("count"); });
        outcome = OutcomeOf(*host);
      }
      ++done;
    }
  }
  EXPECT_EQ(Get(one_, "count"), std::to_string(done));
}

TEST_F(EngineTest, AFlushTakesAllAndWhatIsSetBehindItStays) {
  Ready();
  ASSERT_TRUE(one_.Set("old", "1"));
  EXPECT_EQ(OutcomeOf(one_), Outcome::kCommitted);
  ASSERT_TRUE(one_.Flush());
  ASSERT_TRUE(one_.Set("new", "2"));
  EXPECT_EQ(OutcomeOf(one_), Outcome::kCommitted);
  EXPECT_EQ(Get(two_, "old"), "(none)");
  EXPECT_EQ(Get(two_, "new"), "2");
  EXPECT_EQ(Get(one_, "old"), "(none)");
  EXPECT_EQ(Get(one_, "new"), "2");
}

// The answer is lost, and nothing is done twice or forgotten.
TEST_F(EngineTest, ATxnWhoseAnswerIsLostIsAskedAfter) {
  Ready();
  for (const Fate& fate :
       {Fate::AnswerLost(), Fate::NeverDone(), Fate::AnswerLost(3000),
        Fate::Broken(0), Fate::Broken(500), Fate::Broken(std::nullopt)}) {
    const std::string before = Get(one_, "count");
    etcd_.NextTxn("one", fate);
    Until([&] { return one_.Increment("count"); });
    while (OutcomeOf(one_) == Outcome::kRefused) {
      Until([&] { return one_.Increment("count"); });
    }
    for (int i = 0; i < 5000; ++i) Pass();
    const int count = before == "(none)" ? 0 : std::stoi(before);
    EXPECT_EQ(Get(two_, "count"), std::to_string(count + 1));
    EXPECT_EQ(Get(one_, "count"), std::to_string(count + 1));
  }
}

}  // namespace
}  // namespace kvd::etcd
