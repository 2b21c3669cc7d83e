// SPDX-License-Identifier: MIT
#include "store/changes.h"

#include <algorithm>
#include <utility>

#include "base/planted_bug.h"

namespace kvd {
namespace {

constexpr int kExpiredKeysPerSlice = 512;
// The wall clock may be set forward: deadlines are looked at this often.
constexpr int64_t kDeadlineLookMs = 1000;
// A key whose deadline has passed and that is still there waits for room.
constexpr int64_t kOverdueLookMs = 100;

}  // namespace

Changes::Changes(LogWriter& log, Databases& databases,
                 UndurableRemovals& removals, ClearedTables& cleared,
                 SyncMode sync, Clock& clock)
    : log_(log),
      databases_(databases),
      usage_(databases.usage()),
      removals_(removals),
      cleared_(cleared),
      sync_(sync),
      clock_(clock) {}

Seq Changes::Put(Keyspace& keyspace, uint64_t hash, std::string_view key,
                 std::string_view value, int64_t deadline_ms) {
  const auto deadline = static_cast<uint64_t>(deadline_ms);
  const auto [seq, place] = log_.Append(
      RecordKind::kPut, databases_.NumberOf(keyspace), key, value, deadline);
  keyspace.Put(hash, key, value, seq, place, deadline);
  cleared_.PayForPut();
  return seq;
}

Seq Changes::Remove(Keyspace& keyspace, uint64_t hash, std::string_view key,
                    RecordKind kind) {
  const auto [seq, place] =
      log_.Append(kind, databases_.NumberOf(keyspace), key, {}, 0);
  usage_.AddDead(place.segment, RecordBytes(key.size(), 0));
  if (kind == RecordKind::kExpire) ++expired_keys_;
  const bool waits = sync_ == SyncMode::kAlways &&
                     !IsPlanted(PlantedBug::kShowUndurableAbsence);
  if (waits) {
    removals_.Bury(&keyspace, hash, key, seq, place, log_.durable_seq());
  } else {
    keyspace.Erase(hash, key, seq);
  }
  return seq;
}

Seq Changes::Flush(Keyspace& keyspace) {
  const auto [seq, place] =
      log_.Append(RecordKind::kFlush, databases_.NumberOf(keyspace), {}, {}, 0);
  usage_.AddDatabaseChange(place.segment);
  if (auto table = keyspace.Clear(seq)) {
    cleared_.Add(std::move(table), &keyspace);
  }
  cleared_.PayForFlush();
  return seq;
}

Seq Changes::Swap(uint8_t one, uint8_t other) {
  const char value = static_cast<char>(other);
  const auto [seq, place] =
      log_.Append(RecordKind::kSwap, one, {}, {&value, 1}, 0);
  usage_.AddDatabaseChange(place.segment);
  databases_.Swap(one, other, seq);
  return seq;
}

bool Changes::RemoveExpiredKeys() {
  const int64_t now = clock_.WallMs();
  int budget = kExpiredKeysPerSlice;
  for (const auto& keyspace : databases_.all()) {
    while (const Entry* entry = keyspace->deadlines().Earliest()) {
      if (static_cast<int64_t>(entry->deadline_ms()) > now) break;
      if (budget-- == 0) return true;
      const uint64_t bytes = RecordBytes(entry->key().size(), 0);
      if (log_.RoomFor(bytes, Purpose::kExpiry) != Room::kReady) return false;
      Remove(*keyspace, keyspace->Hash(entry->key()), entry->key(),
             RecordKind::kExpire);
    }
  }
  return false;
}

std::optional<int64_t> Changes::NextDeadlineMs() const {
  std::optional<int64_t> next;
  const int64_t now = clock_.WallMs();
  for (const auto& keyspace : databases_.all()) {
    const Entry* entry = keyspace->deadlines().Earliest();
    if (entry == nullptr) continue;
    const int64_t due = static_cast<int64_t>(entry->deadline_ms()) - now;
    const int64_t left =
        due <= 0 ? kOverdueLookMs : std::min(due, kDeadlineLookMs);
    next = next ? std::min(*next, left) : left;
  }
  return next;
}

}  // namespace kvd
