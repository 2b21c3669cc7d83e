// SPDX-License-Identifier: MIT
//
// What commands know and change about the connection that they came on.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daemon/pubsub/pubsub.h"
#include "daemon/state/listing.h"
#include "daemon/state/queued_commands.h"
#include "store/backup.h"
#include "store/batches.h"
#include "store/watch.h"

namespace kvd {

class CommandStats;

// The longest name that a client gives itself or its library.
inline constexpr size_t kClientNameBytesMax = 64;

// What a client asks for about its connection. A transaction that is undone
// puts it back.
struct SessionSettings {
  enum class ReplyMode { kOn, kOff, kSkipNext, kSkipThis };

  int database = 0;
  int protocol = 2;
  ReplyMode reply_mode = ReplyMode::kOn;
  bool no_evict = false;
  bool no_touch = false;
  std::string name;
  std::string library_name;
  std::string library_version;

  // The command under way is not answered, whatever becomes of it.
  bool is_silent() const { return reply_mode != ReplyMode::kOn; }
};

// Of the scripts of a command, one EVAL's or all of an EXEC's, which may have
// to begin anew: what they have taken so far. Each attempt runs them in the
// same order, and they are told apart by that.
class ScriptProgress {
 public:
  void BeginAttempt() {
    begun_ = 0;
    counted_ = false;
  }
  // The number of the next script, from 0. `random` is asked once a command.
  size_t Begin(uint64_t (*random)()) {
    if (seed_ == 0) seed_ = static_cast<uint32_t>(random()) | 1;
    return begun_++;
  }
  // Of its random numbers: the same in each attempt, or a script that looks for
  // values by chance would never have read them all.
  uint32_t SeedOf(size_t number) const {
    constexpr uint32_t kApart = 0x9e3779b9;
    return seed_ + static_cast<uint32_t>(number) * kApart;
  }
  // CPU time of its runs that did not come to their end.
  int64_t SpentBy(size_t number) const {
    return number < spent_ns_.size() ? spent_ns_[number] : 0;
  }
  void Spend(size_t number, int64_t ns) {
    if (number >= spent_ns_.size()) spent_ns_.resize(number + 1);
    spent_ns_[number] += ns;
  }
  // How many attempts have ended because a value was on disk, with this one.
  int CountReRun() {
    if (!std::exchange(counted_, true)) ++re_runs_;
    return re_runs_;
  }
  int re_runs() const { return re_runs_; }

 private:
  std::vector<int64_t> spent_ns_;
  size_t begun_ = 0;  // In this attempt.
  int re_runs_ = 0;
  bool counted_ = false;  // This attempt, in re_runs_.
  uint32_t seed_ = 0;     // 0: not drawn yet.
};

struct Session : SessionSettings {
  static constexpr int kNoRow = -1;

  uint64_t id = 0;  // From 1, never given twice.
  int fd = -1;      // Its connection's, to be looked at alone.
  pid_t pid = -1;   // Of the peer, by the kernel's word.
  uid_t uid = static_cast<uid_t>(-1);
  int64_t connected_ms = 0;  // Monotonic, like all of a session's times.
  int64_t active_ms = 0;     // When it last sent a command.

  int last_row = kNoRow;  // Of the command table: that of its last command.
  CommandStats* last_stats = nullptr;  // The same row's.
  uint64_t commands = 0;
  bool pipelines = false;  // Its command came together with others.
  bool monitors = false;   // Sees what all do: service.set_monitor changes it.

  // The compaction that its command waits for; 0 for none.
  uint64_t awaited_compaction = 0;
  // The change whose durability its command waits for; 0 for none.
  uint64_t awaited_seq = 0;
  int64_t waits_until_ms = 0;  // With awaited_seq; 0: for as long as it takes.
  // How CLIENT UNBLOCK ends such a wait.
  enum class Unblocked : uint8_t { kNo, kAsTimeout, kWithError };
  Unblocked unblocked = Unblocked::kNo;
  bool is_blocked() const {
    return awaited_compaction != 0 || awaited_seq != 0;
  }
  // Where its messages go, and what it is subscribed to. The latter is null
  // until it subscribes.
  Inbox* inbox = nullptr;
  SubscriberPtr subscriptions;
  // What has become of the message that its command publishes, if that takes
  // more than one turn.
  std::shared_ptr<const Posting> posting;
  // The newest change that its replies have shown.
  uint64_t newest_seen = 0;

