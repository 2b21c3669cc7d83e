// SPDX-License-Identifier: MIT
#pragma once

namespace kvd {

// When a write is flushed to the disk, and so what its OK means.
enum class SyncMode {
  kAlways = 1,  // Before the reply.
  kInterval,    // Every durability.interval.
  kNever,       // When the kernel likes to.
};

}  // namespace kvd
