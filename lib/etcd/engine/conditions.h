// SPDX-License-Identifier: MIT
//
// What the commands of a batch have seen of keys: the conditions of its Txn.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "etcd/engine/key_slots.h"

namespace kvd::etcd {

// Thread: loop.
class Conditions {
 public:
  struct Condition {
    uint64_t hash = 0;
    int64_t revision = 0;  // mod_revision, 0 for an absent key.
    size_t key_at = 0;
    size_t key_size = 0;
    int database = 0;
  };

  void BeginCommand();
  // What the command has added does not count.
  void DropCommand();

  // The key stays as it is. Once seen, it is not looked at again.
  void Add(int database, uint64_t hash, std::string_view key, int64_t revision);

  const std::vector<Condition>& all() const { return all_; }
  std::string_view KeyOf(const Condition& condition) const {
    return std::string_view(keys_).substr(condition.key_at, condition.key_size);
  }
  // With those that were too many to keep, of which some may be the same.
  size_t size() const { return all_.size() + missed_; }
  bool command_has_some() const { return size() > begun_at_; }
  // What the command has seen, whether others had seen it before or not.
  bool command_saw_some() const { return seen_.has_value(); }
  bool command_saw_several() const { return saw_several_; }
  uint64_t key_bytes() const { return keys_.size(); }
  // Each a bit, of those that have keys here.
  uint32_t databases() const { return databases_; }

  void Clear();

 private:
  void Saw(size_t place);

  std::vector<Condition> all_;
  KeySlots slots_;
  std::string keys_;  // One behind the other.
  size_t missed_ = 0;
  uint32_t databases_ = 0;
  size_t begun_at_ = 0;  // What follows is of the command under way.
  uint32_t databases_before_ = 0;
  std::optional<size_t> seen_;  // The place of the key seen last.
  bool saw_several_ = false;
};

}  // namespace kvd::etcd
