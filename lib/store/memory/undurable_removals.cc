// SPDX-License-Identifier: MIT
#include "store/memory/undurable_removals.h"

#include <algorithm>

#include "base/planted_bug.h"

namespace kvd {
namespace {

constexpr size_t kGhostsPerSlice = 4096;
// What a removal pays for the ghost that it leaves: more than that.
constexpr size_t kGhostsPerRemoval = 2;

}  // namespace

uint64_t UndurableRemovals::Removal::memory_bytes() const {
  // Short keys are kept inside.
  const bool inside = key.capacity() < sizeof(key) / 2;
  return sizeof(*this) + (inside ? 0 : key.capacity() + 1);
}

void UndurableRemovals::Bury(Keyspace* keyspace, uint64_t hash,
                             std::string_view key, Seq seq, Place place,
                             Seq durable_seq) {
  Note(keyspace, hash, key, seq);
  // The entry goes last.
  keyspace->Bury(hash, key, seq, place);
  PayFor(1, durable_seq);
}

void UndurableRemovals::Note(Keyspace* keyspace, uint64_t hash,
                             std::string_view key, Seq seq) {
  removals_.push_back({seq, keyspace, hash, std::string(key)});
  if (!IsPlanted(PlantedBug::kUncountedQueue)) {
    memory_.queued_bytes += removals_.back().memory_bytes();
  }
}

void UndurableRemovals::TakeBack() {
  if (!IsPlanted(PlantedBug::kUncountedQueue)) {
    memory_.queued_bytes -= removals_.back().memory_bytes();
  }
  removals_.pop_back();
}

void UndurableRemovals::PayFor(size_t removals, Seq durable_seq) {
  Drop(durable_seq, removals * kGhostsPerRemoval);
}

void UndurableRemovals::Renumber(size_t newest, Seq seq) {
  for (size_t i = removals_.size() - newest; i < removals_.size(); ++i) {
    removals_[i].seq = seq;
  }
}

bool UndurableRemovals::DropSlice(Seq durable_seq) {
  return Drop(durable_seq, kGhostsPerSlice);
}

bool UndurableRemovals::Drop(Seq durable_seq, size_t ghosts_max) {
  durable_seq = std::min(durable_seq, keep_behind_);
  for (size_t i = 0; i < ghosts_max; ++i) {
    if (removals_.empty() || removals_.front().seq > durable_seq) return false;
    const Removal& oldest = removals_.front();
    oldest.keyspace->DropGhost(oldest.hash, oldest.key, oldest.seq);
    if (!IsPlanted(PlantedBug::kUncountedQueue)) {
      memory_.queued_bytes -= oldest.memory_bytes();
    }
    removals_.pop_front();
  }
  return true;
}

}  // namespace kvd
