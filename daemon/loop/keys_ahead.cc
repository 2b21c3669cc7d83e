// SPDX-License-Identifier: MIT
#include "daemon/loop/keys_ahead.h"

#include <utility>

namespace kvd {

std::optional<uint64_t> KeysAhead::Tell(int database, std::string_view key) {
  const Store* store = service_.store;
  if (store == nullptr || size_ == keys_.size()) return std::nullopt;
  const uint64_t hash = store->PrefetchSlot(database, key);
  keys_[size_++] = {database, hash};
  return hash;
}

void KeysAhead::Fetch() {
  const size_t size = std::exchange(size_, 0);
  // A single command gains nothing: it runs right now.
  if (size < 2) return;
  for (size_t i = 0; i < size; ++i) {
    service_.store->PrefetchEntry(keys_[i].database, keys_[i].hash);
  }
}

}  // namespace kvd
