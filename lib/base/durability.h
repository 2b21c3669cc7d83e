// SPDX-License-Identifier: MIT
//
// How a write reaches the disk: when, and by whom.
#pragma once

namespace kvd {

// When a write is flushed to the disk, and so what its OK means.
enum class SyncMode {
  kAlways = 1,  // Before the reply.
  kInterval,    // Every durability.interval.
  kNever,       // When the kernel decides to.
};

// Who carries the log's writes to the disk.
enum class WriteDevice {
  kAuto = 1,  // The best that works here.
  kRing,      // The kernel by itself (io_uring); an error where it cannot.
  kThread,    // A thread, which works everywhere.
};

}  // namespace kvd
