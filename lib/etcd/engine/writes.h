// SPDX-License-Identifier: MIT
//
// What the commands of a batch have made of keys: the newest state of each,
// which is what its Txn puts or removes, and what that takes.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "etcd/engine/key_slots.h"
#include "store/memory/databases.h"
#include "store/undo_list.h"

namespace kvd::etcd {

// Thread: loop.
class Writes {
 public:
  struct Write {
    uint64_t hash = 0;
    // The newest entry of the key that the batch has made. It lives as long as
    // the changes can be undone.
    const Entry* newest = nullptr;
    int database = 0;
    bool removed = false;  // The entry is of what was there.
    bool flushed = false;  // The whole database was, later on.
    bool pinned = false;   // No further change of it goes into this batch.

    std::string_view key() const { return newest->key(); }
  };

  // `databases` outlives it.
  explicit Writes(const Databases& databases) : databases_(databases) {}

  void BeginCommand();
  // What the command has changed, in its order.
  void Take(std::span<const UndoList::Step> steps);
  // What it has changed does not count.
  void DropCommand();

  // Of the command: …
  struct Command {
    size_t value_bytes_max = 0;  // Its largest value.
    bool swaps = false;          // Databases.
    bool breaks_pin = false;     // It changes what an earlier one has pinned.
    size_t missed = 0;           // Changes of keys that were too many to keep.
  };
  const Command& command() const { return command_; }
  // Keeps others off the key that has this change; false if it has a newer one.
  bool Pin(Seq seq);

  const std::vector<Write>& all() const { return all_; }
  // Whether the Txn has an operation for it.
  bool IsNeeded(const Write& write) const {
    return !write.flushed && !(write.removed && IsFlushed(write.database));
  }
  bool IsFlushed(int database) const {
    return (flushed_ >> database & uint32_t{1}) != 0;
  }
  // Operations, with those that were too many to keep.
  size_t operations() const {
    return figures_.operations + command_.missed +
           static_cast<size_t>(std::popcount(flushed_));
  }
  uint64_t bytes() const { return figures_.bytes; }  // Of keys and values.
  // Each a bit.
  uint32_t databases() const { return databases_changed_; }
  uint32_t flushed() const { return flushed_; }

  void Clear();

 private:
  struct Figures {
    size_t operations = 0;
    uint64_t bytes = 0;
  };

  void TakeKey(const UndoList::KeyStep& step);
  void TakeFlush(int database);
  void Change(size_t place, Write write);
  Figures Of(const Write& write) const;
  void Count(const Write& write);
  void Uncount(const Write& write);

  const Databases& databases_;
  std::vector<Write> all_;
  KeySlots slots_;
  Figures figures_;
  uint32_t databases_changed_ = 0;
  uint32_t flushed_ = 0;

  // The command under way, and all as it was before.
  Command command_;
  size_t begun_at_ = 0;
  std::vector<std::pair<size_t, Write>> replaced_;
  Figures figures_before_;
  uint32_t databases_before_ = 0;
  uint32_t flushed_before_ = 0;
};

}  // namespace kvd::etcd
