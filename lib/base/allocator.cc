// SPDX-License-Identifier: MIT
#include "base/allocator.h"

#include <malloc.h>

namespace kvd {

void SetUpAllocator() {
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  // More than the buffers of a hundred busy clients take in one turn of the
  // loop: freed at the top of the heap, they would go back to the kernel and be
  // faulted in again with each turn, which cost a pipelined GET a tenth.
  mallopt(M_TRIM_THRESHOLD, 8 << 20);
  mallopt(M_ARENA_MAX, 2);
}

uint64_t AllocatedBytes() {
  const struct mallinfo2 all = mallinfo2();
  return all.uordblks + all.hblkhd;
}

void ReleaseFreeMemory() { malloc_trim(0); }

}  // namespace kvd
