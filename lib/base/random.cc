// SPDX-License-Identifier: MIT
#include "base/random.h"

#include <sys/random.h>

#include <cerrno>

#include "base/check.h"

namespace kvd {

void FillRandom(std::span<uint8_t> out) {
  while (!out.empty()) {
    const ssize_t got = getrandom(out.data(), out.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    KVD_CHECK(got > 0);
    out = out.subspan(static_cast<size_t>(got));
  }
}

uint64_t RandomU64() {
  uint64_t value;
  FillRandom({reinterpret_cast<uint8_t*>(&value), sizeof(value)});
  return value;
}

}  // namespace kvd
