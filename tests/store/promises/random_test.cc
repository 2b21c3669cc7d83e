// SPDX-License-Identifier: MIT
//
// Random lives; KVD_SEED replays one, KVD_SEEDS says how many, KVD_SEED_BASE
// where they begin.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/store/promises/random_run.h"

namespace kvd {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(RandomLives, LoseNothingAndInventNothing) {
  const uint64_t base =
      FromEnvironment("KVD_SEED", FromEnvironment("KVD_SEED_BASE", 1));
  const uint64_t count =
      std::getenv("KVD_SEED") ? 1 : FromEnvironment("KVD_SEEDS", 3000);
  uint64_t lives = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (uint64_t seed = base; seed < base + count; ++seed) {
    ASSERT_EQ(RunRandomly(seed, &lives), "") << "replay with KVD_SEED=" << seed;
  }
  const std::chrono::duration<double> took =
      std::chrono::steady_clock::now() - begin;
  std::printf("%lu lives from %lu seeds, %lu to %lu; %.0f lives/s\n", lives,
              count, base, base + count - 1,
              static_cast<double>(lives) / took.count());
}

}  // namespace
}  // namespace kvd
