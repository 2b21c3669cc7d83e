// SPDX-License-Identifier: MIT
//
// Asking for memory before it is needed.
#pragma once

#include <cstddef>

namespace kvd {

// A hint: brings the line of memory at `address`, which may be any, into the
// processor's cache.
inline void Prefetch(const void* address) {
  // GCC believes that a function which only prefetches has no effect, and drops
  // calls of it where it sees the body (link-time optimisation).
  asm volatile("" : : "r"(address));
  __builtin_prefetch(address);
}

// Gives every page that has one of the `bytes` at `memory` its memory now: a
// fault for each costs twice as much. What is there stays as it is. Kernels
// before 5.14 cannot do it; then memory comes with the first touch. Thread:
// any.
void Populate(void* memory, size_t bytes);

}  // namespace kvd
