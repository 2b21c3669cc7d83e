// SPDX-License-Identifier: MIT
#include "base/allocator.h"

#include <malloc.h>

namespace kvd {

void SetUpAllocator() {
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
  mallopt(M_ARENA_MAX, 2);
}

uint64_t AllocatedBytes() {
  const struct mallinfo2 all = mallinfo2();
  return all.uordblks + all.hblkhd;
}

void ReleaseFreeMemory() { malloc_trim(0); }

}  // namespace kvd
