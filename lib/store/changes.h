// SPDX-License-Identifier: MIT
//
// Each change of keys and databases, in the journal first and then in memory.
// Room for it was granted before, so none of them fails.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/durability.h"
#include "log/format/record.h"
#include "store/journal.h"
#include "store/key_events.h"
#include "store/memory/basics.h"
#include "store/memory/cleared_tables.h"
#include "store/memory/databases.h"
#include "store/memory/undurable_removals.h"
#include "store/memory/watched_keys.h"
#include "store/undo_list.h"

namespace kvd {

// Thread: loop.
class Changes {
 public:
  // References outlive it. In SyncMode::kAlways an absence waits until the
  // removal is durable.
  Changes(Journal& journal, Databases& databases, UndurableRemovals& removals,
          ClearedTables& cleared, WatchedKeys& watched, SyncMode sync,
          Clock& clock);

  // Key and value may be views into the entry that this replaces. `event` is
  // what those hear of it who listen.
  Seq Put(Keyspace& keyspace, uint64_t hash, std::string_view key,
          std::string_view value, int64_t deadline_ms, KeyEvent event);
  // Of a live key; `kind` is kDelete or kExpire. `key` may be a view into the
  // entry.
  Seq Remove(Keyspace& keyspace, uint64_t hash, std::string_view key,
             RecordKind kind, KeyEvent event = KeyEvent::kExpired);
  Seq Flush(Keyspace& keyspace);
  // Of all databases.
  Seq FlushAll();
  // Exchanges two clients' databases.
  Seq Swap(uint8_t one, uint8_t other, int64_t now_ms);

  // Null: nobody listens.
  void ListenTo(KeyEvents* events) { events_ = events; }
  // A key goes by its deadline that nobody here removes.
  void NoteExpired(int database, std::string_view key, Seq seq) {
    if (events_ != nullptr) {
      events_->Note(KeyEvent::kExpired, database, key, seq);
    }
  }

  // For Transaction: what is changed from now on can be undone, until one of
  // the other two. It may begin within another one, and is a part of that then.
  void BeginUndoable();
  void Undo();
  void Keep();
  // What it takes in the log, with what it is a part of; 0 if nothing was
  // changed.
  uint64_t undoable_bytes() const { return undo_list_.log_bytes(); }
  // The changes themselves, the oldest first.
  const std::vector<UndoList::Step>& undoable() const {
    return undo_list_.steps();
  }

  // Removes keys whose deadline has passed, as far as the log has room: true
  // when more are left than one slice takes.
  bool RemoveExpiredKeys();
  // Milliseconds until a deadline passes, or until somebody should look again;
  // nothing without deadlines.
  std::optional<int64_t> NextDeadlineMs() const;
  // Removed because of their deadline.
  uint64_t expired_keys() const { return expired_keys_; }

 private:
  Journal::Appended Append(RecordKind kind, const Keyspace& keyspace,
                           std::string_view key, std::string_view value,
                           uint64_t deadline_ms);
  void NotePut(const Keyspace& keyspace, uint64_t hash, std::string_view key,
               Seq seq, KeyEvent event);
  Seq FlushUnwatched(Keyspace& keyspace);
  void NoteSwap(uint8_t one, uint8_t other, Seq seq, int64_t now_ms);

  Journal& journal_;
  Databases& databases_;
  SegmentUsage& usage_;
  UndurableRemovals& removals_;
  ClearedTables& cleared_;
  WatchedKeys& watched_;
  const SyncMode sync_;
  Clock& clock_;
  uint64_t expired_keys_ = 0;
  KeyEvents* events_ = nullptr;
  UndoList undo_list_;
  bool undoable_ = false;
  std::vector<uint64_t> expired_keys_before_;  // Each part.
};

}  // namespace kvd
