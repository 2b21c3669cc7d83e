// SPDX-License-Identifier: MIT
//
// Several operations that take effect together, as one atomic group on disk, or
// not at all.
//
// They run in place: each sees what those before it have changed, in every
// count, listing and look-up. What is changed is noted, and undone when the
// transaction ends without Commit(): because an operation waits for room or for
// a value, because the caller refuses the result, or because others do. Then it
// runs again from its beginning, or never.
#pragma once

#include <cstdint>

#include "log/write/room.h"
#include "store/store.h"

namespace kvd {

// Thread: loop. Lives on the stack for one attempt: between its beginning and
// its end nothing of the store is called but operations, one at a time, and
// what changes nothing.
class Transaction {
 public:
  // Begins. Operations of the store are parts of it until it ends; there is
  // none open yet. They share one ColdValues, which outlives the attempt, so
  // that the next one has what this one asked for; Operation::KeepValues() does
  // nothing before Commit().
  explicit Transaction(Store& store);
  // Undoes all changes, unless there was a Commit(). The store is then what it
  // was at the beginning, sequence numbers included. What no client can tell
  // may differ: tables that grew, which values were asked for; and a key that
  // was found expired stays expired (Operation::Find()).
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // Before the first operation: whether there is room for all of them, with the
  // answers of Operation::Reserve(). Asked with what an earlier attempt needed,
  // so that operations do not wait for room one after the other: each attempt
  // ends, or needs more than the one before. Without this, an operation that
  // finds no room behind what is changed already waits (Room::kWait), and a
  // Poll() that says true follows once all is undone.
  Room Reserve(uint64_t bytes, Purpose purpose = Purpose::kWrite);
  // What this attempt needed of the log so far, granted or not, at least what
  // it reserved; and for what purpose: kRemoval when it only freed room.
  uint64_t needed_bytes() const {
    return asked_bytes_ > reserved_bytes_ ? asked_bytes_ : reserved_bytes_;
  }
  Purpose needed_purpose() const { return purpose_; }

  // Keeps all changes, and ends. Their records are in one commit group.
  void Commit();

  // What the changes take in the log.
  uint64_t changed_bytes() const;
  // The wall clock, the same for the whole; ms since the epoch.
  // Operation::now_ms() says the same.
  int64_t now_ms() const { return now_ms_; }

 private:
  friend class Operation;

  // Operation::Reserve() and expiry ask here.
  Room RoomFor(uint64_t bytes, Purpose purpose);

  StoreCore& store_;
  const int64_t now_ms_;
  const bool memory_was_over_;  // At the beginning.
  bool open_ = true;
  bool missed_room_ = false;  // Behind its own changes.
  Purpose purpose_ = Purpose::kRemoval;
  uint64_t reserved_bytes_ = 0;
  uint64_t asked_bytes_ = 0;
  uint64_t committed_bytes_ = 0;
};

}  // namespace kvd
