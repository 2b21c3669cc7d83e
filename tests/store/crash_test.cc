// SPDX-License-Identifier: MIT
//
// A crash at every operation of every workload, with every kind of loss, and
// again in the recovery: nothing acknowledged is lost, nothing is invented, no
// revision is given twice.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "tests/store/crash_campaign.h"
#include "tests/store/workloads.h"

namespace kvd {
namespace {

class Crash : public testing::TestWithParam<Workload> {};

TEST_P(Crash, AtEveryOperationKeepsWhatWasAcknowledged) {
  CampaignOptions options;
  if (const char* choices = std::getenv("KVD_CRASH_CHOICES")) {
    options.choices_per_crash = std::strtoul(choices, nullptr, 10);
  }
  const CampaignResult result = RunCampaign(GetParam(), options);
  EXPECT_EQ(result.failures, 0u) << result.first_failure;
  // The workload did something, and something was acknowledged in it.
  EXPECT_GT(result.images, 50u);
  EXPECT_GT(result.acknowledged, 0u);
  RecordProperty("images", static_cast<int>(result.images));
  std::printf("%s: %zu operations, %zu images, %zu crashes in recovery\n",
              GetParam().name.c_str(), result.operations, result.images,
              result.recovery_images);
}

INSTANTIATE_TEST_SUITE_P(Workloads, Crash, testing::ValuesIn(CrashWorkloads()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace kvd
