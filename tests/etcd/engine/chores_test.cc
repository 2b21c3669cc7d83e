// SPDX-License-Identifier: MIT
//
// What kvds on etcd do by themselves: expiry, signs of life, old generations,
// and what they make of keys that are not theirs.
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/planted_bug.h"
#include "etcd/engine/peer_clocks.h"
#include "etcd/engine/txn_limits.h"
#include "tests/etcd/engine_host.h"
#include "tests/support/fake_etcd.h"
#include "tests/support/manual_clock.h"

namespace kvd::etcd {
namespace {

constexpr int64_t kSkewMs = 500;

// Three hosts, each with a clock of its own.
class EngineChores : public TurnsTest {
 protected:
  EngineChores() {
    for (size_t i = 0; i < hosts_.size(); ++i) Start(i);
  }
  void Start(size_t i) {
    EtcdStoreOptions options;
    options.max_clock_skew_ms = kSkewMs;
    options.log = [this](Severity, const std::string& line) {
      lines_.push_back(line);
    };
    hosts_[i] = std::make_unique<Host>(etcd_, clocks_[i],
                                       "host" + std::to_string(i), options);
  }
  void Turn() override { Pass(); }
  void Pass(int64_t ms = 1) {
    for (const auto& host : hosts_) {
      if (host != nullptr) host->store().Pump();
    }
    etcd_clock_.AdvanceMs(ms);
    for (ManualClock& clock : clocks_) clock.AdvanceMs(ms);
    etcd_.Run();
    for (const auto& host : hosts_) {
      if (host == nullptr) continue;
      host->store().Poll();
      host->store().Tick();
    }
  }
  void PassMs(int64_t ms) {
    for (int64_t passed = 0; passed < ms; passed += 10) Pass(10);
  }
  Outcome OutcomeOf(size_t host) { return TurnsTest::OutcomeOf(*hosts_[host]); }
  // Whatever becomes of it, and of what came before.
  void BeginSet(size_t host, const std::string& key, const std::string& value,
                int64_t deadline_ms = 0) {
    Until([&] {
      hosts_[host]->batches().TakeOutcome();
      return hosts_[host]->Set(key, value, deadline_ms);
    });
  }
  void Set(size_t host, const std::string& key, const std::string& value,
           int64_t deadline_ms = 0) {
    BeginSet(host, key, value, deadline_ms);
    EXPECT_EQ(OutcomeOf(host), Outcome::kCommitted);
  }
  void Flush(size_t host) {
    Outcome outcome = Outcome::kNone;
    while (outcome != Outcome::kCommitted) {
      Until([&] { return hosts_[host]->Flush(); });
      outcome = OutcomeOf(host);
    }
  }
  std::string Get(size_t host, const std::string& key) {
    return hosts_[host]->Get(key, [this] { Pass(); }).value_or("(nothing)");
  }
  // Why a write is refused, "" if it is not.
  std::string Refusal(size_t host) {
    Room room = Room::kWait;
    Until([&] {
      room = hosts_[host]->Try(
          false, [](Operation& op) { Host::Put(op, "try", "1"); });
      return room != Room::kWait;
    });
    if (room != Room::kReady) return hosts_[host]->store().WhyTooLarge();
    EXPECT_EQ(OutcomeOf(host), Outcome::kCommitted);
    return "";
  }
  // All are there, and trust their clocks.
  void Trust() { PassMs(PeerClocks::kFreshMs + 3000); }
  size_t KeysUnder(const std::string& prefix) const {
    RangeRequest request;
    request.key = prefix;
    request.range_end = PrefixEnd(prefix);
    return etcd_.state().Range(request)->found.size();
  }
  void SetClock(size_t host, int64_t ahead_ms) {
    clocks_[host].SetWallMs(etcd_clock_.WallMs() + ahead_ms);
  }

