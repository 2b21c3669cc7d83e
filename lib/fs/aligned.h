// SPDX-License-Identifier: MIT
//
// For lib/fs alone: memory for transfers past the page cache.
#pragma once

#include <cstdlib>
#include <memory>

#include "base/check.h"
#include "base/free_deleter.h"
#include "fs/file_system.h"

namespace kvd {

using AlignedBytes = std::unique_ptr<char, FreeDeleter>;

// So many bytes, whole blocks.
inline AlignedBytes AllocateAligned(size_t bytes) {
  auto* memory = static_cast<char*>(std::aligned_alloc(kBlockBytes, bytes));
  KVD_CHECK(memory != nullptr);
  return AlignedBytes(memory);
}

}  // namespace kvd
