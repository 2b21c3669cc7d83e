// SPDX-License-Identifier: MIT
#include "store/key_events.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace kvd {
namespace {

KeyEventClass ClassOf(KeyEvent event) {
  switch (event) {
    case KeyEvent::kSet:
    case KeyEvent::kSetWithDeadline:
    case KeyEvent::kAppend:
    case KeyEvent::kSetRange:
    case KeyEvent::kSetBit:
    case KeyEvent::kIncrBy:
    case KeyEvent::kIncrByFloat:
      return kStringEvents;
    case KeyEvent::kExpired:
      return kExpiredEvents;
    case KeyEvent::kNew:
      return kNewEvents;
    case KeyEvent::kMiss:
      return kMissEvents;
    case KeyEvent::kExpire:
    case KeyEvent::kPersist:
    case KeyEvent::kDel:
    case KeyEvent::kRenameFrom:
    case KeyEvent::kRenameTo:
    case KeyEvent::kMoveFrom:
    case KeyEvent::kMoveTo:
    case KeyEvent::kCopyTo:
      break;
  }
  return kGenericEvents;
}

}  // namespace

std::string_view NameOf(KeyEvent event) {
  switch (event) {
    case KeyEvent::kSet:
    case KeyEvent::kSetWithDeadline:
      return "set";
    case KeyEvent::kAppend:
      return "append";
    case KeyEvent::kSetRange:
      return "setrange";
    case KeyEvent::kSetBit:
      return "setbit";
    case KeyEvent::kIncrBy:
      return "incrby";
    case KeyEvent::kIncrByFloat:
      return "incrbyfloat";
    case KeyEvent::kExpire:
      return "expire";
    case KeyEvent::kPersist:
      return "persist";
    case KeyEvent::kDel:
      return "del";
    case KeyEvent::kExpired:
      return "expired";
    case KeyEvent::kRenameFrom:
      return "rename_from";
    case KeyEvent::kRenameTo:
      return IsPlanted(PlantedBug::kWrongEventName) ? "set" : "rename_to";
    case KeyEvent::kMoveFrom:
      return "move_from";
    case KeyEvent::kMoveTo:
      return "move_to";
    case KeyEvent::kCopyTo:
      return "copy_to";
    case KeyEvent::kNew:
      return "new";
    case KeyEvent::kMiss:
      return "keymiss";
  }
  return "";
}

void KeyEvents::Note(KeyEvent event, int database, std::string_view key,
                     Seq seq) {
  if (event == KeyEvent::kSetWithDeadline) {
    Add(KeyEvent::kSet, database, key, seq);
    event = KeyEvent::kExpire;
  }
  Add(event, database, key, seq);
  // The store puts a key under its new name before it removes the old one.
  // Source of the other order: Redis.
  const size_t count = noted_.size();
  if (wants(kGenericEvents) && count >= 2 &&
      (event == KeyEvent::kRenameFrom || event == KeyEvent::kMoveFrom)) {
    std::swap(noted_[count - 2], noted_[count - 1]);
  }
}

std::vector<KeyEvents::Noted> KeyEvents::Take(size_t most) {
  const auto end =
      noted_.begin() + static_cast<ptrdiff_t>(std::min(most, noted_.size()));
  std::vector<Noted> taken(std::make_move_iterator(noted_.begin()),
                           std::make_move_iterator(end));
  noted_.erase(noted_.begin(), end);
  return taken;
}

void KeyEvents::Add(KeyEvent event, int database, std::string_view key,
                    Seq seq) {
  if (!wants(ClassOf(event))) return;
  noted_.push_back(
      {event, static_cast<uint8_t>(database), seq, std::string(key)});
}

}  // namespace kvd
