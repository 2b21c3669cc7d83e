// SPDX-License-Identifier: MIT
//
// A store on a simulated disk, with a record of all that was done to it, so
// that tests can say what may be there after a crash:
//
//   the state after some step of the history, no earlier than the last step
//   that had been acknowledged.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/operation.h"
#include "store/store.h"
#include "store/transaction.h"
#include "tests/support/manual_clock.h"
#include "tests/support/manual_executor.h"
#include "tests/support/sim_file_system.h"

namespace kvd {

// What a database holds: (database, key) → value, revision, deadline.
struct Held {
  std::string value;
  Seq seq = 0;
  uint64_t deadline_ms = 0;

  bool operator==(const Held&) const = default;
};
using Contents = std::map<std::pair<int, std::string>, Held>;

// Two databases have changed places.
Contents Swapped(const Contents& state, int one, int other);

// All steps that were ever executed, over several lives of a store.
struct History {
  // states[i] is what the store holds after i steps; last_seqs[i] its newest
  // revision.
  std::vector<Contents> states = {{}};
  std::vector<Seq> last_seqs = {0};
  size_t acknowledged = 0;  // Steps whose durability was announced.
  Seq newest_seq = 0;       // Ever handed out.
  std::string wrong;        // Of an undone transaction, and the first of them.

  size_t steps() const { return states.size() - 1; }
};

// What a transaction does, one after the other.
struct Part {
  enum class Kind {
    kPut,
    kAppend,
    kDelete,
    kMove,
    kGet,
    kCount,
    kFlush,
    kFlushAll,
    kSwap
  };

  Kind kind = Kind::kPut;
  int database = 0;
  std::string key;
  std::string value;
  int64_t deadline_ms = 0;
  int other = 1;

  static Part Put(std::string key, std::string value, int64_t deadline_ms = 0,
                  int database = 0) {
    return {Kind::kPut, database, std::move(key), std::move(value),
            deadline_ms};
  }
  static Part Append(std::string key, std::string suffix, int database = 0) {
    return {Kind::kAppend, database, std::move(key), std::move(suffix)};
  }
  static Part Delete(std::string key, int database = 0) {
    return {Kind::kDelete, database, std::move(key), {}};
  }
  // To another database, where it replaces what is there, and loses its
  // deadline.
  static Part Move(std::string key, int from, int to) {
    return {Kind::kMove, from, std::move(key), {}, 0, to};
  }
  static Part Get(std::string key, int database = 0) {
    return {Kind::kGet, database, std::move(key), {}};
  }
  static Part Count(int database = 0) {
    return {Kind::kCount, database, {}, {}};
  }
  static Part Flush(int database = 0) {
    return {Kind::kFlush, database, {}, {}};
  }
  static Part FlushAll() { return {Kind::kFlushAll, 0, {}, {}}; }
  static Part Swap(int one, int other) {
    return {Kind::kSwap, one, {}, {}, 0, other};
  }
};

// Small segments and groups, so that short workloads meet every edge.
StoreOptions SmallStore(SyncMode sync = SyncMode::kAlways);
// The same, which also writes hints.
StoreOptions SmallStoreWithHints(SyncMode sync = SyncMode::kAlways);

// One life of a store. Every method does nothing once the disk has crashed.
class Machine {
 public:
  Machine(SimFileSystem* disk, History* history,
          StoreOptions options = SmallStore());
  ~Machine();

  // Opens the store; the error when it cannot.
  Result<void> Open();
  bool is_open() const { return store_ != nullptr; }
  Store& store() { return *store_; }
  ManualClock& clock() { return clock_; }
  ManualExecutor& executor() { return executor_; }
  ManualExecutor& maintenance() { return maintenance_; }
  ManualExecutor& reads() { return reads_; }

