// SPDX-License-Identifier: MIT
#pragma once

namespace kvd {

// Opens those of the descriptors 0 to 2 that are closed: otherwise a socket or
// a file of ours would get that number, and what is printed would go there.
// Reads and writes fail with EBADF, as on a closed descriptor. False when that
// is impossible; then the program must end. To be called first.
[[nodiscard]] bool KeepStandardStreams();

}  // namespace kvd
