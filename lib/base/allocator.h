// SPDX-License-Identifier: MIT
//
// What only the allocator knows, so that another one needs no more than this.
#pragma once

#include <cstdint>

namespace kvd {

// Memory that a burst of large values or background work took shall go back to
// the kernel when it is freed: glibc otherwise learns from the first large
// buffer to keep all of its size. At the start of the program.
void SetUpAllocator();

// Bytes of all pieces that the program has. Walks over the free ones, and all
// threads that need memory wait for it: 0.2 µs for each.
uint64_t AllocatedBytes();

// Gives free memory back to the kernel. Takes as long.
void ReleaseFreeMemory();

}  // namespace kvd
