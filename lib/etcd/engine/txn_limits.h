// SPDX-License-Identifier: MIT
//
// What one Txn may be. etcd takes 128 compares, 128 operations and 1.5 MiB;
// requests that take longer hold others up.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kvd::etcd {

// Compares, and operations, with those of the sequence key.
inline constexpr size_t kTxnItemsMax = 127;
inline constexpr size_t kTxnValueBytesMax = size_t{1} << 20;
// As it is sent, names and all.
inline constexpr uint64_t kTxnBytesMax = 1200 << 10;

}  // namespace kvd::etcd
