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

Changes::Changes(Journal& journal, Databases& databases,
                 UndurableRemovals& removals, ClearedTables& cleared,
                 WatchedKeys& watched, SyncMode sync, Clock& clock)
    : journal_(journal),
      databases_(databases),
      usage_(databases.usage()),
      removals_(removals),
      cleared_(cleared),
      watched_(watched),
      sync_(sync),
      clock_(clock),
      undo_list_(journal, databases, removals, cleared) {}

Journal::Appended Changes::Append(RecordKind kind, const Keyspace& keyspace,
                                  std::string_view key, std::string_view value,
                                  uint64_t deadline_ms) {
  if (undoable_) undo_list_.BeforeRecord();
  return journal_.Append(kind, databases_.NumberOf(keyspace), key, value,
                         deadline_ms);
}

Seq Changes::Put(Keyspace& keyspace, uint64_t hash, std::string_view key,
                 std::string_view value, int64_t deadline_ms, KeyEvent event) {
  const auto deadline = static_cast<uint64_t>(deadline_ms);
  const auto [seq, place] =
      Append(RecordKind::kPut, keyspace, key, value, deadline);
  if (!watched_.empty()) {
    watched_.NotePut(databases_.ClientOf(keyspace), hash, key, seq);
  }
  if (events_ != nullptr) NotePut(keyspace, hash, key, seq, event);
  if (undoable_) {
    undo_list_.Put(keyspace, hash,
                   Entry::Create(key, value, seq, place, deadline));
  } else {
    keyspace.Put(hash, key, value, seq, place, deadline);
    cleared_.PayForPut();
  }
  return seq;
}

// Before it is put.
void Changes::NotePut(const Keyspace& keyspace, uint64_t hash,
                      std::string_view key, Seq seq, KeyEvent event) {
  const int database = databases_.ClientOf(keyspace);
  const Entry* const old = keyspace.Find(hash, key);
  const bool there = old != nullptr && !old->is_ghost();
  const bool expired =
      there && old->has_deadline() && old->IsExpiredAt(clock_.WallMs());
  if (expired) events_->Note(KeyEvent::kExpired, database, key, seq);
  // Under a new name a key is new, even in the place of another one. Source:
  // Redis.
  const bool renamed =
      event == KeyEvent::kRenameTo || event == KeyEvent::kCopyTo;
  if (!there || expired || renamed) {
    events_->Note(KeyEvent::kNew, database, key, seq);
  }
  events_->Note(event, database, key, seq);
}

Seq Changes::Remove(Keyspace& keyspace, uint64_t hash, std::string_view key,
                    RecordKind kind, KeyEvent event) {
  const auto [seq, place] = Append(kind, keyspace, key, {}, 0);
  usage_.AddDead(place.segment, RecordBytes(key.size(), 0));
  const bool expires = kind == RecordKind::kExpire;
  if (expires) ++expired_keys_;
  if (!watched_.empty() &&
      !(expires && IsPlanted(PlantedBug::kWatchMissesExpiry))) {
    watched_.NoteRemoval(databases_.ClientOf(keyspace), hash, key, seq);
  }
  if (events_ != nullptr) {
    events_->Note(event, databases_.ClientOf(keyspace), key, seq);
  }
  const bool waits = sync_ == SyncMode::kAlways &&
                     !IsPlanted(PlantedBug::kShowUndurableAbsence);
  if (undoable_ && waits) {
    undo_list_.Bury(keyspace, hash, key, seq, place);
  } else if (undoable_) {
    undo_list_.Erase(keyspace, hash, key, seq, place);
  } else if (waits) {
    removals_.Bury(&keyspace, hash, key, seq, place, journal_.durable_seq());
  } else {
    keyspace.Erase(hash, key, seq);
  }
  return seq;
}

Seq Changes::Flush(Keyspace& keyspace) {
  const Seq seq = FlushUnwatched(keyspace);
  if (!watched_.empty()) {
    watched_.NoteFlush(databases_.ClientOf(keyspace), seq);
  }
  return seq;
}

// One look at the watched keys, not one for each database. They hear of the
// newest record: none of these is durable without it.
Seq Changes::FlushAll() {
  Seq seq = 0;
  for (const auto& keyspace : databases_.all()) seq = FlushUnwatched(*keyspace);
  if (!watched_.empty()) watched_.NoteFlushAll(seq);
  return seq;
}

Seq Changes::FlushUnwatched(Keyspace& keyspace) {
  const auto [seq, place] = Append(RecordKind::kFlush, keyspace, {}, {}, 0);
  usage_.AddDatabaseChange(place.segment);
  if (undoable_) {
    undo_list_.Flush(keyspace, seq, place);
    return seq;
  }
  if (auto table = keyspace.Clear(seq)) {
    cleared_.Add(std::move(table), &keyspace);
  }
  cleared_.PayForFlush();
  return seq;
}

Seq Changes::Swap(uint8_t one, uint8_t other, int64_t now_ms) {
  if (undoable_) undo_list_.BeforeRecord();
  const auto [seq, place] =
      journal_.Append(RecordKind::kSwap, one, {}, NumberValue(other).view(), 0);
  usage_.AddDatabaseChange(place.segment);
  if (!watched_.empty()) NoteSwap(one, other, seq, now_ms);
  if (undoable_) {
    undo_list_.Swap(one, other, seq, place);
  } else {
    databases_.Swap(one, other, seq);
  }
  return seq;
}

void Changes::NoteSwap(uint8_t one, uint8_t other, Seq seq, int64_t now_ms) {
  watched_.NoteSwap(
      one, other, seq, [&](int database, uint64_t hash, std::string_view key) {
        const Entry* entry = databases_.OfClient(database).Find(hash, key);
        if (entry == nullptr || entry->is_ghost()) return false;
        if (!entry->IsExpiredAt(now_ms)) return true;
        entry->set_judged_expired();  // Nobody will be told that it goes.
        return false;
      });
}

void Changes::BeginUndoable() {
  undoable_ = true;
  undo_list_.Begin();
  expired_keys_before_.push_back(expired_keys_);
  watched_.BeginUndoable();
  if (events_ != nullptr) events_->Begin();
}

void Changes::Undo() {
  undo_list_.Undo();
  expired_keys_ = expired_keys_before_.back();
  expired_keys_before_.pop_back();
  watched_.TakeBack();
  if (events_ != nullptr) events_->Undo();
  undoable_ = undo_list_.is_open();
}

void Changes::Keep() {
  undo_list_.Keep();
  expired_keys_before_.pop_back();
  watched_.Keep();
  if (events_ != nullptr) events_->Keep();
  undoable_ = undo_list_.is_open();
}

bool Changes::RemoveExpiredKeys() {
  const int64_t now = clock_.WallMs();
  int budget = kExpiredKeysPerSlice;
  for (const auto& keyspace : databases_.all()) {
    while (const Entry* entry = keyspace->deadlines().Earliest()) {
      if (static_cast<int64_t>(entry->deadline_ms()) > now) break;
      if (budget-- == 0) return true;
      const uint64_t bytes = RecordBytes(entry->key().size(), 0);
      if (journal_.RoomFor(bytes, Purpose::kExpiry) != Room::kReady)
        return false;
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
