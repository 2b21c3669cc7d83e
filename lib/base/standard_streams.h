// SPDX-License-Identifier: MIT
#pragma once

namespace kvd {

// Puts something at each of the descriptors 0 to 2 that is closed: otherwise a
// socket or a file of ours gets that number, and what is printed goes there.
// Reading and writing fail there with EBADF, as on a closed descriptor. False
// when that is impossible; then the program must end. To be called first.
[[nodiscard]] bool KeepStandardStreams();

}  // namespace kvd
