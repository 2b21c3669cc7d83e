// SPDX-License-Identifier: MIT
#include "store/keyspace.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "log/record.h"

namespace kvd {

Keyspace::Keyspace(uint64_t hash_seed, SegmentUsage* usage,
                   uint64_t* entry_bytes)
    : hash_seed_(hash_seed),
      usage_(*usage),
      entry_bytes_(*entry_bytes),
      index_(std::make_unique<Index>(hash_seed)),
      deadlines_(std::make_unique<DeadlineQueue>()) {}

uint64_t Keyspace::RecordBytesOf(const Entry& entry) {
  return RecordBytes(entry.key().size(), entry.value().size());
}

// Takes what an entry about to go counted for out of the figures.
void Keyspace::Forget(const Entry& entry) {
  entry_bytes_ -= entry.allocation_bytes();
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
    if (old->has_deadline()) deadlines_->Add(old);
    entry_bytes_ += old->allocation_bytes();
    usage_.AddLive(place.segment, RecordBytesOf(*old));
    return;
  }

  PutInPlaceOf(old, hash, Entry::Create(key, value, seq, place, deadline_ms));
}

void Keyspace::Put(uint64_t hash, EntryPtr entry) {
  last_change_ = std::max(last_change_, entry->seq());
  Entry* old = index_->Find(hash, entry->key());
  PutInPlaceOf(old, hash, std::move(entry));
}

// `old` is the entry of that key, or null.
void Keyspace::PutInPlaceOf(Entry* old, uint64_t hash, EntryPtr entry) {
  Entry* fresh = entry.get();
  if (old != nullptr) {
    Forget(*old);
    deadlines_->Update(old, fresh);
    index_->Replace(hash, std::move(entry));
  } else {
    index_->Insert(hash, std::move(entry));
    if (fresh->has_deadline()) deadlines_->Add(fresh);
  }
  entry_bytes_ += fresh->allocation_bytes();
  usage_.AddLive(fresh->place().segment, RecordBytesOf(*fresh));
}

void Keyspace::Bury(uint64_t hash, std::string_view key, uint64_t seq,
                    Place place) {
  const Entry* old = index_->Find(hash, key);
  KVD_CHECK(old != nullptr && !old->is_ghost());
  Remember(hash, key, seq, place);
}

void Keyspace::Remember(uint64_t hash, std::string_view key, uint64_t seq,
                        Place place) {
  last_change_ = std::max(last_change_, seq);
  EntryPtr ghost = Entry::CreateGhost(key, seq, place);
  entry_bytes_ += ghost->allocation_bytes();
  ++ghosts_;
  Entry* old = index_->Find(hash, key);
  if (old == nullptr) {
    index_->Insert(hash, std::move(ghost));
    return;
  }
  Forget(*old);
  deadlines_->Remove(old);
  index_->Replace(hash, std::move(ghost));
}

void Keyspace::DropGhost(uint64_t hash, std::string_view key, uint64_t seq) {
  const Entry* entry = index_->Find(hash, key);
  if (entry == nullptr || !entry->is_ghost() || entry->seq() != seq) return;
  Forget(*entry);
  index_->Erase(hash, key);
}

void Keyspace::Erase(uint64_t hash, std::string_view key, uint64_t seq) {
  last_change_ = std::max(last_change_, seq);
  Entry* entry = index_->Find(hash, key);
  KVD_CHECK(entry != nullptr && !entry->is_ghost());
  Forget(*entry);
  deadlines_->Remove(entry);
  index_->Erase(hash, key);
}

std::unique_ptr<Index> Keyspace::Clear(uint64_t seq) {
  flushed_ = seq;
  last_change_ = std::max(last_change_, seq);
  ghosts_ = 0;
  deadlines_ = std::make_unique<DeadlineQueue>();
  return std::exchange(index_, std::make_unique<Index>(hash_seed_));
}

size_t Keyspace::Free(Index* cleared, size_t entries_max) {
  return cleared->FreeSome(entries_max, [this](Entry& entry) {
    entry_bytes_ -= entry.allocation_bytes();
    if (!entry.is_ghost()) {
      usage_.Kill(entry.place().segment, RecordBytesOf(entry));
    }
  });
}

}  // namespace kvd
