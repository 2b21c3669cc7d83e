// SPDX-License-Identifier: MIT
#include "base/memory_hints.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "base/coding.h"

namespace kvd {

void Populate(void* memory, size_t bytes) {
  static const auto kPageBytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const auto start = reinterpret_cast<uintptr_t>(memory);
  const uintptr_t first = AlignDown(start, kPageBytes);
  (void)madvise(reinterpret_cast<void*>(first),
                AlignUp(start + bytes, kPageBytes) - first,
                MADV_POPULATE_WRITE);
}

}  // namespace kvd
