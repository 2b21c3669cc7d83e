// SPDX-License-Identifier: MIT
#pragma once

namespace kvd::etcd {

inline constexpr char kTxnMethod[] = "/etcdserverpb.KV/Txn";
inline constexpr char kRangeMethod[] = "/etcdserverpb.KV/Range";
inline constexpr char kWatchMethod[] = "/etcdserverpb.Watch/Watch";
inline constexpr char kStatusMethod[] = "/etcdserverpb.Maintenance/Status";

}  // namespace kvd::etcd
