// SPDX-License-Identifier: MIT
#include "etcd/engine/conditions.h"

namespace kvd::etcd {

void Conditions::BeginCommand() {
  begun_at_ = all_.size();
  databases_before_ = databases_;
  seen_.reset();
  saw_several_ = false;
}

void Conditions::Saw(size_t place) {
  saw_several_ |= seen_.value_or(place) != place;
  seen_ = place;
}

void Conditions::Add(int database, uint64_t hash, std::string_view key,
                     int64_t revision) {
  const auto known = slots_.Find(hash, [&](size_t place) {
    const Condition& other = all_[place];
    return other.database == database && other.hash == hash &&
           KeyOf(other) == key;
  });
  Saw(known.value_or(all_.size()));
  if (known) return;
  databases_ |= uint32_t{1} << database;
  if (all_.size() == KeySlots::kKeysMax) {
    ++missed_;
    return;
  }
  slots_.Add(hash, all_.size());
  all_.push_back({hash, revision, keys_.size(), key.size(), database});
  keys_ += key;
}

void Conditions::DropCommand() {
  for (; all_.size() > begun_at_; all_.pop_back()) {
    slots_.TakeOut(all_.back().hash, all_.size() - 1);
    keys_.resize(all_.back().key_at);
  }
  missed_ = 0;
  databases_ = databases_before_;
}

void Conditions::Clear() {
  all_.clear();
  slots_.Clear();
  keys_.clear();
  missed_ = 0;
  databases_ = 0;
  begun_at_ = 0;
}

}  // namespace kvd::etcd
