// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/failure.h"
#include "cli/servers/peer.h"

namespace kvctl {

// The keys that only the target of a move has.
struct ExtraKeys {
  // The names kept for the report.
  static constexpr size_t kNamedMax = 10;

  int64_t count = 0;
  std::vector<std::string> named;

  // "3 keys are there alone …"; empty when there are none.
  std::string Report(const std::string& target) const;
};

// Looks at all keys of `to`, and at no value. Both are kvds.
Attempt<ExtraKeys> FindExtraKeys(Peer* from, Peer* to);

}  // namespace kvctl
