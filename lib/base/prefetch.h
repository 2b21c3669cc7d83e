// SPDX-License-Identifier: MIT
//
// Asking for memory before it is needed.
#pragma once

namespace kvd {

// A hint: brings the line of memory at `address`, which may be any, into the
// cache.
inline void Prefetch(const void* address) {
  // GCC takes a function that does nothing but prefetch for one without effect
  // and, where it sees the body (link-time optimisation), drops calls of it.
  asm volatile("" : : "r"(address));
  __builtin_prefetch(address);
}

}  // namespace kvd
