// SPDX-License-Identifier: MIT
//
// Two daemons on one etcd that fails in every way that a seed can think of:
// what their clients are told has to look as if one kvd did one command after
// the other.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <memory>
#include <random>
#include <string>

#include "base/planted_bug.h"
#include "etcd/engine/etcd_store.h"
#include "tests/daemon/server/server_host.h"
#include "tests/support/fake_etcd.h"
#include "tests/support/manual_clock.h"
#include "tests/support/random_clients.h"

namespace kvd {
namespace {

constexpr int64_t kTimeoutMs = 1000;
constexpr etcd::Odds kTrouble = {.refused = 0.02,
                                 .never_done = 0.02,
                                 .answer_lost = 0.02,
                                 .late = 0.02,
                                 .broken = 0.02,
                                 .delay_ms = 20,
                                 .late_ms = 3 * kTimeoutMs,
                                 .quorum_lost = 0.005,
                                 .watches_broken = 0.01,
                                 .compacted = 0.01,
                                 .outage_ms = 3 * kTimeoutMs,
                                 .watch_lag_ms = 100};
constexpr etcd::Odds kSlow = {.delay_ms = 20, .watch_lag_ms = 100};

class TwoHosts {
 public:
  explicit TwoHosts(uint64_t seed)
      : random_(seed),
        hosts_{ServerHost(clock_, OpenOn("one")),
               ServerHost(clock_, OpenOn("two"))},
        clients_(seed, {&hosts_[0], &hosts_[1]}, 4) {
    for (ServerHost& host : hosts_) host.Start();
  }

  // What the clients find wrong.
  std::string Live(const etcd::Odds& odds, bool kills) {
    etcd_.Misbehave(odds, random_());
    for (int i = 0; i < kSteps; ++i) {
      clients_.Step();
      Pass();
      if (kills && random_() % 200 == 0) Restart(random_() % hosts_.size());
    }
    etcd_.Behave();
    for (int i = 0; i < kSteps * 10 && clients_.awaits_replies(); ++i) {
      clients_.Wait();
      Pass();
    }
    EXPECT_FALSE(clients_.awaits_replies());
    return clients_.Check();
  }

  const RandomClients& clients() const { return clients_; }

 private:
  static constexpr int kSteps = 600;

  ServerHost::OpenStore OpenOn(const std::string& name) {
    return [this, name](Wake wake) {
      return std::make_unique<etcd::EtcdStore>(
          etcd_.Connect(name, wake),
          etcd::EtcdStoreOptions{.id = name,
                                 .nonce = name + std::to_string(++lives_),
                                 .timeout_ms = kTimeoutMs},
          clock_, wake);
    };
  }

  void Restart(size_t host) {
    hosts_[host].Kill();
    clients_.Lose(host);
    hosts_[host].Start();
  }

  void Pass() {
    clock_.AdvanceMs(static_cast<int64_t>(random_() % 10));
    etcd_.Run();
    for (ServerHost& host : hosts_) host.Turn();
  }

  std::mt19937_64 random_;
  int lives_ = 0;
  ManualClock clock_;
  etcd::FakeEtcd etcd_{clock_};
  std::array<ServerHost, 2> hosts_;
  RandomClients clients_;
};

// Live() of so many seeds; kvd's own timers run by the loop's clock, not by
// clock_: what they do must not matter here.
void ExpectNothingWrong(const etcd::Odds& odds, bool kills) {
  size_t answered = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    TwoHosts hosts(seed);
    EXPECT_EQ(hosts.Live(odds, kills), "") << "seed " << seed;
    answered += hosts.clients().answered();
  }
  EXPECT_GT(answered, 1000u);
}

#ifdef KVD_PLANTED_BUGS
void ExpectFound(PlantedBug bug, const etcd::Odds& odds) {
  const ScopedPlantedBug planted(bug);
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    if (!TwoHosts(seed).Live(odds, false).empty()) return;
  }
  FAIL() << "nobody has noticed";
}
TEST(TwoHosts, SeeAnAnswerBeforeTheFence) {
  ExpectFound(PlantedBug::kAnswerBeforeFence, kTrouble);
}
TEST(TwoHosts, SeeABarrierThatWaitsForTheWrongRevision) {
  ExpectFound(PlantedBug::kBarrierOfOldest, {.watch_lag_ms = 100});
}
#endif

TEST(TwoHosts, OnAnEtcdThatIsWell) { ExpectNothingWrong({}, false); }
TEST(TwoHosts, OnAnEtcdThatIsSlow) { ExpectNothingWrong(kSlow, false); }
TEST(TwoHosts, OnAnEtcdInTrouble) { ExpectNothingWrong(kTrouble, false); }
TEST(TwoHosts, ThatAreKilled) { ExpectNothingWrong(kTrouble, true); }

}  // namespace
}  // namespace kvd
