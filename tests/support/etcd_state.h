// SPDX-License-Identifier: MIT
//
// What one etcd cluster holds, and what it makes of requests: the state machine
// behind FakeEtcd, without time, clients or faults.
//
// Source: etcd 3.4, mvcc/kvstore_txn.go, etcdserver/apply.go, quota.go and
// api/v3rpc/key.go.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "etcd/api.h"

namespace kvd::etcd {

// Thread: one.
class EtcdState {
 public:
  // etcd's defaults: --max-txn-ops, --max-request-bytes.
  static constexpr size_t kOpsMax = 128;
  static constexpr size_t kRequestBytesMax = 1536 * 1024;
  // What etcd's quota counts for a put beside its key and value.
  static constexpr int64_t kPutOverheadBytes = 256;

  using History = std::map<int64_t, std::vector<Event>>;

  // Done as a whole, or refused with the codes of etcd/api.h and etcd's words.
  Result<TxnResponse> Txn(const TxnRequest& request);
  Result<RangeResponse> Range(const RangeRequest& request) const;
  // Forgets what was replaced or removed before `revision`. Reads at it, and
  // watches from behind it on, are still possible.
  Result<void> Compact(int64_t revision);

  // Of an empty etcd it is 1.
  int64_t revision() const { return revision_; }
  int64_t compact_revision() const { return compact_revision_; }
  // The changes of each revision from that one on, in their order.
  const History& history() const { return history_; }

  // A put beyond the quota is refused and raises the alarm NOSPACE; then all
  // puts are refused until somebody disarms it. 0: no quota.
  void set_quota_bytes(int64_t bytes) { quota_bytes_ = bytes; }
  void set_no_space(bool no_space) { no_space_ = no_space; }
  bool no_space() const { return no_space_; }
  // The next Txn is done and answered as if it were not: etcd looks at its
  // space once more behind it, where others' changes may have taken it. Source:
  // etcd, quotaApplierV3.
  void FillWithNext() { fills_with_next_ = true; }
  // Of the file, which compaction does not shrink.
  int64_t size_bytes() const { return size_bytes_; }
  int64_t size_in_use_bytes() const;
  void Defragment() { size_bytes_ = size_in_use_bytes(); }

 private:
  struct Version {
    bool removed = false;
    std::string value;
    int64_t create_revision = 0;
    int64_t mod_revision = 0;
  };
  using Versions = std::vector<Version>;  // Oldest first.

  Result<void> CheckSpace(const TxnRequest& request);
  bool Holds(const Compare& compare) const;
  // The key's value as of `revision`; null when there was none.
  const Version* Find(const std::string& key, int64_t revision) const;
  void Put(const Op& op, int64_t revision);
  void Delete(const Op& op, int64_t revision);

  std::map<std::string, Versions> keys_;
  History history_;
  int64_t revision_ = 1;
  int64_t compact_revision_ = 0;
  int64_t quota_bytes_ = 0;
  int64_t size_bytes_ = 0;
  bool no_space_ = false;
  bool fills_with_next_ = false;
};

// The end of a range without one: all keys from its beginning on.
inline const std::string kNoEnd(1, '\0');

// Whether it is `key` itself, or in [key, range_end).
bool InRange(const std::string& what, const std::string& key,
             const std::string& range_end);

}  // namespace kvd::etcd
