// SPDX-License-Identifier: MIT
#include "base/allocator.h"

#include <malloc.h>

namespace kvd {
namespace {

// glibc's: the size of the piece, in front of it.
constexpr size_t kHeaderBytes = sizeof(size_t);

}  // namespace

size_t AllocatedBytesOf(const void* memory) {
  // Not written to; the declaration is older than const.
  return malloc_usable_size(const_cast<void*>(memory)) + kHeaderBytes;
}

uint64_t AllocatedBytes() {
  const struct mallinfo2 all = mallinfo2();
  return all.uordblks + all.hblkhd;
}

void ReleaseFreeMemory() { malloc_trim(0); }

}  // namespace kvd
