// SPDX-License-Identifier: MIT
#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace kvd {

void CheckFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "kvd: check failed: %s (%s:%d)\n", condition, file,
               line);
  std::abort();
}

}  // namespace kvd
