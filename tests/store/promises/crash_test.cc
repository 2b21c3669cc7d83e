// SPDX-License-Identifier: MIT
//
// A crash at every operation of every workload, with every kind of loss, and
// again in the recovery: nothing acknowledged is lost, nothing is invented, no
// revision is given twice.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "tests/store/promises/crash_campaign.h"
#include "tests/store/promises/workloads.h"

namespace kvd {
namespace {

class Crash : public testing::TestWithParam<Workload> {};

void ExpectNoFailure(const CampaignOptions& options) {
  const Workload& workload = Crash::GetParam();
  const CampaignResult result = RunCampaign(workload, options);
  EXPECT_EQ(result.failures, 0u) << result.first_failure;
  // The workload did something, and something was acknowledged in it.
  EXPECT_GT(result.images, 50u / options.crash_every);
  EXPECT_GT(result.acknowledged, 0u);
  testing::Test::RecordProperty("images", static_cast<int>(result.images));
  std::printf("%s: %zu operations, %zu images, %zu crashes in recovery\n",
              workload.name.c_str(), result.operations, result.images,
              result.recovery_images);
}

TEST_P(Crash, AtEveryOperationKeepsWhatWasAcknowledged) {
  CampaignOptions options;
  if (const char* choices = std::getenv("KVD_CRASH_CHOICES")) {
    options.choices_per_crash = std::strtoul(choices, nullptr, 10);
  }
  ExpectNoFailure(options);
}

// The same with values that are on disk alone: they are read back from there,
// by the workloads that need them and by the check of every image. Fewer
// crashes: what is lost does not depend on what was in memory.
TEST_P(Crash, KeepsWhatIsOnDiskAlone) {
  CampaignOptions options;
  options.values_on_disk = true;
  if (const char* choices = std::getenv("KVD_CRASH_CHOICES")) {
    options.choices_per_crash = std::strtoul(choices, nullptr, 10);
  } else {
    options.crash_every = 3;
    options.choices_per_crash = 8;
    options.recovery_choices = 1;
  }
  ExpectNoFailure(options);
}

INSTANTIATE_TEST_SUITE_P(Workloads, Crash, testing::ValuesIn(CrashWorkloads()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace kvd
