// SPDX-License-Identifier: MIT
#include "store/transaction.h"

#include <algorithm>

#include "base/check.h"
#include "base/planted_bug.h"
#include "store/store_core.h"

namespace kvd {

Transaction::Transaction(Store& store)
    : store_(store.core_),
      now_ms_(store_.clock.WallMs()),
      memory_was_over_(store_.limit.IsOver()) {
  KVD_CHECK(store_.transaction == nullptr);
  store_.transaction = this;
  store_.changes.BeginUndoable();
}

Transaction::~Transaction() {
  if (!open_) return;
  store_.changes.Undo();
  store_.transaction = nullptr;
  if (missed_room_) {
    // Nothing need be under way that would bring room: the next attempt, which
    // asks for the whole, sees to that.
    store_.asks_again = true;
    store_.wake();
  }
}

Room Transaction::Reserve(uint64_t bytes, Purpose purpose) {
  KVD_CHECK(open_ && asked_bytes_ == 0);
  reserved_bytes_ = bytes;
  if (purpose == Purpose::kWrite) purpose_ = purpose;
  return store_.journal.RoomFor(bytes, purpose);
}

Room Transaction::RoomFor(uint64_t bytes, Purpose purpose) {
  asked_bytes_ += bytes;
  if (purpose == Purpose::kWrite) purpose_ = purpose;
  if (asked_bytes_ > store_.journal.group_bytes_max()) return Room::kTooLarge;
  // What it has changed may not leave without the rest.
  const bool has_changed = store_.changes.undoable_bytes() > 0 &&
                           !IsPlanted(PlantedBug::kTransactionInParts);
  if (!has_changed) return store_.journal.RoomFor(bytes, purpose);
  const Room room = store_.journal.RoomBehind(bytes, purpose);
  missed_room_ |= room == Room::kWait;
  return room;
}

void Transaction::Commit() {
  KVD_CHECK(open_);
  committed_bytes_ = store_.changes.undoable_bytes();
  store_.changes.Keep();
  store_.transaction = nullptr;
  open_ = false;
}

uint64_t Transaction::changed_bytes() const {
  return open_ ? store_.changes.undoable_bytes() : committed_bytes_;
}

}  // namespace kvd
