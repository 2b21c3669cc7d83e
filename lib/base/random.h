// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>

namespace kvd {

// Fills `out` from the kernel's generator: store identities and hash seeds.
void FillRandom(std::span<uint8_t> out);
uint64_t RandomU64();

}  // namespace kvd
