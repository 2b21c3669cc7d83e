// SPDX-License-Identifier: MIT
//
// Several commands that take effect together or not at all: what EXEC and
// scripts run theirs in. Each runs in place, through its own handler and with
// an Operation of its own. If one waits, all are undone and run again from the
// first, with the room that they needed reserved at once, so that they cannot
// starve. If one is refused (for memory, the disk, a damaged value, a limit),
// all are, and nothing has changed. An error of a command's own is its reply.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/commands/monitoring.h"
#include "daemon/commands/table.h"
#include "daemon/state/transaction_room.h"

namespace kvd {

class Transaction;  // store/transaction.h

// One attempt to run them; a command that waits is attempted again from its
// beginning, with the same words. Lives on the stack of the handler of EXEC or
// of a script. Within another attempt (a script in a MULTI) it is a part of
// that one. Thread: loop.
class Attempt {
 public:
  enum class Outcome {
    kRan,      // The reply was appended; it may be an error of the command.
    kWaits,    // For waits_for(). The handler calls call.op->WaitFor() with it
               // and returns: all is undone and run again then.
    kRefused,  // For refusal(). The handler answers that, and all is undone.
  };

  // Begins. `call` is the one of EXEC or of the script, and outlives this;
  // `word_bytes` counts towards limits.transaction_bytes. What an earlier
  // attempt needed in the log is reserved first: look at outcome().
  Attempt(Call& call, uint64_t word_bytes);
  // Undoes all that the commands did, unless Commit() was called.
  ~Attempt();
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  // Whether to begin, or to go on.
  Outcome outcome() const;
  WaitsFor waits_for() const { return waits_for_; }
  // The text of an error reply, with its code.
  const std::string& refusal() const { return room_->refusal(); }

  // The row for these words if they are right; null after an error reply, which
  // is appended.
  const CommandRow* Find(std::span<const std::string_view> args,
                         std::string* out);
  // Runs a command whose words are right and appends its reply in `protocol`,
  // 2 or 3; nothing is lent to it. After kWaits of a command that only reads
  // others may be run, so that what they wait for is read together; after
  // kRefused none.
  Outcome Run(const CommandRow& row, std::span<const std::string_view> args,
              int protocol, By by, std::string* out);

  // Has monitors see the command that this is an attempt of before those that
  // it runs, instead of behind them. To be called before Run().
  void ShowFirst();

  // Gives it the time of a script: see TransactionRoom.
  void LimitTime(std::function<std::string()> why) {
    room_->set_time_limit(std::move(why));
  }
  // Has it refused, for a reason of the handler's own.
  void Refuse(std::string why) { room_->Refuse(std::move(why)); }

  // It is certain: all takes effect. With outcome() kRan alone.
  void Commit();

 private:
  void ReserveAgain();
  WaitsFor Judge(Call& inner);
  void Count(const CommandRow& row, Call& inner, int64_t ns,
             std::string_view reply);
  void AddToSlowLog(const Call& inner, const Command& command, int64_t ns);

  Call& call_;
  const SessionSettings settings_;  // As they were.
  const uint64_t hits_;
  const uint64_t misses_;
  Seq began_after_ = 0;
  Seq all_began_after_ = 0;  // The outermost one.

  std::optional<TransactionRoom> own_room_;
  std::vector<std::function<void()>> own_effects_;
  std::vector<std::function<void()>> own_undoes_;
  TransactionRoom* room_;
  std::vector<std::function<void()>>* effects_;
  std::vector<std::function<void()>>* undoes_;
  std::unique_ptr<Transaction> transaction_;  // Null within another attempt.

  WaitsFor waits_for_ = WaitsFor::kNothing;
  Seq seen_ = 0;
  uint64_t ran_ = 0;
  bool shows_first_ = false;
  bool committed_ = false;
};

// Has values that are on disk read together with the one that an attempt waits
// for, so that it does not wait for one after the other: some of those that it
// may ask for when it runs again.
class ValuesAhead {
 public:
  explicit ValuesAhead(Call& call)
      : op_(*call.service.store, call.session.database, call.cold) {}

  // False when that is enough.
  bool AskFor(std::string_view key);

 private:
  static constexpr size_t kKeysMax = 4096;  // That are looked at.
  static constexpr size_t kValuesMax = 64;
  static constexpr uint64_t kBytesMax = 1 << 20;

  Operation op_;
  size_t keys_ = 0;
  size_t values_ = 0;
  uint64_t bytes_ = 0;
};

// EXEC's answer when it is refused for the reason in `error`, which begins with
// a code.
std::string AbortText(std::string_view error);
// Keeps the words of `call` for EXEC and answers so, or with why they cannot be
// part of a transaction.
void Queue(Call& call, const CommandRow& row);
// Whether this row's command runs at once inside MULTI and is not kept.
bool RunsAtOnce(const Command& command);
// Whether the command changes something: for EXEC that is whether one of those
// that it will run does.
bool MayWrite(const Session& session, const Command& command);
// The words of `call` were refused with the reply that begins at `start`, `row`
// is theirs if they have one: what has begun with MULTI cannot be executed any
// more.
void SpoilTransaction(Call& call, const CommandRow* row, size_t start);

}  // namespace kvd
