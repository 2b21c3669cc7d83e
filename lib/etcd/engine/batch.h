// SPDX-License-Identifier: MIT
//
// What the commands of one batch have looked at and changed, as one Txn: the
// newest state of each changed key, on condition that all that replies depend
// on is still as it was seen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "etcd/api.h"
#include "etcd/engine/names.h"
#include "etcd/engine/shared_index.h"
#include "store/batches.h"
#include "store/store_core.h"

namespace kvd::etcd {

// Conditions of a Txn, and its operations, beside those of the sequence key and
// of generations. etcd takes 128 of each.
inline constexpr size_t kTxnKeysMax = 127 - kDatabases;

// Thread: loop.
class Batch final : public ReadNotes {
 public:
  // References outlive it.
  Batch(StoreCore& core, const SharedIndex& index, const Names& names)
      : core_(core), index_(index), names_(names) {}

  void SawKey(const Keyspace& keyspace, std::string_view key,
              const Entry* entry) override;
  void SawAll(const Keyspace& keyspace) override;

  void BeginCommand();
  // Whether what the command did has its place in this batch. Nothing of it
  // counts yet.
  // `is_fresh`: it was admitted as one that reads.
  Batches::Verdict Judge(bool behind, Seq seen, bool is_fresh) const;
  // It counts.
  void KeepCommand(bool belongs_to_batch);

  // Whether something was changed.
  bool has_changes() const { return !core_.changes.undoable().empty(); }
  size_t commands() const { return commands_; }
  bool empty() const { return commands_ == 0; }

  // Without the sequence key. `core.changes` has the changes.
  TxnRequest Request() const;
  // It stands, by that revision: gives it to all that it changed.
  void Confirm(int64_t revision, SharedIndex* index);
  void Clear();

 private:
  using KeyName = std::pair<int, std::string>;  // The database is the client's.

  bool IsFlushed(int database) const;
  std::set<KeyName> ChangedKeys() const;
  std::set<int> FlushedDatabases() const;

  StoreCore& core_;
  const SharedIndex& index_;
  const Names& names_;

  // What is to be as it was: mod_revisions, 0 for absent keys.
  std::map<KeyName, int64_t> conditions_;
  size_t commands_ = 0;

  // Of the command under way.
  std::map<KeyName, int64_t> seen_;
  bool saw_all_ = false;
  size_t first_change_ = 0;
};

}  // namespace kvd::etcd
