// SPDX-License-Identifier: MIT
#include "tests/support/etcd_state.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

namespace kvd::etcd {
namespace {

// What a message has beside the bytes of keys and values, for each of its
// parts: tags and lengths.
constexpr size_t kPartOverheadBytes = 16;

tl::unexpected<Error> Refuse(const char* words) {
  return Fail(ErrorCode::kInvalid, "etcdserver: {}", words);
}

tl::unexpected<Error> RefuseForSpace() {
  return Fail(ErrorCode::kResources,
              "etcdserver: mvcc: database space exceeded");
}

bool HasEmptyKey(const std::vector<Op>& ops) {
  return std::any_of(ops.begin(), ops.end(),
                     [](const Op& op) { return op.key.empty(); });
}

// etcd lets two removals of a key pass, and nothing else that changes it twice.
bool ChangesAKeyTwice(const std::vector<Op>& ops) {
  std::set<std::string> removed;
  for (const Op& op : ops) {
    if (op.kind == Op::Kind::kDelete) removed.insert(op.key);
  }
  std::set<std::string> put;
  return std::any_of(ops.begin(), ops.end(), [&](const Op& op) {
    return op.kind == Op::Kind::kPut &&
           (removed.count(op.key) > 0 || !put.insert(op.key).second);
  });
}

size_t SizeOf(const std::vector<Op>& ops) {
  size_t bytes = 0;
  for (const Op& op : ops) {
    bytes += op.key.size() + op.value.size() + kPartOverheadBytes;
  }
  return bytes;
}

size_t SizeOf(const TxnRequest& request) {
  size_t bytes = SizeOf(request.then) + SizeOf(request.otherwise);
  for (const Compare& compare : request.compares) {
    bytes += compare.key.size() + compare.value.size() + kPartOverheadBytes;
  }
  return bytes;
}

Result<void> CheckForm(const TxnRequest& request) {
  const size_t parts = std::max(
      {request.compares.size(), request.then.size(), request.otherwise.size()});
  if (parts > EtcdState::kOpsMax) {
    return Refuse("too many operations in txn request");
  }
  const bool empty_compare =
      std::any_of(request.compares.begin(), request.compares.end(),
                  [](const Compare& compare) { return compare.key.empty(); });
  if (empty_compare || HasEmptyKey(request.then) ||
      HasEmptyKey(request.otherwise)) {
    return Refuse("key is not provided");
  }
  if (ChangesAKeyTwice(request.then) || ChangesAKeyTwice(request.otherwise)) {
    return Refuse("duplicate key given in txn request");
  }
  if (SizeOf(request) > EtcdState::kRequestBytesMax) {
    return Refuse("request is too large");
  }
  return {};
}

// Of the branch that would take more; 0 when neither puts anything.
int64_t SpaceFor(const std::vector<Op>& ops) {
  int64_t bytes = 0;
  for (const Op& op : ops) {
    if (op.kind != Op::Kind::kPut) continue;
    bytes += EtcdState::kPutOverheadBytes +
             static_cast<int64_t>(op.key.size() + op.value.size());
  }
  return bytes;
}

// The first version that is newer than `revision`.
template <typename Versions>
auto FirstAfter(Versions& versions, int64_t revision) {
  return std::upper_bound(versions.begin(), versions.end(), revision,
                          [](int64_t wanted, const auto& version) {
                            return wanted < version.mod_revision;
                          });
}

KeyValue PairOf(const std::string& key, const std::string& value,
                int64_t create_revision, int64_t mod_revision) {
  return {key, value, create_revision, mod_revision};
}

}  // namespace

bool InRange(const std::string& what, const std::string& key,
             const std::string& range_end) {
  if (range_end.empty()) return what == key;
  return what >= key && (range_end == kNoEnd || what < range_end);
}

Result<TxnResponse> EtcdState::Txn(const TxnRequest& request) {
  KVD_TRY(CheckForm(request));
  KVD_TRY(CheckSpace(request));

  TxnResponse response;
  response.succeeded =
      std::all_of(request.compares.begin(), request.compares.end(),
                  [this](const Compare& compare) { return Holds(compare); });
  const int64_t next = revision_ + 1;
  const auto& ops = response.succeeded ? request.then : request.otherwise;
  for (const Op& op : ops) {
    switch (op.kind) {
      case Op::Kind::kPut:
        Put(op, next);
        break;
      case Op::Kind::kDelete:
        Delete(op, next);
        break;
      case Op::Kind::kGet:
        if (const Version* found = Find(op.key, next)) {
          response.found.push_back(PairOf(op.key, found->value,
                                          found->create_revision,
                                          found->mod_revision));
        }
        break;
    }
  }
  if (history_.count(next) > 0) revision_ = next;
  response.revision = revision_;
  if (std::exchange(fills_with_next_, false)) {
    no_space_ = true;
    return RefuseForSpace();
  }
  return response;
}

Result<RangeResponse> EtcdState::Range(const RangeRequest& request) const {
  if (request.key.empty()) return Refuse("key is not provided");
  if (request.revision > revision_) {
    return Refuse("mvcc: required revision is a future revision");
  }
  if (request.revision > 0 && request.revision < compact_revision_) {
    return Fail(ErrorCode::kCompacted,
                "etcdserver: mvcc: required revision has been compacted");
  }

  RangeResponse response;
  response.revision = revision_;
  const int64_t revision = request.revision > 0 ? request.revision : revision_;
  for (auto it = keys_.lower_bound(request.key);
       it != keys_.end() && InRange(it->first, request.key, request.range_end);
       ++it) {
    const Version* found = Find(it->first, revision);
    if (found == nullptr) continue;
    if (request.limit > 0 &&
        response.found.size() == static_cast<size_t>(request.limit)) {
      response.more = true;
      break;
    }
    response.found.push_back(
        PairOf(it->first, request.keys_only ? "" : found->value,
               found->create_revision, found->mod_revision));
  }
  return response;
}

Result<void> EtcdState::Compact(int64_t revision) {
  if (revision > revision_) {
    return Refuse("mvcc: required revision is a future revision");
  }
  if (revision <= compact_revision_) {
    return Fail(ErrorCode::kCompacted,
                "etcdserver: mvcc: required revision has been compacted");
  }
  compact_revision_ = revision;
  history_.erase(history_.begin(), history_.lower_bound(revision));
  for (auto it = keys_.begin(); it != keys_.end();) {
    Versions& versions = it->second;
    auto keep = FirstAfter(versions, revision);
    // The one that reads at `revision` find.
    if (keep != versions.begin() && !std::prev(keep)->removed) --keep;
    versions.erase(versions.begin(), keep);
    it = versions.empty() ? keys_.erase(it) : std::next(it);
  }
  return {};
}

int64_t EtcdState::size_in_use_bytes() const {
  int64_t bytes = 0;
  for (const auto& [key, versions] : keys_) {
    for (const Version& version : versions) {
      bytes += kPutOverheadBytes +
               static_cast<int64_t>(key.size() + version.value.size());
    }
  }
  return bytes;
}

Result<void> EtcdState::CheckSpace(const TxnRequest& request) {
  const int64_t bytes =
      std::max(SpaceFor(request.then), SpaceFor(request.otherwise));
  if (bytes == 0) return {};
  if (quota_bytes_ > 0 && size_bytes_ + bytes >= quota_bytes_) {
    no_space_ = true;
  }
  if (no_space_) return RefuseForSpace();
  return {};
}

bool EtcdState::Holds(const Compare& compare) const {
  const Version* found = Find(compare.key, revision_);
  switch (compare.target) {
    case Compare::Target::kModRevision:
      return (found ? found->mod_revision : 0) == compare.mod_revision;
    case Compare::Target::kValue:
      return found != nullptr && found->value == compare.value;
  }
  return false;
}

const EtcdState::Version* EtcdState::Find(const std::string& key,
                                          int64_t revision) const {
  const auto it = keys_.find(key);
  if (it == keys_.end()) return nullptr;
  const Versions& versions = it->second;
  const auto newer = FirstAfter(versions, revision);
  if (newer == versions.begin() || std::prev(newer)->removed) return nullptr;
  return &*std::prev(newer);
}

void EtcdState::Put(const Op& op, int64_t revision) {
  const Version* former = Find(op.key, revision);
  const int64_t created = former ? former->create_revision : revision;
  keys_[op.key].push_back({false, op.value, created, revision});
  history_[revision].push_back(
      {false, PairOf(op.key, op.value, created, revision)});
  size_bytes_ +=
      kPutOverheadBytes + static_cast<int64_t>(op.key.size() + op.value.size());
}

void EtcdState::Delete(const Op& op, int64_t revision) {
  if (Find(op.key, revision) == nullptr) return;
  keys_[op.key].push_back({true, "", 0, revision});
  history_[revision].push_back({true, PairOf(op.key, "", 0, revision)});
}

}  // namespace kvd::etcd
