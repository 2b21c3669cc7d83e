// SPDX-License-Identifier: MIT
//
// What every part of the store counts by.
#pragma once

#include <cstdint>

#include "log/format/record.h"

namespace kvd {

// A revision: the sequence number of a change. 64 bits, one a change, never
// given twice. 0 is "no change".
using Seq = uint64_t;

// Clients see as many as the log has.
inline constexpr int kDatabases = kInternalDatabases;

}  // namespace kvd
