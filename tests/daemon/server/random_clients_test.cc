// SPDX-License-Identifier: MIT
//
// Clients that send at random, with a disk that takes its time: what they are
// told has to look as if commands were done one after the other.
#include "tests/support/random_clients.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <random>

#include "tests/daemon/server/server_host.h"
#include "tests/daemon/store_rig.h"

namespace kvd {
namespace {

class SlowDiskHost : private StoreRig {
 public:
  explicit SlowDiskHost(uint64_t seed)
      : random_(seed), host_(clock_, [this](Wake wake) {
          OpenStore(SmallStore(), [wake] { wake(); });
          disk_.SetWriteMode(SimFileSystem::WriteMode::kManual);
          return std::move(store_);
        }) {
    host_.Start();
  }
  ~SlowDiskHost() { disk_.SetWriteMode(SimFileSystem::WriteMode::kAtPoll); }

  ServerHost& host() { return host_; }

  void Turn() {
    host_.Turn();
    if (disk_.pending_writes() > 0 && random_() % 4 == 0) {
      disk_.CompleteWrite();
    }
    host_.Turn();
  }

 private:
  std::mt19937_64 random_;
  ServerHost host_;
};

TEST(RandomClients, AreToldWhatCanBeTrue) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SlowDiskHost slow(seed);
    RandomClients clients(seed, {&slow.host()}, 8);
    for (int i = 0; i < 200; ++i) {
      clients.Step();
      slow.Turn();
    }
    for (int i = 0; i < 10'000 && clients.awaits_replies(); ++i) {
      clients.Wait();
      slow.Turn();
    }
    EXPECT_FALSE(clients.awaits_replies());
    EXPECT_GT(clients.answered(), 100u);
    EXPECT_EQ(clients.refused() + clients.unknown(), 0u);
    EXPECT_EQ(clients.Check(), "") << "seed " << seed;
  }
}

}  // namespace
}  // namespace kvd