  // Steps. Each waits for room as the daemon would; false when there is none.
  bool Put(std::string_view key, std::string_view value,
           int64_t deadline_ms = 0, int database = 0);
  bool Delete(std::string_view key, int database = 0);
  // Several puts in one atomic group.
  bool PutAll(const std::vector<std::pair<std::string, std::string>>& pairs);
  bool Flush(int database = 0);
  // Exchanges two databases.
  bool Swap(int one, int other);
  // Adds to a value, as a command that needs the old one does: it may have to
  // be read first. Nothing happens when the key is missing.
  bool Append(std::string_view key, std::string_view suffix, int database = 0);
  // Takes a key without a deadline to another database. Nothing happens when
  // it is missing.
  bool Move(std::string_view key, int from, int to);
  // A transaction, which is one step; or one that does all that and is undone.
  // False if it could not be done. Every attempt that is undone is compared
  // with what was there before: History::wrong.
  bool Transact(const std::vector<Part>& parts, bool commits = true);
  // A lookup; removes an expired key, which is then a step. A value that cannot
  // be read gives the error, and read_failed().
  std::optional<std::string> Get(std::string_view key, int database = 0);
  bool read_failed() const { return read_failed_; }
  // Whether a lookup took what this change wrote for expired, and could not
  // remove it.
  bool WasJudgedExpired(Seq seq) const { return judged_.contains(seq); }

  // Starts the open group.
  void Pump() { store_->Pump(); }
  // Pumps and polls until everything executed is durable (in kAlways).
  void Settle();
  // One Pump and one Poll.
  void Turn();
  void Tick();
  void AdvanceMs(int64_t ms) { clock_.AdvanceMs(ms); }
  // Compacts everything with something to gain, or these segments, to the end.
  void Compact();
  void Compact(std::vector<uint64_t> segments);
  // Until that run has ended.
  void AwaitCompaction(uint64_t run);
  // A clean stop; true when it was completed. It ends or fails by itself.
  bool Stop();
  // How long a step waits for room, in turns.
  void set_turns_max(int turns) { turns_max_ = turns; }
  // Takes note of what the store says is durable.
  void NoteDurable();

  // All that is there, read through operations.
  Contents Dump();

 private:
  Room WaitForRoom(const std::function<Room(Operation&)>& reserve,
                   const std::function<void(Operation&)>& change, int database);
  // Reads what the last try of a command wanted; false if it cannot be read.
  bool ReadWanted();
  const Entry* Find(Operation& operation, std::string_view key, int database);
  // What the attempts of a transaction needed.
  struct Needs {
    uint64_t bytes = 0;
    Purpose purpose = Purpose::kWrite;
  };
  Room Attempt(const std::vector<Part>& parts, bool commits, Needs* needs,
               Contents* state);
  Room RunParts(const std::vector<Part>& parts, Contents* state);
  Room Run(const Part& part, Contents* state);
  Room RunPut(const Part& part, Operation& operation, Contents* state);
  Room RunAppend(const Part& part, Operation& operation, Contents* state);
  Room RunDelete(const Part& part, Operation& operation, Contents* state);
  Room RunMove(const Part& part, Operation& operation, Contents* state);
  Room RunGet(const Part& part, Operation& operation, Contents* state);
  Room RunCount(const Part& part, Operation& operation, const Contents& state);
  Room RunFlush(const Part& part, Operation& operation, Contents* state);
  Room RunSwap(const Part& part, Operation& operation, Contents* state);
  const Entry* FindInside(Operation& operation, const Part& part,
                          Contents* state);
  void NoteWrong(const std::string& wrong);
  int DatabaseOfRemoval(Seq seq);
  std::pair<int, std::string> NextExpired(const Contents& state,
                                          int database) const;
  void Record(Contents state);
  // For disks on which writes complete by hand.
  void EndStall(int turn);

  SimFileSystem& disk_;
  History& history_;
  StoreOptions options_;
  ManualClock clock_;
  ManualExecutor executor_{/*auto_run=*/true};
  ManualExecutor maintenance_{/*auto_run=*/true};
  ManualExecutor reads_{/*auto_run=*/true};
  std::unique_ptr<Directory> directory_;
  std::unique_ptr<Store> store_;
  ColdValues cold_;
  bool read_failed_ = false;
  std::set<Seq> judged_;
  // A wait that does not end is a failed test, not a hung one.
  int turns_max_ = 1000;
};

// Opens `disk` and checks it against the history: the state is that of some
// step from the last acknowledged one on, it takes writes, and new revisions
// are new. Returns what is wrong, or "" (also when the disk crashes meanwhile).
std::string CheckAfterCrash(SimFileSystem* disk, const History& before,
                            StoreOptions options = SmallStore());

}  // namespace kvd
