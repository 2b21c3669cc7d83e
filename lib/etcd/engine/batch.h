// SPDX-License-Identifier: MIT
//
// What the commands of one batch have looked at and changed, as one Txn: the
// newest state of each changed key, on condition that all that replies depend
// on is still as it was seen.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "etcd/api.h"
#include "etcd/engine/conditions.h"
#include "etcd/engine/names.h"
#include "etcd/engine/shared_index.h"
#include "etcd/engine/writes.h"
#include "store/batches.h"
#include "store/store_core.h"

namespace kvd::etcd {

// Thread: loop.
class Batch final : public ReadNotes {
 public:
  using Verdict = Batches::Verdict;

  // References outlive it.
  Batch(StoreCore& core, const SharedIndex& index, const Names& names);

  void SawKey(const Keyspace& keyspace, uint64_t hash, std::string_view key,
              const Entry* entry) override;
  void SawAll(const Keyspace& keyspace) override;
  // Batches::ShowsRevision().
  void ShowsRevision(Seq provisional) { shown_.push_back(provisional); }

  void BeginCommand();
  // How a command turned out that has run.
  struct Ended {
    bool behind = false;  // Batches::EndCommand().
    Seq seen = 0;
    bool is_fresh = false;          // It was admitted as one that reads.
    bool is_ahead = false;          // Batches::Stamp.
    bool may_mix = false;           // Its reply may be of several moments.
    size_t readers_max = SIZE_MAX;  // The batch takes so many that have read.
    std::string_view no_writes;     // Why there are none now; empty: there are.
  };
  // Whether what it did has its place in this batch; KeepCommand() or
  // DropCommand() follows.
  Verdict Judge(const Ended& ended);
  // After Room::kWait: its reply would show this kvd's own changes beside what
  // others had changed before them. It waits until the watch has told these.
  bool mixes() const { return mixes_; }
  // It has seen a change of this kvd's that the watch has not told yet.
  bool is_ahead() const { return newest_seen_ > index_.revision(); }
  // There is such a change.
  bool is_watch_behind() const { return confirmed_ > index_.revision(); }
  // After Room::kTooLarge: the text of an error reply.
  const std::string& why() const { return why_; }
  void KeepCommand(bool belongs_to_batch);
  // It counts for nothing.
  void DropCommand();

  // Whether something was changed.
  bool has_changes() const { return !core_.changes.undoable().empty(); }
  // Commands that have read what the batch has not made.
  size_t readers() const { return readers_; }
  bool empty() const { return commands_ == 0; }
  // No further key fits: to try more commands is wasted time.
  bool full() const;

  // Without the sequence key. `core.changes` has the changes.
  TxnRequest Request() const;
  // It stands, by that revision: gives it to all that it changed.
  void Confirm(int64_t revision, SharedIndex* index);
  // What was seen is no condition any more.
  void ForgetConditions() { conditions_.Clear(); }
  void Clear();

 private:
  Verdict JudgeRead(const Ended& ended);
  bool Never(const Ended& ended, bool changes);
  bool Fits();
  size_t CountCompares() const;
  uint64_t CountBytes() const;
  void Saw(int64_t revision) {
    newest_seen_ = std::max(newest_seen_, revision);
  }
  void PinShown();
  std::string NameOf(const Writes::Write& write) const;

  StoreCore& core_;
  const SharedIndex& index_;
  const Names& names_;

  Conditions conditions_;
  Writes writes_;
  size_t commands_ = 0;
  size_t readers_ = 0;
  int64_t confirmed_ = 0;  // The revision of the newest one that stands.

  // Of the command under way.
  bool saw_all_ = false;
  int64_t newest_seen_ = 0;  // Revision.
  bool mixes_ = false;
  size_t first_change_ = 0;
  std::vector<Seq> shown_;
  bool shows_outdated_ = false;  // A revision of what it has changed again.
  std::string why_;
};

}  // namespace kvd::etcd
