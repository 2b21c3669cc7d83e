// SPDX-License-Identifier: MIT
#include "etcd/engine/writes.h"

#include <algorithm>
#include <variant>

namespace kvd::etcd {
namespace {

// Whichever entry is there has the key.
const Entry* EntryOf(const UndoList::KeyStep& step) {
  return step.fresh != nullptr ? step.fresh : step.old.get();
}

}  // namespace

void Writes::BeginCommand() {
  command_ = {};
  replaced_.clear();
  begun_at_ = all_.size();
  figures_before_ = figures_;
  databases_before_ = databases_changed_;
  flushed_before_ = flushed_;
}

void Writes::DropCommand() {
  for (; !replaced_.empty(); replaced_.pop_back()) {
    all_[replaced_.back().first] = replaced_.back().second;
  }
  for (; all_.size() > begun_at_; all_.pop_back()) {
    slots_.TakeOut(all_.back().hash, all_.size() - 1);
  }
  command_ = {};
  figures_ = figures_before_;
  databases_changed_ = databases_before_;
  flushed_ = flushed_before_;
}

void Writes::Take(std::span<const UndoList::Step> steps) {
  for (const UndoList::Step& step : steps) {
    if (const auto* key = std::get_if<UndoList::KeyStep>(&step)) {
      TakeKey(*key);
    } else if (const auto* flush = std::get_if<UndoList::FlushStep>(&step)) {
      TakeFlush(databases_.ClientOf(*flush->keyspace));
    } else {
      command_.swaps = true;
    }
  }
}

void Writes::TakeKey(const UndoList::KeyStep& step) {
  Write write;
  write.hash = step.hash;
  write.newest = EntryOf(step);
  write.database = databases_.ClientOf(*step.keyspace);
  write.removed = step.kind != UndoList::KeyStep::kPut;
  if (!write.removed) {
    command_.value_bytes_max =
        std::max(command_.value_bytes_max, write.newest->value_size());
  }
  databases_changed_ |= uint32_t{1} << write.database;
  const auto known = slots_.Find(write.hash, [&](size_t place) {
    const Write& other = all_[place];
    return other.database == write.database && other.hash == write.hash &&
           other.key() == write.key();
  });
  if (known) return Change(*known, write);
  if (all_.size() == KeySlots::kKeysMax) {
    ++command_.missed;
    return;
  }
  slots_.Add(write.hash, all_.size());
  all_.push_back(write);
  Count(write);
}

void Writes::TakeFlush(int database) {
  for (size_t place = 0; place < all_.size(); ++place) {
    if (all_[place].database != database || all_[place].flushed) continue;
    Write flushed = all_[place];
    flushed.flushed = true;
    Change(place, flushed);
  }
  databases_changed_ |= uint32_t{1} << database;
  flushed_ |= uint32_t{1} << database;
}

void Writes::Change(size_t place, Write write) {
  Write& known = all_[place];
  command_.breaks_pin |= known.pinned;
  replaced_.emplace_back(place, known);
  Uncount(known);
  known = write;
  Count(known);
}

bool Writes::Pin(Seq seq) {
  const auto found =
      std::find_if(all_.begin(), all_.end(), [&](const Write& write) {
        return !write.flushed && write.newest->seq() == seq;
      });
  if (found == all_.end()) return false;
  replaced_.emplace_back(static_cast<size_t>(found - all_.begin()), *found);
  found->pinned = true;
  return true;
}

Writes::Figures Writes::Of(const Write& write) const {
  if (!IsNeeded(write)) return {};
  const size_t value_bytes = write.removed ? 0 : write.newest->value_size();
  return {1, write.key().size() + value_bytes};
}

void Writes::Count(const Write& write) {
  const Figures figures = Of(write);
  figures_.operations += figures.operations;
  figures_.bytes += figures.bytes;
}

void Writes::Uncount(const Write& write) {
  const Figures figures = Of(write);
  figures_.operations -= figures.operations;
  figures_.bytes -= figures.bytes;
}

void Writes::Clear() {
  all_.clear();
  slots_.Clear();
  command_ = {};
  replaced_.clear();
  begun_at_ = 0;
  figures_ = {};
  databases_changed_ = flushed_ = 0;
}

}  // namespace kvd::etcd
