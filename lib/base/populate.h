// SPDX-License-Identifier: MIT
//
// Having the kernel find memory before it is touched.
#pragma once

#include <cstddef>

namespace kvd {

// Gives every page that has one of the `bytes` at `memory` its memory now: a
// fault for each costs twice as much. What is there stays as it is. Kernels
// before 5.14 cannot do it; then memory comes with the first touch. Thread:
// any.
void Populate(void* memory, size_t bytes);

}  // namespace kvd
