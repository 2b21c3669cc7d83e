// SPDX-License-Identifier: MIT
#include "etcd/engine/expiry.h"

#include <utility>

#include "base/planted_bug.h"
#include "store/batches.h"

namespace kvd::etcd {
namespace {

constexpr size_t kKeysAtOnce = 100;
constexpr size_t kNameBytesAtOnce = size_t{256} << 10;
constexpr int64_t kTimeoutMs = 2000;
// Somebody else was quicker, or etcd is away.
constexpr int64_t kPauseMs = 500;

}  // namespace

void Expiry::Tick(int64_t now_ms) {
  if (under_way_) return;
  if (std::exchange(failed_, false)) not_before_ms_ = now_ms + kPauseMs;
  if (now_ms >= not_before_ms_) Send();
}

void Expiry::Send() {
  if (index_.revision() < not_before_revision_) return;
  has_more_ = false;
  if (!core_.removes_expired) return;
  TxnRequest request = Request();
  const size_t keys = request.then.size();
  if (keys == 0) return;
  under_way_ = true;
  api_.Txn(std::move(request), kTimeoutMs,
           [this, keys](const Result<TxnResponse>& answer) {
             OnAnswer(answer, keys);
           });
}

TxnRequest Expiry::Request() {
  TxnRequest request;
  const int64_t skew_ms =
      IsPlanted(PlantedBug::kForeignDeadline) ? 0 : max_skew_ms_;
  const int64_t until_ms = core_.clock.WallMs() - skew_ms - 1;
  size_t bytes = 0;
  for (int database = 0; database < kDatabases; ++database) {
    const Keyspace& keyspace = core_.databases->OfClient(database);
    const uint64_t generation = index_.generation(database).number;
    for (const Entry* entry :
         keyspace.deadlines().Due(static_cast<uint64_t>(until_ms),
                                  kKeysAtOnce - request.then.size())) {
      // What may be undone is not etcd's.
      if (entry->seq() >= kProvisionalSeq) continue;
      const std::string name = names_.Data(database, generation, entry->key());
      bytes += 2 * name.size();
      if (bytes > kNameBytesAtOnce && !request.then.empty()) return request;
      request.compares.push_back({name, Compare::Target::kModRevision,
                                  static_cast<int64_t>(entry->seq()), ""});
      request.then.push_back({Op::Kind::kDelete, name, ""});
    }
  }
  return request;
}

void Expiry::OnAnswer(const Result<TxnResponse>& answer, size_t keys) {
  under_way_ = false;
  failed_ = !answer || !answer->succeeded;
  if (failed_) return;
  removed_ += keys;
  has_more_ = true;
  not_before_revision_ = answer->revision;
}

}  // namespace kvd::etcd
