// SPDX-License-Identifier: MIT
#include "store/memory/keyspace.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/planted_bug.h"
#include "log/format/record.h"

namespace kvd {

Keyspace::Keyspace(uint64_t hash_seed, SegmentUsage* usage, MemoryUse* memory)
    : hash_seed_(hash_seed),
      usage_(*usage),
      memory_(*memory),
      index_(std::make_unique<Index>(hash_seed)),
      deadlines_(std::make_unique<DeadlineQueue>()) {
  CountTables();
  new_index_bytes_ = counted_index_bytes_;
}

uint64_t Keyspace::RecordBytesOf(const Entry& entry) {
  return RecordBytes(entry.key().size(), entry.value_size());
}

void Keyspace::Count(const Entry& entry) {
  memory_.entry_bytes += entry.allocation_bytes();
  memory_.value_bytes += entry.value_bytes();
  memory_.evictable_bytes += entry.evictable_bytes();
}

void Keyspace::Uncount(const Entry& entry) {
  memory_.entry_bytes -= entry.allocation_bytes();
  memory_.value_bytes -= entry.value_bytes();
  memory_.evictable_bytes -= entry.evictable_bytes();
}

// After whatever may have changed their size.
void Keyspace::CountTables() {
  memory_.index_bytes -= counted_index_bytes_;
  memory_.deadline_bytes -= counted_deadline_bytes_;
  counted_index_bytes_ = index_->memory_bytes();
  counted_deadline_bytes_ = deadlines_->memory_bytes();
  memory_.index_bytes += counted_index_bytes_;
  memory_.deadline_bytes += counted_deadline_bytes_;
}

// Takes a new entry, and the tables that it has changed, into the figures.
void Keyspace::Account(const Entry& entry) {
  Count(entry);
  CountTables();
  if (entry.is_ghost()) {
    ++ghosts_;
  } else {
    usage_.AddLive(entry.place().segment, RecordBytesOf(entry));
  }
}

// Takes what an entry about to go counted for out of the figures.
void Keyspace::Forget(const Entry& entry) {
  Uncount(entry);
  if (entry.is_ghost()) {
    --ghosts_;
  } else {
    usage_.Kill(entry.place().segment, RecordBytesOf(entry));
  }
}

void Keyspace::Put(uint64_t hash, std::string_view key, std::string_view value,
                   uint64_t seq, Place place, uint64_t deadline_ms) {
  last_change_ = std::max(last_change_, seq);
  Entry* old = index_->Find(hash, key);
  if (old != nullptr && old->Fits(value.size(), deadline_ms)) {
    Forget(*old);
    deadlines_->Remove(old);
    old->Overwrite(value, seq, place, deadline_ms);
    if (old->has_deadline()) {
      deadlines_->Add(old);
      CountTables();
    }
    Count(*old);
    usage_.AddLive(place.segment, RecordBytesOf(*old));
    return;
  }

  PutInPlaceOf(old, hash, Entry::Create(key, value, seq, place, deadline_ms));
}

Keyspace::Outcome Keyspace::PutIfNewest(uint64_t hash, EntryPtr entry) {
  Entry* fresh = entry.get();
  if (fresh->seq() <= flushed_) return Outcome::kOutdated;
  last_change_ = std::max(last_change_, fresh->seq());
  Entry* old = index_->FindOrInsert(hash, &entry);
  if (old == nullptr) {
    Added(fresh);
    return Outcome::kAdded;
  }
  if (fresh->seq() <= old->seq()) return Outcome::kOutdated;
  PutInPlaceOf(old, hash, std::move(entry));
  return Outcome::kReplaced;
}

EntryPtr Keyspace::PutKeeping(uint64_t hash, EntryPtr entry) {
  last_change_ = std::max(last_change_, entry->seq());
  Entry* old = index_->Find(hash, entry->key());
  return PutInPlaceOf(old, hash, std::move(entry));
}

// After the key of `fresh` was inserted.
void Keyspace::Added(Entry* fresh) {
  if (fresh->has_deadline()) deadlines_->Add(fresh);
  Account(*fresh);
}

// `old` is the entry of that key, or null; returns it.
EntryPtr Keyspace::PutInPlaceOf(Entry* old, uint64_t hash, EntryPtr entry) {
  Entry* fresh = entry.get();
  if (old == nullptr) {
    Added(index_->Insert(hash, std::move(entry)));
    return nullptr;
  }
  Forget(*old);
  deadlines_->Update(old, fresh);
  EntryPtr kept = index_->Replace(hash, std::move(entry));
  Account(*fresh);
  return kept;
}

void Keyspace::Bury(uint64_t hash, std::string_view key, uint64_t seq,
                    Place place) {
  const EntryPtr old = PutKeeping(hash, Entry::CreateGhost(key, seq, place));
  KVD_CHECK(old != nullptr && !old->is_ghost());
}

void Keyspace::Remember(uint64_t hash, std::string_view key, uint64_t seq,
                        Place place) {
  PutKeeping(hash, Entry::CreateGhost(key, seq, place));
}

void Keyspace::DropGhost(uint64_t hash, std::string_view key, uint64_t seq) {
  const Entry* entry = index_->Find(hash, key);
  if (entry == nullptr || !entry->is_ghost() || entry->seq() != seq) return;
  Forget(*entry);
  index_->Erase(hash, key);
  CountTables();
}

EntryPtr Keyspace::Erase(uint64_t hash, std::string_view key, uint64_t seq) {
  last_change_ = std::max(last_change_, seq);
  Entry* entry = index_->Find(hash, key);
  KVD_CHECK(entry != nullptr && !entry->is_ghost());
  Forget(*entry);
  deadlines_->Remove(entry);
  EntryPtr kept = index_->Erase(hash, key);
  CountTables();
  return kept;
}

// Puts `fresh`, the same key and change, in the place of `old`.
void Keyspace::Exchange(uint64_t hash, Entry* old, EntryPtr fresh) {
  Uncount(*old);
  Count(*fresh);
  if (old->judged_expired()) fresh->set_judged_expired();
  deadlines_->Update(old, fresh.get());
  index_->Replace(hash, std::move(fresh));
}

void Keyspace::MakeCold(Entry* entry) {
  KVD_CHECK(entry->holds_value());
  Exchange(Hash(entry->key()), entry,
           Entry::CreateCold(entry->key(), entry->value_size(), entry->seq(),
                             entry->place(), entry->deadline_ms()));
}

void Keyspace::KeepValue(uint64_t hash, std::string_view key, uint64_t seq,
                         std::string_view value) {
  Entry* entry = index_->Find(hash, key);
  if (entry == nullptr || !entry->is_cold() || entry->seq() != seq) return;
  KVD_CHECK(value.size() == entry->value_size());
  Exchange(
      hash, entry,
      Entry::Create(key, value, seq, entry->place(), entry->deadline_ms()));
}

std::unique_ptr<Index> Keyspace::Clear(uint64_t seq) {
  return ClearKeeping(seq).index;
}

Keyspace::Cleared Keyspace::ClearKeeping(uint64_t seq) {
  Cleared cleared;
  cleared.ghosts = std::exchange(ghosts_, 0);
  cleared.last_change = last_change_;
  cleared.flushed = std::exchange(flushed_, seq);
  last_change_ = std::max(last_change_, seq);
  if (index_->size() == 0 && index_->memory_bytes() <= new_index_bytes_) {
    return cleared;
  }
  cleared.deadlines =
      std::exchange(deadlines_, std::make_unique<DeadlineQueue>());
  cleared.index = std::exchange(index_, std::make_unique<Index>(hash_seed_));
  counted_index_bytes_ = 0;  // The cleared table's leave with it.
  CountTables();
  return cleared;
}

void Keyspace::Restore(Cleared cleared) {
  ghosts_ = cleared.ghosts;
  last_change_ = cleared.last_change;
  flushed_ = cleared.flushed;
  if (cleared.index == nullptr) return;
  memory_.index_bytes -= counted_index_bytes_;
  index_ = std::move(cleared.index);
  deadlines_ = std::move(cleared.deadlines);
  counted_index_bytes_ = index_->memory_bytes();  // It was counted all along.
  CountTables();
}

void Keyspace::Restore(uint64_t hash, const Entry* fresh, EntryPtr old,
                       uint64_t last_change) {
  last_change_ = last_change;
  Entry* restored = old.get();
  Entry* undone = fresh == nullptr ? nullptr : index_->Find(hash, fresh->key());
  KVD_CHECK(undone == fresh);
  if (undone != nullptr) {
    ForgetUndone(*undone);
    deadlines_->Remove(undone);
  }
  if (restored == nullptr) {
    index_->Erase(hash, undone->key());
  } else if (undone != nullptr) {
    index_->Replace(hash, std::move(old));
  } else {
    index_->Insert(hash, std::move(old));
  }
  if (restored != nullptr) AccountKept(*restored);
  if (restored != nullptr && restored->has_deadline() &&
      !IsPlanted(PlantedBug::kUndoForgetsDeadline)) {
    deadlines_->Add(restored);
  }
  CountTables();
}

// An entry that was kept counts as it did before.
void Keyspace::AccountKept(const Entry& entry) {
  Count(entry);
  if (entry.is_ghost()) {
    ++ghosts_;
  } else {
    usage_.TakeBackKill(entry.place().segment, RecordBytesOf(entry));
  }
}

// An entry that replaced it, or came, counts as if it had never been there.
void Keyspace::ForgetUndone(const Entry& entry) {
  Uncount(entry);
  if (!entry.is_ghost()) {
    usage_.TakeBackLive(entry.place().segment, RecordBytesOf(entry));
  } else if (!IsPlanted(PlantedBug::kUndoForgetsCount)) {
    --ghosts_;
  }
}

size_t Keyspace::Free(Index* cleared, size_t entries_max) {
  const uint64_t before = cleared->memory_bytes();
  const size_t left = cleared->FreeSome(entries_max, [this](Entry& entry) {
    Uncount(entry);
    if (!entry.is_ghost()) {
      usage_.Kill(entry.place().segment, RecordBytesOf(entry));
    }
  });
  // Nobody needs what is left of an empty one.
  memory_.index_bytes -= before - (left > 0 ? cleared->memory_bytes() : 0);
  return left;
}

}  // namespace kvd
