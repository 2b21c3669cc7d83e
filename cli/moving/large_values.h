// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/failure.h"
#include "cli/servers/peer.h"

namespace kvctl {

// The keys of a server whose values another one will not take.
struct LargeValues {
  // The names kept for the report.
  static constexpr size_t kNamedMax = 100;

  int64_t count = 0;
  std::vector<std::string> named;  // With their databases and sizes.
};

// Those with more bytes; looks at the sizes of all values, and at no value.
Attempt<LargeValues> FindLargeValues(Peer* peer, int64_t value_bytes_max);

}  // namespace kvctl
