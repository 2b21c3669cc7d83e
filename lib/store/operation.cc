// SPDX-License-Identifier: MIT
#include "store/operation.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/planted_bug.h"
#include "store/store_core.h"

namespace kvd {
namespace {

// Slots cost no more than this a key, but in a table of a few.
constexpr size_t kSlotBytesMax = 16;

// Entries that Random() looks at before it gives up. Of a table that is half
// ghosts it does not see so many in a row.
constexpr int kRandomTries = 100;

// What is asked for ahead leaves a command nearly all of what it may read.
constexpr uint64_t kColdAheadShare = 8;

}  // namespace

Operation::Operation(Store& store, int database, ColdValues* cold,
                     const bool* forbidden, HashedKey hashed)
    : store_(store.core_),
      keyspace_(&store_.databases->OfClient(database)),
      cold_(*cold),
      forbidden_(forbidden),
      swapped_(store_.databases->swapped(database)),
      hashed_(hashed.key),
      hash_(hashed.hash) {}

void Operation::UseDatabase(int database) {
  keyspace_ = &store_.databases->OfClient(database);
  swapped_ = store_.databases->swapped(database);
}

int64_t Operation::now_ms() {
  if (now_ms_ == kNotAsked) {
    now_ms_ = store_.transaction != nullptr ? store_.transaction->now_ms()
                                            : store_.clock.WallMs();
  }
  return now_ms_;
}

Room Operation::RoomFor(uint64_t bytes, Purpose purpose) {
  return store_.transaction != nullptr
             ? store_.transaction->RoomFor(bytes, purpose)
             : store_.journal.RoomFor(bytes, purpose);
}

uint64_t Operation::HashOf(std::string_view key) {
  // A command finds a key and then changes it: the argument is the same view.
  if (key.data() != hashed_.data() || key.size() != hashed_.size() ||
      key.empty()) {
    hashed_ = key;
    hash_ = keyspace_->Hash(key);
  }
  return hash_;
}

const Entry* Operation::Find(std::string_view key) {
  const uint64_t hash = HashOf(key);
  Saw(swapped_);
  const Entry* entry = keyspace_->Find(hash, key);
  if (store_.reads != nullptr) {
    store_.reads->SawKey(*keyspace_, hash, key, entry);
  }
  if (entry == nullptr) {
    Saw(keyspace_->flushed());
    return nullptr;
  }
  if (!entry->is_ghost() && IsExpired(*entry)) {
    RemoveExpired(hash, *entry);
    return nullptr;
  }
  Saw(entry->seq());
  return entry->is_ghost() ? nullptr : entry;
}

bool Operation::IsExpired(const Entry& entry) {
  return entry.has_deadline() && entry.IsExpiredAt(now_ms());
}

void Operation::RemoveExpired(uint64_t hash, const Entry& entry) {
  // Without a record the absence is that of what this change wrote.
  Saw(entry.seq());
  const uint64_t bytes = RemoveBytes(entry.key().size());
  // It would take room that was reserved for a change.
  if (reserved_ != 0 || RoomFor(bytes, Purpose::kExpiry) != Room::kReady) {
    entry.set_judged_expired();
    return;
  }
  Saw(store_.changes.Remove(*keyspace_, hash, entry.key(),
                            RecordKind::kExpire));
}

std::string_view Operation::Value(const Entry& entry) {
  if (entry.is_cold()) return ColdValueOf(entry);
  entry.set_visited(true);
  return entry.value();
}

std::string_view Operation::ColdValueOf(const Entry& entry) {
  KVD_CHECK(reserved_ == 0);
  const ColdValues::Read* read = cold_.Find(entry.seq());
  if (read == nullptr) read = AskFor(entry);
  if (read != nullptr && read->record) return read->value();
  if (read != nullptr) cold_.error_ = read->record.error();
  if (!IsPlanted(PlantedBug::kRunWithoutValue)) {
    blocked_ = Room::kWait;
    waits_for_ = cold_.error_ ? WaitsFor::kNothing : WaitsFor::kValues;
  }
  return {};
}

// The record when it can be had at once; else null, and it is wanted unless
// that is too much.
const ColdValues::Read* Operation::AskFor(const Entry& entry) {
  if (cold_.wanted_.contains(entry.seq())) return nullptr;
  // One alone may be as large as values are.
  const bool is_alone = cold_.bytes_ == 0;
  cold_.bytes_ += entry.value_size();
  if (!is_alone && cold_.bytes_ > store_.cold_bytes_max) {
    cold_.error_ = Error(
        ErrorCode::kInvalid,
        fmt::format("the values that this command reads from disk are larger "
                    "than {} bytes together; ask for fewer keys at once",
                    store_.cold_bytes_max));
    return nullptr;
  }
  ColdValue wanted = {entry.seq(),
                      store_.databases->NumberOf(*keyspace_),
                      keyspace_->Hash(entry.key()),
                      std::string(entry.key()),
                      static_cast<uint32_t>(entry.value_size()),
                      entry.place()};
  if (cold_.reads_at_once_ < kReadsAtOnceMax &&
      cold_.bytes_ <= kReadsAtOnceBytesMax) {
    if (auto record = store_.values->TryRead(wanted)) {
      ++cold_.reads_at_once_;
      return &cold_.Add({std::move(wanted), std::move(*record)});
    }
  }
  cold_.wanted_.emplace(entry.seq(), std::move(wanted));
  return nullptr;
}

bool Operation::AskAhead(const Entry& entry) {
  if (!entry.is_cold() || cold_.Find(entry.seq()) != nullptr ||
      cold_.wanted_.contains(entry.seq())) {
    return true;
  }
  const uint64_t bytes = cold_.bytes_ + entry.value_size();
  if (bytes > store_.cold_bytes_max / kColdAheadShare) return false;
  AskFor(entry);
  return true;
}

std::shared_ptr<const void> Operation::KeepValues() {
  if (store_.transaction != nullptr) return nullptr;
  for (const auto& [seq, read] : cold_.values_) {
    if (!read.record || !store_.values->MayKeep(read.of.value_size)) continue;
    store_.databases->Internal(read.of.database)
        .KeepValue(read.of.hash, read.of.key, seq, read.value());
  }
  return cold_.Take();
}

Room Operation::AdmitPut(std::string_view key, size_t value_size,
                         int64_t deadline_ms) {
  if (!store_.limit.IsOver() || blocked_ != Room::kReady) return blocked_;
  if (store_.journal.abandoned()) return Block(Room::kLost);
  Find(key);
  // Also of one that has expired and is still there.
  const Entry* old = keyspace_->Find(HashOf(key), key);
  if (old != nullptr && !old->is_ghost() && value_size <= old->value_size() &&
      (deadline_ms == 0 || old->has_deadline())) {
    return blocked_;
  }
  return NoMemory();
}

Room Operation::AdmitMove(const Entry& from, std::string_view key) {
  if (!store_.limit.IsOver() || blocked_ != Room::kReady) return blocked_;
  if (key.size() <= from.key().size()) return blocked_;
  return NoMemory();
}

// Why there is none, if that is still so. Values do not go here: what the
// command has found must stay where it is.
Room Operation::NoMemory() {
  if (!store_.limit.IsOver()) return blocked_;  // An expired key has gone.
  // As one command may, a transaction goes beyond the limit by its values,
  // which can go to disk later. It could wait for ever: what goes meanwhile
  // makes room for the attempt's beginning, and not for all of it.
  const Transaction* transaction = store_.transaction;
  if (transaction != nullptr && !transaction->memory_was_over_ &&
      !store_.limit.IsFull()) {
    return blocked_;
  }
  return Block(store_.limit.Refuse());
}

Room Operation::Block(Room why) {
  if (why == Room::kWait) waits_for_ = WaitsFor::kRoom;
  return blocked_ = why;
}

Room Operation::Reserve(uint64_t bytes, Purpose purpose) {
  if (blocked_ != Room::kReady) return blocked_;
  if (forbidden_ != nullptr && *forbidden_ &&
      !IsPlanted(PlantedBug::kReplyLimitAfterChange)) {
    return Block(Room::kTooLarge);
  }
  if (Block(RoomFor(bytes, purpose)) == Room::kReady) reserved_ = bytes;
  return blocked_;
}

uint64_t Operation::PutBytes(size_t key_size, size_t value_size) {
  return RecordBytes(key_size, value_size);
}

uint64_t Operation::RemoveBytes(size_t key_size) {
  return RecordBytes(key_size, 0);
}

uint64_t Operation::SwapBytes() { return RecordBytes(0, kNumberBytes); }

void Operation::Spend(uint64_t bytes) {
  KVD_CHECK(reserved_ >= bytes);
  reserved_ -= bytes;
  changed_bytes_ += bytes;
}

Seq Operation::Put(std::string_view key, std::string_view value,
                   int64_t deadline_ms, KeyEvent event) {
  Spend(PutBytes(key.size(), value.size()));
  const Seq seq = store_.changes.Put(*keyspace_, HashOf(key), key, value,
                                     deadline_ms, event);
  Saw(seq);
  return seq;
}

Seq Operation::Remove(std::string_view key, KeyEvent event) {
  Spend(RemoveBytes(key.size()));
  const Seq seq = store_.changes.Remove(*keyspace_, HashOf(key), key,
                                        RecordKind::kDelete, event);
  Saw(seq);
  return seq;
}

Seq Operation::FlushDatabase() {
  Spend(RemoveBytes(0));
  const Seq seq = store_.changes.Flush(*keyspace_);
  Saw(seq);
  return seq;
}

Seq Operation::FlushAll() {
  Spend(kDatabases * RemoveBytes(0));
  const Seq seq = store_.changes.FlushAll();
  Saw(seq);
  return seq;
}

Seq Operation::SwapDatabases(int one, int other) {
  KVD_CHECK(one != other);
  Spend(SwapBytes());
  const Seq seq = store_.changes.Swap(static_cast<uint8_t>(one),
                                      static_cast<uint8_t>(other), now_ms());
  Saw(seq);
  return seq;
}

void Operation::SawAll() {
  Saw(swapped_);
  if (store_.reads != nullptr) store_.reads->SawAll(*keyspace_);
}

uint64_t Operation::Count() {
  SawAll();
  if (!IsPlanted(PlantedBug::kShowUndurableCount)) {
    Saw(keyspace_->last_change());
  }
  return keyspace_->size();
}

uint64_t Operation::Scan(uint64_t cursor, size_t count,
                         const std::function<void(const Entry&)>& each) {
  std::vector<const Entry*> expired;
  const uint64_t next =
      keyspace_->index().Scan(cursor, count, [&](const Entry& entry) {
        if (entry.is_ghost()) return;
        if (IsExpired(entry)) {
          expired.push_back(&entry);
        } else {
          each(entry);
        }
      });
  for (const Entry* entry : expired) {
    RemoveExpired(keyspace_->Hash(entry->key()), *entry);
  }
  SawAll();
  Saw(keyspace_->last_change());
  return next;
}

const Entry* Operation::Random(const std::function<uint64_t()>& random) {
  SawAll();
  for (int tries = 0; tries < kRandomTries; ++tries) {
    const Entry* entry = keyspace_->index().Random(random());
    if (entry == nullptr) break;
    if (entry->is_ghost()) continue;
    if (IsExpired(*entry)) {
      RemoveExpired(keyspace_->Hash(entry->key()), *entry);
      continue;
    }
    Saw(entry->seq());
    return entry;
  }
  return nullptr;
}

size_t Operation::MemoryOf(const Entry& entry) const {
  // What a small table has to spare is no key's.
  const Index& index = keyspace_->index();
  const size_t slot =
      std::min(index.memory_bytes() / index.size(), kSlotBytesMax);
  const size_t queued = entry.has_deadline() ? sizeof(Entry*) : 0;
  return entry.allocation_bytes() + slot + queued;
}

}  // namespace kvd
