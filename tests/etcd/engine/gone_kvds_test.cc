// SPDX-License-Identifier: MIT
//
// The keys of a kvd that is gone for good are removed, and one that was only
// away comes to no harm by it.
#include "etcd/engine/gone_kvds.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <string>

#include "base/planted_bug.h"
#include "tests/etcd/engine_host.h"
#include "tests/support/fake_etcd.h"
#include "tests/support/manual_clock.h"

namespace kvd::etcd {
namespace {

constexpr int64_t kSilentMs = GoneKvds::kSilentMs;

// Three hosts, some of which may stand still.
class EngineGoneKvds : public TurnsTest {
 protected:
  EngineGoneKvds() {
    for (size_t i = 0; i < hosts_.size(); ++i) {
      hosts_[i] = std::make_unique<Host>(etcd_, clocks_[i], Name(i));
    }
    for (size_t i = 0; i < hosts_.size(); ++i) Set(i, "ready", Name(i));
    PassMs(20'000);
  }
  static std::string Name(size_t host) { return "host" + std::to_string(host); }
  void Turn() override { Pass(); }
  void Pass(int64_t ms = 1) {
    const auto each = [this](auto&& call) {
      for (size_t i = 0; i < hosts_.size(); ++i) {
        if (hosts_[i] != nullptr && !stands_still_[i]) call(i);
      }
    };
    each([this](size_t i) { hosts_[i]->store().Pump(); });
    etcd_clock_.AdvanceMs(ms);
    each([this, ms](size_t i) { clocks_[i].AdvanceMs(ms); });
    etcd_.Run();
    each([this](size_t i) {
      hosts_[i]->store().Poll();
      hosts_[i]->store().Tick();
    });
  }
  // Signs of life come and go meanwhile.
  void PassMs(int64_t ms) {
    for (constexpr int64_t kStepMs = 2000; ms > 0; ms -= kStepMs) Pass(kStepMs);
    for (int i = 0; i < 10; ++i) Pass();
  }
  Outcome OutcomeOf(size_t host) { return TurnsTest::OutcomeOf(*hosts_[host]); }
  // Whatever it takes.
  void Run(size_t host, const std::function<bool(Host&)>& command) {
    Outcome outcome = Outcome::kRefused;
    for (int i = 0; i < 10 && outcome == Outcome::kRefused; ++i) {
      Until([&] { return command(*hosts_[host]); });
      outcome = OutcomeOf(host);
    }
    EXPECT_EQ(outcome, Outcome::kCommitted);
  }
  void Set(size_t host, const std::string& key, const std::string& value) {
    Run(host, [&](Host& one) { return one.Set(key, value); });
  }
  std::string Get(size_t host, const std::string& key) {
    return hosts_[host]->Get(key, [this] { Pass(); }).value_or("(nothing)");
  }

  void StandStill(size_t host) { stands_still_[host] = true; }
  // As its clock has stood still as well, somebody sets it.
  void GoOn(size_t host) {
    stands_still_[host] = false;
    clocks_[host].SetWallMs(etcd_clock_.WallMs());
  }
  bool HasKeys(size_t host) const {
    const bool has_sequence = etcd_.Get("kvd/s/" + Name(host)).has_value();
    EXPECT_EQ(etcd_.Get("kvd/h/" + Name(host)).has_value(), has_sequence);
    return has_sequence;
  }

  ManualClock etcd_clock_;
  std::array<ManualClock, 3> clocks_;
  FakeEtcd etcd_{etcd_clock_};
  std::array<std::unique_ptr<Host>, 3> hosts_;
  std::array<bool, 3> stands_still_ = {};
};

TEST_F(EngineGoneKvds, LoseTheirKeysAndTheOthersKeepTheirs) {
  etcd_.Put("kvd/s/foreign", "what?");
  etcd_.Put("kvd/h/foreign", "what?");
  hosts_[2].reset();
  PassMs(kSilentMs - 60'000);
  EXPECT_TRUE(HasKeys(2));
  PassMs(120'000);
  EXPECT_FALSE(HasKeys(2));
  EXPECT_EQ(etcd_.Get("kvd/s/-")->value, "host2");
  PassMs(2 * kSilentMs);
  EXPECT_TRUE(HasKeys(0));
  EXPECT_TRUE(HasKeys(1));
  EXPECT_TRUE(etcd_.Get("kvd/s/foreign"));
  Set(0, "key", "1");
  EXPECT_EQ(Get(1, "key"), "1");
}

TEST_F(EngineGoneKvds, OneThatComesBackGoesOn) {
  StandStill(2);
  PassMs(kSilentMs + 60'000);
  EXPECT_FALSE(HasKeys(2));
  Set(0, "key", "1");
  GoOn(2);
  EXPECT_EQ(Get(2, "key"), "1");
  PassMs(20'000);  // It trusts its clock.
  Run(2, [](Host& host) { return host.Increment("key"); });
  EXPECT_FALSE(hosts_[2]->store().failure());
  EXPECT_EQ(Get(0, "key"), "2");
  EXPECT_TRUE(HasKeys(2));
  // The same once more.
  StandStill(2);
  PassMs(kSilentMs + 60'000);
  EXPECT_FALSE(HasKeys(2));
  GoOn(2);
  PassMs(20'000);
  Run(2, [](Host& host) { return host.Increment("key"); });
  EXPECT_EQ(Get(0, "key"), "3");
}

// Two with one id do notice, whatever was removed before.
TEST_F(EngineGoneKvds, OneThatFindsAnotherInItsPlaceEnds) {
  StandStill(2);
  PassMs(kSilentMs + 60'000);
  etcd_.Put("kvd/s/host2", "copy-1 1 0");
  GoOn(2);
  PassMs(20'000);
  EXPECT_TRUE(hosts_[2]->Set("key", "1"));
  Until([&] { return hosts_[2]->store().failure().has_value(); });
  EXPECT_EQ(hosts_[2]->store().failure()->code(), ErrorCode::kHeld);
}

// --- A Txn that is in doubt while its key goes ------------------------------

class InDoubtWhenGone : public EngineGoneKvds {
 protected:
  // Counts once, says so if it can, and returns what the count is then.
  std::string CountWithoutAnswer(Fate fate) {
    Set(0, "count", "0");
    EXPECT_EQ(Get(2, "count"), "0");
    Until([&] { return hosts_[2]->Increment("count"); });
    etcd_.NextTxn("host2", fate);
    hosts_[2]->store().Pump();
    StandStill(2);
    PassMs(kSilentMs + 60'000);
    EXPECT_FALSE(HasKeys(2));
    GoOn(2);
    outcome_ = OutcomeOf(2);
    if (outcome_ == Outcome::kRefused) {
      Until([&] { return hosts_[2]->Increment("count"); });
      EXPECT_EQ(OutcomeOf(2), Outcome::kCommitted);
    }
    EXPECT_FALSE(hosts_[2]->store().failure());
    return Get(0, "count");
  }
  Outcome outcome_ = Outcome::kNone;
};

TEST_F(InDoubtWhenGone, NobodyKnowsOfOneThatWasDone) {
  EXPECT_EQ(CountWithoutAnswer(Fate::AnswerLost()), "1");
  EXPECT_EQ(outcome_, Outcome::kFailed);
  EXPECT_TRUE(hosts_[2]->batches().refusal().starts_with("UNKNOWN"))
      << hosts_[2]->batches().refusal();
}

TEST_F(InDoubtWhenGone, NobodyKnowsOfOneThatWasNotDone) {
  EXPECT_EQ(CountWithoutAnswer(Fate::NeverDone()), "0");
  EXPECT_EQ(outcome_, Outcome::kFailed);
}

// It comes when the key is gone, and when the kvd has made it again.
TEST_F(InDoubtWhenGone, OneThatComesLateIsNotDone) {
  EXPECT_EQ(CountWithoutAnswer(Fate::AnswerLost(kSilentMs + 59'000)), "0");
  EXPECT_EQ(outcome_, Outcome::kFailed);
}
TEST_F(InDoubtWhenGone, OneThatComesVeryLateIsNotDone) {
  EXPECT_EQ(CountWithoutAnswer(Fate::AnswerLost(kSilentMs + 120'000)), "0");
  PassMs(20'000);
  Run(2, [](Host& host) { return host.Increment("count"); });
  PassMs(120'000);
  EXPECT_EQ(Get(0, "count"), "1");
}

#ifdef KVD_PLANTED_BUGS
TEST_F(InDoubtWhenGone, WhatPassesForUndoneIsCountedTwice) {
  const ScopedPlantedBug planted(PlantedBug::kRemovedPassesForUndone);
  EXPECT_EQ(CountWithoutAnswer(Fate::AnswerLost()), "2");
}
#endif

// --- Who is not gone --------------------------------------------------------

class SilentToOne : public EngineGoneKvds {
 protected:
  // One host hears nothing of the others for long.
  bool AllKeepTheirKeys() {
    etcd_.HoldWatches("host0", true);
    PassMs(kSilentMs + 60'000);
    // One whose key was removed soon makes it anew.
    for (const auto& [revision, events] : etcd_.state().history()) {
      for (const Event& event : events) {
        if (event.is_delete && event.kv.key.starts_with("kvd/s/")) return false;
      }
    }
    return true;
  }
};

TEST_F(SilentToOne, WhoGivesSignsOfLifeIsNotRemoved) {
  EXPECT_TRUE(AllKeepTheirKeys());
}

#ifdef KVD_PLANTED_BUGS
TEST_F(SilentToOne, WhoIsRemovedBlindlyIsMissed) {
  const ScopedPlantedBug planted(PlantedBug::kRemoveBlindly);
  EXPECT_FALSE(AllKeepTheirKeys());
}
#endif

// No sign of life comes through, and then one host is the first.
TEST_F(EngineGoneKvds, NobodyIsWhileEtcdIsFull) {
  for (const size_t first : {0, 2}) {
    etcd_.state().set_no_space(true);
    PassMs(kSilentMs + 60'000);
    etcd_.state().set_no_space(false);
    for (size_t i = 0; i < hosts_.size(); ++i) stands_still_[i] = i != first;
    PassMs(20'000);
    stands_still_ = {};
    for (size_t i = 0; i < hosts_.size(); ++i) EXPECT_TRUE(HasKeys(i));
  }
}

// --- What one wrote that is gone --------------------------------------------

class WrittenByOneThatIsGone : public EngineGoneKvds {
 protected:
  // By a host that has not heard of it when its writer's keys go.
  std::string ReadByOneThatLags() {
    // So that a key that is missing was not the newest that it knows.
    Set(1, "other", "1");
    PassMs(2000);
    etcd_.HoldWatches("host0", true);
    Set(2, "key", "1");
    hosts_[2].reset();
    PassMs(kSilentMs + 60'000);
    EXPECT_FALSE(HasKeys(2));
    std::string value = "(none)";
    for (int i = 0; i < 100 && value == "(none)"; ++i, Pass()) {
      bool was_read = false;
      hosts_[0]->Run(true, [&](Operation& op) {
        was_read = true;
        if (op.Find("key") != nullptr) value = "1";
      });
      if (was_read) return value;
    }
    etcd_.HoldWatches("host0", false);
    return Get(0, "key");
  }
};

TEST_F(WrittenByOneThatIsGone, IsRead) { EXPECT_EQ(ReadByOneThatLags(), "1"); }

#ifdef KVD_PLANTED_BUGS
TEST_F(WrittenByOneThatIsGone, IsMissedWithoutAMark) {
  const ScopedPlantedBug planted(PlantedBug::kRemovalUnmarked);
  EXPECT_EQ(ReadByOneThatLags(), "(none)");
}
#endif

}  // namespace
}  // namespace kvd::etcd
