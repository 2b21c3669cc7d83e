// SPDX-License-Identifier: MIT
//
// Where the memory is: what INFO, KV.STATUS and MEMORY say of it.
#pragma once

#include <cstdint>

#include "daemon/state/server_state.h"

namespace kvd {

// In bytes. Counted as it was asked for, all the time: to ask the allocator
// what it has handed out takes a walk over its free pieces, half a second for
// two million of them. Its rounding, 4 to 12 bytes for each piece, comes on
// top.
struct MemoryFigures {
  uint64_t entries = 0;  // Keys with what is known of them, without values.
  uint64_t values = 0;
  uint64_t index = 0;
  uint64_t deadlines = 0;
  uint64_t queued = 0;       // To be worked off later.
  uint64_t connections = 0;  // Buffers, names, and values read from disk.
  uint64_t log_buffers = 0;
  uint64_t slow_log = 0;
  uint64_t scripts = 0;  // Those that are kept, and their interpreter.

  uint64_t value_cache = 0;  // What values may take now.
  uint64_t limit = 0;        // 0 for none.

  // What counts for the limit.
  uint64_t keys_and_values() const {
    return entries + values + index + deadlines + queued;
  }
  uint64_t used() const {
    return keys_and_values() + connections + log_buffers + slow_log + scripts;
  }
};

// While the store loads its part is 0.
MemoryFigures MemoryFiguresOf(const ServerState& service);

// Makes it service.memory_peak if that is less.
void NoteMemoryPeak(ServerState& service, const MemoryFigures& figures);

// What the process has of physical memory, as the kernel says.
uint64_t ResidentBytes();

}  // namespace kvd
