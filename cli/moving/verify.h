// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/failure.h"
#include "cli/servers/peer.h"
#include "cli/servers/server_source.h"

namespace kvctl {

struct Verified {
  // The names kept for the report.
  static constexpr size_t kNamedMax = 10;

  int64_t equal = 0;
  int64_t different = 0;  // Another value or deadline, or missing.
  std::vector<std::string> named;

  // "verified: 1,204 keys are equal", or what is not.
  std::string Report() const;
};

// Reads what was copied again, on both sides, and compares values and
// deadlines. Keys of the target that the source does not have are not looked
// at. A difference may come from somebody who wrote meanwhile.
Attempt<Verified> Verify(Peer* from, Peer* to, const KeySelection& selection);

}  // namespace kvctl
