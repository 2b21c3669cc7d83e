// SPDX-License-Identifier: MIT
//
// For memory that std::free() takes: from malloc, calloc or aligned_alloc.
#pragma once

#include <cstdlib>

namespace kvd {

struct FreeDeleter {
  void operator()(char* memory) const { std::free(memory); }
};

}  // namespace kvd
