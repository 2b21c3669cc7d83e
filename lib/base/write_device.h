// SPDX-License-Identifier: MIT
#pragma once

namespace kvd {

// Who carries the log's writes to the disk.
enum class WriteDevice {
  kAuto = 1,  // The best that works here.
  kRing,      // The kernel by itself (io_uring); an error where it cannot.
  kThread,    // A thread, which works everywhere.
};

}  // namespace kvd