  // What its command has made of its reply; null if it is not under way.
  std::unique_ptr<Listing> listing;

  // The backup that its client reads, or that has ended under it; null if there
  // is none.
  std::unique_ptr<Backup> backup;
  bool backup_begun = false;  // Its client was told so.

  // What was sent since MULTI; null outside of that.
  std::unique_ptr<QueuedCommands> queued;
  // The keys that WATCH named; null if there are none.
  std::unique_ptr<Watch> watch;
  // What the last attempt to run a transaction needed in the log before it was
  // undone, to be reserved by the next one; 0 if there was none.
  uint64_t undone_bytes = 0;
  Purpose undone_purpose = Purpose::kWrite;

  ScriptProgress scripts;

  // --- Of a store that runs commands in batches (store/batches.h) ---

  // Its commands in the open one: their replies wait for what becomes of it.
  size_t unsettled = 0;
  Batches::Stamp read_stamp;  // Of its input.
  bool reads_fresh = false;   // Its command under way has to.
  // Where its reply under way has revisions that are not known yet.
  std::vector<size_t> provisional_revisions;
  // What EndTransaction() took away, if it may have to be put back.
  struct Ended {
    std::unique_ptr<QueuedCommands> queued;
    std::unique_ptr<Watch> watch;
  };
  bool keeps_ended = false;
  Ended ended;
  void Restore(Ended taken) {
    if (taken.queued != nullptr) queued = std::move(taken.queued);
    if (taken.watch != nullptr) watch = std::move(taken.watch);
  }
  // Of its command under way, what happens beyond the store once it is certain.
  // That may be after the session has gone: it is known by its id alone.
  std::vector<std::function<void()>> effects;
  // The same of what it has changed here, if it is undone.
  struct Undo {
    std::unique_ptr<SessionSettings> settings;  // As they were, if at all.
    std::vector<std::function<void()>> undoes;
  };
  Undo undo;
  void PutBack(Undo taken) {
    for (auto it = taken.undoes.rbegin(); it != taken.undoes.rend(); ++it) {
      (*it)();
    }
    if (taken.settings != nullptr) {
      static_cast<SessionSettings&>(*this) = *taken.settings;
    }
  }

  // No further command of this connection is executed; it closes once its
  // replies are out.
  bool closing = false;
  // The connection closes at once, replies or not.
  bool killed = false;

  // As CLIENT LIST shows it: -1 outside MULTI.
  int64_t queued_commands() const {
    return queued ? static_cast<int64_t>(queued->size()) : -1;
  }
  size_t watched_keys() const { return watch ? watch->size() : 0; }
  bool is_subscribed() const {
    return subscriptions != nullptr && subscriptions->count() > 0;
  }
  size_t subscribed(TopicKind kind) const {
    return subscriptions != nullptr ? subscriptions->count(kind) : 0;
  }
  // What it keeps for a transaction.
  size_t transaction_bytes() const {
    return (queued ? queued->bytes() : 0) + (watch ? watch->memory_bytes() : 0);
  }
  void EndTransaction() {
    if (keeps_ended) ended = {std::move(queued), std::move(watch)};
    queued.reset();
    watch.reset();
    undone_bytes = 0;
    scripts = {};
  }
  // Of its own words and of a reply under way, what it keeps.
  size_t memory_bytes() const {
    return name.capacity() + library_name.capacity() +
           library_version.capacity() +
           (listing ? listing->memory_bytes() : 0) +
           (subscriptions ? subscriptions->memory_bytes() : 0) +
           transaction_bytes();
  }

  // As of the last turn, for CLIENT LIST.
  size_t input_bytes = 0;
  size_t output_bytes = 0;
  // Since it connected.
  uint64_t input_total_bytes = 0;
  uint64_t output_total_bytes = 0;
};

}  // namespace kvd
