// SPDX-License-Identifier: MIT
#include "etcd/engine/old_generations.h"

#include <utility>

namespace kvd::etcd {
namespace {

constexpr int64_t kKeysAtOnce = 100;
constexpr size_t kNameBytesAtOnce = size_t{512} << 10;
constexpr int64_t kTimeoutMs = 2000;
// Before others do what was left to be done, or it is tried again.
constexpr int64_t kPauseMs = 10'000;

}  // namespace

void OldGenerations::Note(uint32_t flushed, uint32_t others, int64_t now_ms) {
  for (int database = 0; database < kDatabases; ++database) {
    int64_t& due_ms = due_ms_[static_cast<size_t>(database)];
    const uint32_t bit = uint32_t{1} << database;
    if ((flushed & bit) != 0) {
      due_ms = std::max<int64_t>(now_ms, 1);
    } else if ((others & bit) != 0 && due_ms == 0) {
      due_ms = now_ms + kPauseMs;
    }
  }
}

void OldGenerations::Tick(int64_t now_ms) {
  if (under_way_) return;
  if (std::exchange(failed_, false)) {
    due_ms_[static_cast<size_t>(database_)] = now_ms + kPauseMs;
  }
  for (int database = 0; database < kDatabases; ++database) {
    int64_t& due_ms = due_ms_[static_cast<size_t>(database)];
    if (due_ms == 0 || due_ms > now_ms) continue;
    due_ms = 0;
    under_way_ = true;
    return Begin(database, Side::kBefore);
  }
}

// '0' follows '/': the names of a generation are those between the two.
void OldGenerations::Begin(int database, Side side) {
  const std::string counts =
      names_.DataPrefix(database, index_.generation(database).number);
  const std::string all = names_.DatabasePrefix(database);
  database_ = database;
  side_ = side;
  from_ = side == Side::kBefore ? all : PrefixEnd(counts);
  end_ = side == Side::kBefore ? counts : PrefixEnd(all);
  Look();
}

void OldGenerations::Look() {
  RangeRequest request;
  request.key = from_;
  request.range_end = end_;
  request.limit = kKeysAtOnce;
  request.keys_only = true;
  api_.Range(std::move(request), kTimeoutMs,
             [this](const Result<RangeResponse>& found) { OnFound(found); });
}

void OldGenerations::OnFound(const Result<RangeResponse>& found) {
  if (!found) return Fail();
  more_ = found->more;
  if (found->found.empty()) return GoOn();
  Remove(*found);
}

void OldGenerations::Remove(const RangeResponse& found) {
  TxnRequest request;
  size_t bytes = 0;
  for (const KeyValue& kv : found.found) {
    bytes += kv.key.size();
    if (bytes > kNameBytesAtOnce && &kv != &found.found.front()) {
      more_ = true;
      break;
    }
    from_ = kv.key + '\0';
    const Name name = names_.Parse(kv.key);
    // One that is higher was begun after this kvd's newest news.
    const bool is_old = name.kind == Name::Kind::kData &&
                        name.database == database_ &&
                        name.generation < index_.generation(database_).number;
    if (is_old) request.then.push_back({Op::Kind::kDelete, kv.key, ""});
  }
  if (request.then.empty()) return GoOn();
  // In an etcd that was put back to what it was before the flush, they count.
  request.compares.push_back({names_.Generation(database_),
                              Compare::Target::kModRevision,
                              index_.generation(database_).mod_revision, ""});
  api_.Txn(std::move(request), kTimeoutMs,
           [this](const Result<TxnResponse>& answer) {
             if (!answer || !answer->succeeded) return Fail();
             GoOn();
           });
}

void OldGenerations::GoOn() {
  if (more_) return Look();
  if (side_ == Side::kBefore) return Begin(database_, Side::kBehind);
  under_way_ = false;
}

void OldGenerations::Fail() {
  under_way_ = false;
  failed_ = true;
}

}  // namespace kvd::etcd
