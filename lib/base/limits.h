// SPDX-License-Identifier: MIT
//
// What one key and one value may be, in every layer: clients, the protocol, the
// store and the log's format.
#pragma once

#include <cstddef>

namespace kvd {

inline constexpr size_t kKeyBytesMax = 65'535;
inline constexpr size_t kValueBytesMax = size_t{512} << 20;

}  // namespace kvd
