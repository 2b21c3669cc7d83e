// SPDX-License-Identifier: MIT
//
// Random damage; KVD_SEED replays one, KVD_SEEDS says how many, KVD_SEED_BASE
// where they begin.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "base/planted_bug.h"
#include "tests/salvage/damage_run.h"

namespace kvd {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(RandomDamage, LosesNothingThatIsIntactAndInventsNothing) {
  const uint64_t base =
      FromEnvironment("KVD_SEED", FromEnvironment("KVD_SEED_BASE", 1));
  const uint64_t count =
      std::getenv("KVD_SEED") ? 1 : FromEnvironment("KVD_SEEDS", 300);
  DamageFigures figures;
  for (uint64_t seed = base; seed < base + count; ++seed) {
    ASSERT_EQ(RunDamage(seed, &figures), "") << "replay with KVD_SEED=" << seed;
  }
  std::printf(
      "%lu directories, %lu keys, %lu intact, %lu salvaged, %lu "
      "uncertain\n",
      count, figures.keys, figures.intact, figures.salvaged, figures.uncertain);
}

#ifdef KVD_PLANTED_BUGS
TEST(RandomDamage, AForgottenFlushIsCaught) {
  ScopedPlantedBug plant(PlantedBug::kSalvageForgetsFlush);
  DamageFigures figures;
  bool caught = false;
  for (uint64_t seed = 1; seed <= 100 && !caught; ++seed) {
    caught = !RunDamage(seed, &figures).empty();
  }
  EXPECT_TRUE(caught) << "the bug was planted and nobody noticed";
}
#endif

}  // namespace
}  // namespace kvd
