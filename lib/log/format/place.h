// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace kvd {

// Where a record lies on disk.
struct Place {
  uint32_t segment = 0;
  uint32_t offset = 0;

  bool operator==(const Place&) const = default;
};

}  // namespace kvd