  ManualClock etcd_clock_;
  std::array<ManualClock, 3> clocks_;
  std::vector<std::string> lines_;
  FakeEtcd etcd_{etcd_clock_};
  std::array<std::unique_ptr<Host>, 3> hosts_;
};

// --- Deadlines --------------------------------------------------------------

TEST_F(EngineChores, AnExpiredKeyIsGoneAtOnceAndRemovedLater) {
  Trust();
  const int64_t deadline_ms = etcd_clock_.WallMs() + 1000;
  Set(0, "key", "value", deadline_ms);
  EXPECT_EQ(Get(1, "key"), "value");
  PassMs(deadline_ms - etcd_clock_.WallMs());
  EXPECT_EQ(Get(0, "key"), "(none)");
  EXPECT_EQ(Get(1, "key"), "(none)");
  PassMs(deadline_ms + kSkewMs - 50 - etcd_clock_.WallMs());
  EXPECT_TRUE(etcd_.Get("kvd/0/0/key"));
  PassMs(200);
  EXPECT_FALSE(etcd_.Get("kvd/0/0/key"));
  EXPECT_EQ(hosts_[0]->store().Stats().keys[0], 0u);
}

TEST_F(EngineChores, ExpiredKeysGoByTxnsOfBoundedSize) {
  Trust();
  const int64_t deadline_ms = etcd_clock_.WallMs() + 20'000;
  for (int i = 0; i < 600; ++i) {
    const std::string key = "key" + std::to_string(i);
    BeginSet(0, key, "value", deadline_ms);
  }
  Set(1, "stays", "value", deadline_ms + 60'000);
  Until([&] { return KeysUnder("kvd/0/0/") == 601; });
  PassMs(deadline_ms + kSkewMs - etcd_clock_.WallMs());
  Until([&] { return KeysUnder("kvd/0/0/") == 1; });
  for (const TxnRecord& txn : etcd_.history()) {
    EXPECT_LE(txn.request.compares.size(), kTxnItemsMax);
    EXPECT_LE(txn.request.then.size(), kTxnItemsMax);
  }
  EXPECT_EQ(Get(2, "stays"), "value");
}

// All hosts remove it while one gives it another value.
TEST_F(EngineChores, ANewValueOfAnExpiredKeyStays) {
  Trust();
  for (int i = 0; i < 30; ++i) {
    const std::string key = "key" + std::to_string(i);
    Set(0, key, "old", etcd_clock_.WallMs() + 10);
    PassMs(kSkewMs + i);
    Set(1, key, "new");
    PassMs(50);
    EXPECT_EQ(Get(0, key), "new");
    EXPECT_EQ(etcd_.Get("kvd/0/0/" + key)->value, "0new");
  }
}

class DeadlinesOfOthers : public EngineChores {
 protected:
  // What a host reads right before a deadline by its clock; another one's is
  // ahead, not too far.
  std::string ReadBeforeDeadline() {
    SetClock(1, kSkewMs - 50);
    Trust();
    const int64_t deadline_ms = clocks_[0].WallMs() + 1000;
    Set(0, "key", "value", deadline_ms);
    PassMs(deadline_ms - 100 - clocks_[0].WallMs());
    return Get(0, "key");
  }
};

TEST_F(DeadlinesOfOthers, CountWhenTheyHavePassedEverywhere) {
  EXPECT_EQ(ReadBeforeDeadline(), "value");
}

#ifdef KVD_PLANTED_BUGS
TEST_F(DeadlinesOfOthers, AreSeenToBeBelieved) {
  const ScopedPlantedBug planted(PlantedBug::kForeignDeadline);
  EXPECT_EQ(ReadBeforeDeadline(), "(none)");
}
#endif

// Nor when somebody sets a clock, or a host starts with a wrong one: it asks
// the others first.
TEST_F(EngineChores, AWrongClockRemovesNothing) {
  Trust();
  Set(0, "key", "value", etcd_clock_.WallMs() + 1'800'000);
  SetClock(1, 3'600'000);
  hosts_[2].reset();
  SetClock(2, 7'200'000);
  Start(2);
  PassMs(30'000);
  EXPECT_TRUE(etcd_.Get("kvd/0/0/key"));
  EXPECT_EQ(Get(0, "key"), "value");
}

// --- Clocks -----------------------------------------------------------------

TEST_F(EngineChores, WhoeverIsOffAgainstMostDoesNotWrite) {
  PassMs(3000);
  for (const int64_t ahead_ms : {700, -700, 3'600'000, -3'600'000}) {
    SetClock(1, ahead_ms);
    PassMs(6000);
    const std::string why = Refusal(1);
    EXPECT_TRUE(why.starts_with("CLOCKSKEW this host's clock is")) << why;
    EXPECT_NE(why.find(ahead_ms > 0 ? "ahead of that of kvd \"host"
                                    : "behind that of kvd \"host"),
              std::string::npos)
        << why;
    EXPECT_EQ(Refusal(0), "");
    EXPECT_EQ(Refusal(2), "");
    SetClock(1, 0);
    PassMs(6000);
    EXPECT_EQ(Refusal(1), "");
  }
}

TEST_F(EngineChores, OfTwoThatDifferNobodyKnowsWhichIsWrong) {
  hosts_[2].reset();
  PassMs(PeerClocks::kFreshMs + 1000);
  SetClock(1, 1500);
  PassMs(6000);
  EXPECT_NE(Refusal(0), "");
  EXPECT_NE(Refusal(1), "");
  // Only reads go on.
  EXPECT_EQ(Get(0, "key"), "(none)");
  // The one that is there decides.
  hosts_[1].reset();
  PassMs(PeerClocks::kFreshMs + 1000);
  EXPECT_EQ(Refusal(0), "");
}

TEST_F(EngineChores, WhatComesLateProvesNothing) {
  PassMs(3000);
  etcd_.HoldWatches("host0", true);
  PassMs(8000);
  etcd_.HoldWatches("host0", false);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(Refusal(0), "");
    PassMs(100);
  }
  // All are told late.
  etcd_.set_watch_lag_ms(2000);
  for (int i = 0; i < 10; ++i) {
    PassMs(1000);
    for (const auto& host : hosts_) {
      host->batches().TakeOutcome();
      EXPECT_TRUE(host->Try(false, [](Operation& op) {
        Host::Put(op, "try", "1");
      }) != Room::kTooLarge);
    }
  }
}

TEST(PeerClocks, AgeAloneIsNoProof) {
  PeerClocks clocks("this", 500);
  clocks.Heard("other", {"n", 1'000'000, 5}, 1'030'000, 0);
  EXPECT_EQ(clocks.no_writes(), "");
  EXPECT_TRUE(clocks.asks());
  EXPECT_FALSE(clocks.owes_answer());
  // Its clock says less than this one's did when it had seen that.
  clocks.Sent(10, 1'030'000);
  clocks.BeatSent();
  clocks.Heard("other", {"n", 1'000'010, 10}, 1'030'020, 20);
  EXPECT_NE(clocks.no_writes().find("29990 ms or more ahead of"),
            std::string::npos)
      << clocks.no_writes();
  // Nor is a newer one that could be late a proof that it has ended …
  clocks.Heard("other", {"n", 1'000'020, 9}, 1'030'030, 30);
  EXPECT_NE(clocks.no_writes(), "");
  // … but one that is not.
  clocks.Heard("other", {"n", 1'030'000, 9}, 1'030'040, 40);
  EXPECT_EQ(clocks.no_writes(), "");
  // From the future: that is proof.
  clocks.Heard("other", {"n", 1'031'000, 9}, 1'030'050, 50);
  EXPECT_NE(clocks.no_writes().find("950 ms or more behind"),
            std::string::npos);
  EXPECT_TRUE(clocks.owes_answer());
  clocks.Tick(1'030'050, 50 + PeerClocks::kFreshMs + 1);
  EXPECT_EQ(clocks.no_writes(), "");
}

// --- Old generations --------------------------------------------------------

TEST_F(EngineChores, WhatAFlushLeavesIsRemoved) {
  // Numbers of one digit and of two.
  for (int flush = 0; flush < 12; ++flush) {
    for (int i = 0; i < 120; ++i) {
      const std::string key = "key" + std::to_string(i);
      BeginSet(0, key, std::to_string(flush));
    }
    Set(0, "last", std::to_string(flush));
    if (flush == 11) break;
    Flush(static_cast<size_t>(flush % 2));
  }
  Until([&] { return KeysUnder("kvd/0/") == 121; });
  EXPECT_EQ(KeysUnder("kvd/0/11/"), 121u);
  PassMs(30'000);
  EXPECT_EQ(KeysUnder("kvd/0/11/"), 121u);
  EXPECT_EQ(Get(2, "last"), "11");
}

TEST_F(EngineChores, LongNamesThatAFlushLeavesAreRemoved) {
  for (int i = 0; i < 60; ++i) {
    Set(0, std::string(60'000, 'k') + std::to_string(i), "1");
  }
  EXPECT_EQ(KeysUnder("kvd/0/0/"), 60u);
  Flush(0);
  Until([&] { return KeysUnder("kvd/0/0/") == 0; });
}

TEST_F(EngineChores, AnotherKvdRemovesWhatIsLeft) {
  Set(0, "a", "1");
  Set(0, "b", "1");
  Until([&] { return hosts_[0]->Flush(); });
  hosts_[0]->store().Pump();
  hosts_[0].reset();  // It is on its way.
  hosts_[1].reset();
  hosts_[2].reset();
  Pass();
  EXPECT_EQ(KeysUnder("kvd/0/0/"), 2u);
  Start(2);
  Set(2, "new", "2");
  EXPECT_EQ(hosts_[2]->store().Stats().keys[0], 1u);
  PassMs(15'000);
  EXPECT_EQ(KeysUnder("kvd/0/0/"), 0u);
  EXPECT_EQ(Get(2, "new"), "2");
}

// --- What no kvd has written ------------------------------------------------

TEST_F(EngineChores, ForeignKeysDoNotCount) {
  Set(0, "key", "value");
  for (const std::string& name : std::vector<std::string>{
           "kvd/foreign", "kvd/", "kvd/16/0/key",
           "kvd/99999999999999999999/0/k", "kvd/0/key", "kvd/0/x/key",
           "kvd/g/99", "kvd/g/x", "kvd/s/x", "kvd/h/x", "kvd/0/7/future",
           "kvd/0/0/" + std::string(kKeyBytesMax + 1, 'k')}) {
    etcd_.Put(name, "foreign");
  }
  PassMs(100);
  EXPECT_EQ(Get(1, "key"), "value");
  EXPECT_EQ(hosts_[1]->store().Stats().keys[0], 1u);
  // Once by each.
  EXPECT_EQ(lines_.size(), hosts_.size());
  EXPECT_NE(lines_[0].find("no kvd has written"), std::string::npos);
  // Whoever begins with them, too.
  hosts_[2].reset();
  Start(2);
  EXPECT_EQ(Get(2, "key"), "value");
  EXPECT_EQ(hosts_[2]->store().Stats().keys[0], 1u);
}

// It counts as deleted, and the next write replaces it.
TEST_F(EngineChores, AForeignValueIsNone) {
  Set(0, "count", "7");
  for (const std::string& value :
       std::vector<std::string>{"", "x", "1short", "1" + std::string(8, '\0'),
                                "1" + std::string(8, '\xff')}) {
    etcd_.Put("kvd/0/0/count", value);
    PassMs(10);
    EXPECT_EQ(Get(1, "count"), "(none)");
    Until([&] { return hosts_[1]->Increment("count"); });
    EXPECT_EQ(OutcomeOf(1), Outcome::kCommitted);
    EXPECT_EQ(Get(0, "count"), "1");
    EXPECT_EQ(etcd_.Get("kvd/0/0/count")->value, "01");
  }
  etcd_.Put("kvd/0/0/count", "x");
  hosts_[2].reset();
  Start(2);
  EXPECT_EQ(Get(2, "count"), "(none)");
  Until([&] { return hosts_[2]->Increment("count"); });
  EXPECT_EQ(OutcomeOf(2), Outcome::kCommitted);
  EXPECT_EQ(Get(0, "count"), "1");
}

TEST_F(EngineChores, AGenerationThatSomebodyChangesIsReadAnew) {
  Set(0, "key", "0");
  Flush(0);
  Set(0, "key", "1");
  etcd_.Delete("kvd/g/0");
  PassMs(100);
  for (size_t host = 0; host < hosts_.size(); ++host) {
    EXPECT_EQ(Get(host, "key"), "(none)");
  }
  Set(1, "key", "2");
  EXPECT_EQ(Get(0, "key"), "2");
  etcd_.Put("kvd/g/0", "what?");
  PassMs(100);
  Set(2, "key", "3");
  EXPECT_EQ(Get(0, "key"), "3");
}

}  // namespace
}  // namespace kvd::etcd
