// SPDX-License-Identifier: MIT
//
// Asking for memory before it is needed.
#pragma once

namespace kvd {

// A hint: brings the line of memory at `address`, which may be any, into the
// cache.
inline void Prefetch(const void* address) {
  // GCC believes that a function which only prefetches has no effect, and drops
  // calls of it where it sees the body (link-time optimisation).
  asm volatile("" : : "r"(address));
  __builtin_prefetch(address);
}

}  // namespace kvd
