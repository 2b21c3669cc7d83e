// SPDX-License-Identifier: MIT
//
// Runs a workload once to count its operations, then crashes at each of them,
// takes images of what the disk may hold then, and opens every image; and does
// the same to the recovery.
#pragma once

#include <cstddef>
#include <string>

#include "tests/store/promises/workloads.h"

namespace kvd {

struct CampaignOptions {
  // Most values are on disk alone, reads of them wait, segments have hints.
  bool values_on_disk = false;
  // Crashes at every operation, or at one in so many.
  size_t crash_every = 1;
  // Images of each crash; see SimFileSystem::Choices().
  size_t choices_per_crash = 12;
  // Crashes in the recovery of every image: this many of its operations, the
  // first of them another one each time, with as many images each.
  size_t recovery_crashes = 1;
  size_t recovery_choices = 2;
};

struct CampaignResult {
  size_t operations = 0;
  size_t images = 0;
  size_t recovery_images = 0;
  size_t acknowledged = 0;  // Steps, in the run without a crash.
  size_t failures = 0;
  std::string first_failure;
};

CampaignResult RunCampaign(const Workload& workload,
                           const CampaignOptions& options);

}  // namespace kvd
