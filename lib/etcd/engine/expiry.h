// SPDX-License-Identifier: MIT
//
// Removes keys from etcd whose deadline has passed by every host's clock, by
// Txns of their own beside the batches. Each key goes only if it is still the
// one that was looked at, so that it does no harm when others do the same.
#pragma once

#include <cstddef>
#include <cstdint>

#include "etcd/api.h"
#include "etcd/engine/names.h"
#include "etcd/engine/shared_index.h"
#include "store/store_core.h"

namespace kvd::etcd {

// Thread: loop.
class Expiry {
 public:
  // References outlive it, but what is under way in `api`.
  Expiry(Api& api, const StoreCore& core, const SharedIndex& index,
         const Names& names, int64_t max_skew_ms)
      : api_(api),
        core_(core),
        index_(index),
        names_(names),
        max_skew_ms_(max_skew_ms) {}

  // Sends the next Txn if it is time for one. `now_ms` never goes back.
  void Tick(int64_t now_ms);
  // Whether the index has what was removed, and there may be more.
  bool has_more() const {
    return has_more_ && !under_way_ &&
           index_.revision() >= not_before_revision_;
  }
  // Keys that this kvd has removed.
  uint64_t removed() const { return removed_; }

 private:
  TxnRequest Request();
  void Send();
  void OnAnswer(const Result<TxnResponse>& answer, size_t keys);

  Api& api_;
  const StoreCore& core_;
  const SharedIndex& index_;
  const Names& names_;
  const int64_t max_skew_ms_;

  bool under_way_ = false;
  bool failed_ = false;              // The newest one, since Tick().
  bool has_more_ = false;            // As far as the newest one knows.
  int64_t not_before_ms_ = 0;        // After one that failed.
  int64_t not_before_revision_ = 0;  // Until then the index has what is gone.
  uint64_t removed_ = 0;
};

}  // namespace kvd::etcd
