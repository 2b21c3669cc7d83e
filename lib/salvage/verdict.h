// SPDX-License-Identifier: MIT
//
// What becomes of each key.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "log/format/manifest.h"
#include "salvage/keys.h"
#include "salvage/losses.h"
#include "salvage/salvage.h"

namespace kvd {

struct Verdict {
  // The records to keep, in the order of their places.
  std::vector<Version> kept;
  std::vector<DoubtfulKey> doubtful;
  uint64_t expired = 0;
};

Verdict JudgeKeys(const Keys& keys, const Losses& losses,
                  const DatabaseMap& databases, const SalvageOptions& options);

}  // namespace kvd
