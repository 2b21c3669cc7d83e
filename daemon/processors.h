// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

namespace kvd {

// Those that the calling thread may run on, ascending; empty if the kernel does
// not tell.
std::vector<int> AllowedProcessors();
// The one that the calling thread runs on; -1 if the kernel does not tell.
int CurrentProcessor();
// Moves the calling thread to `processor`, and then lets it run where it was
// allowed to before: the scheduler leaves it there until it has a reason.
// False without the right to do so.
bool MoveToProcessor(int processor);

}  // namespace kvd
