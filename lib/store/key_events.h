// SPDX-License-Identifier: MIT
//
// What happened to keys, by the names that Redis gives to it, for those who
// want to hear of it. A name travels with each change, as what a change does
// (a value for a key) does not say why.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/planted_bug.h"
#include "store/memory/basics.h"

namespace kvd {

enum class KeyEvent : uint8_t {
  kSet,
  kSetWithDeadline,  // Two: "set" and "expire".
  kAppend,
  kSetRange,
  kSetBit,
  kIncrBy,
  kIncrByFloat,
  kExpire,
  kPersist,
  kDel,
  kExpired,
  kRenameFrom,
  kRenameTo,
  kMoveFrom,
  kMoveTo,
  kCopyTo,
  kNew,   // Beside the event of the change that made the key.
  kMiss,  // Somebody read a key that is not there.
};
std::string_view NameOf(KeyEvent event);

// Bits of the events that somebody wants.
enum KeyEventClass : uint8_t {
  kGenericEvents = 1,
  kStringEvents = 2,
  kExpiredEvents = 4,
  kNewEvents = 8,
  kMissEvents = 16,
};

// Events that nobody has taken yet, in the order of their revisions; those of a
// transaction that is undone go. Thread: loop.
class KeyEvents {
 public:
  struct Noted {
    KeyEvent event;
    uint8_t database;  // The client's number.
    Seq seq;           // The change, or of a miss the newest one that it shows.
    std::string key;
  };

  // Which are noted from now on.
  void set_classes(uint8_t classes) { classes_ = classes; }
  bool wants(KeyEventClass one) const { return (classes_ & one) != 0; }

  void Note(KeyEvent event, int database, std::string_view key, Seq seq);

  bool empty() const { return noted_.empty(); }
  size_t size() const { return noted_.size(); }
  // Whether some can be taken: none while a transaction is open.
  bool has_ready() const { return parts_.empty() && !noted_.empty(); }
  // The first ones, so many at the most. Not in a transaction.
  std::vector<Noted> Take(size_t most = SIZE_MAX);

  // Of a transaction, which may be a part of another one.
  void Begin() { parts_.push_back(noted_.size()); }
  void Undo() {
    noted_.erase(noted_.begin() + static_cast<ptrdiff_t>(parts_.back()),
                 noted_.end());
    parts_.pop_back();
  }
  void Keep() { parts_.pop_back(); }

 private:
  void Add(KeyEvent event, int database, std::string_view key, Seq seq);

  uint8_t classes_ = 0;
  std::vector<size_t> parts_;  // Where each begins in noted_.
  std::deque<Noted> noted_;
};

}  // namespace kvd
