// SPDX-License-Identifier: MIT
//
// MULTI, EXEC, DISCARD, WATCH and UNWATCH. Source of the texts: Redis.
#include "daemon/commands/transaction.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "config/units.h"
#include "daemon/commands/admission.h"
#include "daemon/commands/counting.h"
#include "daemon/commands/handlers.h"
#include "daemon/commands/refusals.h"
#include "store/transaction.h"

namespace kvd {
namespace {

constexpr std::string_view kAborted =
    "EXECABORT Transaction discarded because of";
// What one client's watched keys may take: room for a hundred thousand.
constexpr size_t kWatchedBytesMax = size_t{16} << 20;
// Of one watched key beside its bytes, about.
constexpr size_t kWatchedKeyCost = 128;

Seq NewestChange(const ServerState& service) {
  return service.store != nullptr ? service.store->last_seq() : 0;
}

bool IsError(std::string_view reply) { return reply.starts_with('-'); }

// Whether these words ask to wait, which nothing does in a transaction.
bool AsksToWait(const Call& call, const Command& command) {
  return command.handler == HandleKvCompact && call.args.size() > 1;
}

// Whether a queue may take the words of `call`; answers an error if not.
bool MayQueue(Call& call, const Command& command) {
  // Messages could come before EXEC's reply says that there is a subscription.
  if (call.service.batches != nullptr &&
      (command.flags & kAnswersAlways) != 0) {
    call.reply.Error(fmt::format(
        "ERR {} cannot be in a transaction where the data is in etcd: send it "
        "before MULTI or behind EXEC",
        command.name));
    return false;
  }
  if ((command.flags & kNoMulti) != 0 || AsksToWait(call, command)) {
    call.reply.Error("ERR Command not allowed inside a transaction");
    return false;
  }
  const uint64_t limit = call.service.config.limits.transaction_bytes;
  const uint64_t bytes = QueuedCommands::BytesOf(call.args);
  if (call.session.queued->bytes() + bytes <= limit) return true;
  call.reply.Error(
      fmt::format("ERR the transaction's words take more than "
                  "limits.transaction_bytes, which is {}; nothing was changed. "
                  "Send it in parts",
                  FormatSize(limit)));
  return false;
}

}  // namespace

std::string AbortText(std::string_view error) {
  if (error.starts_with("ERR ")) error.remove_prefix(4);
  return fmt::format("{}: {}", kAborted, error);
}

Attempt::Attempt(Call& call, uint64_t word_bytes)
    : call_(call),
      settings_(call.session),
      hits_(call.service.stats.keyspace_hits),
      misses_(call.service.stats.keyspace_misses),
      room_(call.room),
      effects_(call.effects),
      undoes_(call.undoes) {
  Store* const store = call.service.store;
  if (store != nullptr) began_after_ = store->last_seq();
  all_began_after_ = room_ != nullptr ? call.began_after : began_after_;
  if (room_ != nullptr) return;
  room_ = &own_room_.emplace(call.service.config.limits.transaction_bytes,
                             word_bytes);
  effects_ = &own_effects_;
  undoes_ = &own_undoes_;
  call.session.scripts.BeginAttempt();
  if (store == nullptr) return;
  transaction_ = std::make_unique<Transaction>(*store);
  ReserveAgain();
}

Attempt::~Attempt() {
  Session& session = call_.session;
  if (committed_) return;
  // What it has changed is not seen by anybody.
  call_.shows = std::max(call_.shows, std::min(seen_, began_after_));
  static_cast<SessionSettings&>(session) = settings_;
  call_.service.stats.keyspace_hits = hits_;
  call_.service.stats.keyspace_misses = misses_;
  if (!own_room_) {
    // A part cannot be undone by itself.
    if (waits_for_ == WaitsFor::kNothing) {
      room_->Refuse("ERR a part of the transaction failed");
    }
    return;
  }
  const bool again = transaction_ != nullptr && outcome() == Outcome::kWaits;
  session.undone_bytes = again ? transaction_->needed_bytes() : 0;
  if (again) session.undone_purpose = transaction_->needed_purpose();
  for (auto undo = own_undoes_.rbegin(); undo != own_undoes_.rend(); ++undo) {
    (*undo)();
  }
  if (again && IsPlanted(PlantedBug::kWaitingApplies)) transaction_->Commit();
  transaction_.reset();
  // A value that was read for it, or could not be, is nobody's any more.
  if (outcome() == Outcome::kRefused && call_.cold != nullptr) {
    call_.cold->Abandon();
  }
}

void Attempt::ReserveAgain() {
  const Session& session = call_.session;
  if (session.undone_bytes == 0) return;
  const Room room =
      transaction_->Reserve(session.undone_bytes, session.undone_purpose);
  if (room == Room::kWait) {
    waits_for_ = WaitsFor::kRoom;
  } else if (room != Room::kReady) {
    room_->Refuse(NoRoomText(room, *call_.service.store));
  }
}

Attempt::Outcome Attempt::outcome() const {
  if (!refusal().empty()) return Outcome::kRefused;
  return waits_for_ == WaitsFor::kNothing ? Outcome::kRan : Outcome::kWaits;
}

const CommandRow* Attempt::Find(std::span<const std::string_view> args,
                                std::string* out) {
  ReplyWriter reply(out, call_.session.protocol);
  Call inner{call_.op, args, reply, call_.session, call_.service};
  return FindRow(inner);
}

Attempt::Outcome Attempt::Run(const CommandRow& row,
                              std::span<const std::string_view> args,
                              int protocol, By by, std::string* out) {
  KVD_CHECK(outcome() != Outcome::kRefused);
  ServerState& service = call_.service;
  Session& session = call_.session;
  const size_t start = out->size();
  // The replies of all of them are a part of the outer one.
  const uint64_t limit = service.config.limits.output_bytes;
  const uint64_t replied = std::min(limit, call_.reply.wanted_bytes());
  ReplyWriter reply(out, protocol, std::min(limit - replied, room_->left()));
  std::optional<Operation> op;
  if (service.store != nullptr) {
    op.emplace(*service.store, session.database, call_.cold,
               &reply.overflowed());
  }
  Call inner{op ? &*op : nullptr, args, reply, session, service};
  inner.cold = call_.cold;
  inner.effects = effects_;
  inner.undoes = undoes_;
  inner.room = room_;
  inner.began_after = all_began_after_;
  inner.by_script = by == By::kScript;

  const int64_t start_ns = service.ReadClock();
  row.command->handler(inner);
  const int64_t ns = service.ReadClock() - start_ns;
  session.listing.reset();
  const WaitsFor waits_for = Judge(inner);
  if (!refusal().empty()) return Outcome::kRefused;
  if (waits_for != WaitsFor::kNothing) {
    reply.Drop();
    if (waits_for_ == WaitsFor::kNothing) waits_for_ = waits_for;
    return Outcome::kWaits;
  }
  if (op) seen_ = std::max({seen_, op->seen(), inner.shows});
  Count(row, inner, ns, std::string_view(*out).substr(start));
  if (service.monitor != nullptr) ShowMonitors(inner, *row.command, by, seen_);
  return refusal().empty() ? Outcome::kRan : Outcome::kRefused;
}

// What the command waits for that has just run. It may be refused instead.
WaitsFor Attempt::Judge(Call& inner) {
  const uint64_t wanted = inner.reply.wanted_bytes();
  if (inner.reply.overflowed() && room_->Has(wanted)) {
    // It is limits.output_bytes then, which is about all replies together.
    call_.reply.Claim(wanted);
    room_->Refuse(RefusalOf(call_, *call_.cold));
  }
  if (std::string why = RefusalOf(inner, *inner.cold); !why.empty()) {
    room_->Refuse(std::move(why));
  }
  if (inner.op == nullptr) return WaitsFor::kNothing;
  const WaitsFor waits_for = inner.op->waits_for();
  if (waits_for == WaitsFor::kNews || waits_for == WaitsFor::kOthers) {
    room_->Refuse("ERR a command in it waits, which it must not do there");
  }
  // What the handler did not ask for, too: its record beside the value.
  room_->Take(inner.op->changed_bytes());
  return waits_for;
}

// Enters the command into the statistics, once it is certain.
void Attempt::Count(const CommandRow& row, Call& inner, int64_t ns,
                    std::string_view reply) {
  ServerState& service = call_.service;
  room_->Take(reply.size());
  ++ran_;
  CommandStats* stats = &service.command_stats.Of(row.number);
  effects_->push_back([stats, ns] {
    ++stats->calls;
    stats->Timed(static_cast<uint64_t>(ns));
  });
  if (IsError(reply)) {
    effects_->push_back(
        [&service, stats,
         text = std::string(reply.substr(1, reply.find('\r')))] {
          CountError(service, text);
          ++stats->failed;
        });
  }
  AddToSlowLog(inner, *row.command, ns);
}

// The first ones of those that took long get there, and no more than there is
// room for.
void Attempt::AddToSlowLog(const Call& inner, const Command& command,
                           int64_t ns) {
  ServerState& service = call_.service;
  if (ns / 1000 < service.config.slowlog.threshold_us ||
      (command.flags & (kNoAuth | kNoSlowLog)) != 0 ||
      !room_->LogsOneMore(service.slow_log.length())) {
    return;
  }
  effects_->push_back(
      [&service,
       entry = SlowLog::EntryOf(service.clock.WallMs() / 1000, ns / 1000,
                                inner.args, inner.session.name)]() mutable {
        service.slow_log.Add(std::move(entry), NewestChange(service));
      });
}

void Attempt::ShowFirst() {
  ServerState& service = call_.service;
  if (service.monitor == nullptr) return;
  shows_first_ = true;
  const Command& command = *FindCommand(call_.args[0]);
  effects_->push_back(
      [&service, line = MonitorLine(call_, command, By::kClient)] {
        if (service.monitor != nullptr) {
          service.monitor(line, NewestChange(service));
        }
      });
}

void Attempt::Commit() {
  KVD_CHECK(outcome() == Outcome::kRan && !committed_);
  committed_ = true;
  call_.shown = shows_first_;
  call_.shows = std::max(call_.shows, seen_);
  Session& session = call_.session;
  session.commands += ran_;
  undoes_->push_back([&session, ran = ran_] { session.commands -= ran; });
  effects_->push_back([&service = call_.service, ran = ran_] {
    service.stats.commands += ran;
  });
  if (!own_room_) return;
  if (transaction_ != nullptr) transaction_->Commit();
  session.undone_bytes = 0;
  if (call_.service.batches != nullptr) {
    session.effects = std::move(own_effects_);
    session.undo.undoes = std::move(own_undoes_);
  } else {
    for (const std::function<void()>& effect : own_effects_) effect();
  }
  if (IsPlanted(PlantedBug::kTransactionLimitAfterChange) &&
      own_room_->exceeded()) {
    own_room_->RefuseAsTooLarge();
  }
}

bool ValuesAhead::AskFor(std::string_view key) {
  if (++keys_ > kKeysMax) return false;
  const Entry* const entry = op_.Find(key);
  if (entry == nullptr || !entry->is_cold()) return true;
  bytes_ += entry->value_size();
  return bytes_ <= kBytesMax && op_.AskAhead(*entry) && ++values_ < kValuesMax;
}

bool RunsAtOnce(const Command& command) {
  return (command.flags & kAtOnce) != 0;
}

bool MayWrite(const Session& session, const Command& command) {
  if (command.access == Access::kWrite) return true;
  return command.handler == HandleExec && session.queued != nullptr &&
         session.queued->writes();
}

void Queue(Call& call, const CommandRow& row) {
  Session& session = call.session;
  session.last_row = row.number;
  session.last_stats = &call.service.command_stats.Of(row.number);
  if (!MayQueue(call, *row.command)) return session.queued->Abort();
  session.queued->Add(row.number, call.args,
                      row.command->access == Access::kWrite ||
                          (row.command->flags & kReachesOthers) != 0);
  call.reply.SimpleString("QUEUED");
}

void SpoilTransaction(Call& call, const CommandRow* row, size_t start) {
  Session& session = call.session;
  if (row != nullptr && row->command->handler == HandleExec) {
    const std::string error = call.reply.out()->substr(start + 1);
    call.reply.Drop();
    call.reply.Error(
        AbortText(std::string_view(error).substr(0, error.find('\r'))));
    session.EndTransaction();
  } else if (session.queued != nullptr) {
    session.queued->Abort();
  }
}

namespace {

const Command& CommandOf(const QueuedCommands& queued, size_t index) {
  return *CommandRows()[static_cast<size_t>(queued.row(index))].command;
}

// Has values read that commands from `index` on may need.
void AskForRest(Call& call, const QueuedCommands& queued, size_t index) {
  ValuesAhead ahead(call);
  std::vector<std::string_view> words;
  bool more = true;
  for (; more && index < queued.size(); ++index) {
    queued.Words(index, &words);
    ForEachKey(CommandOf(queued, index), words,
               [&](size_t i) { more = more && ahead.AskFor(words[i]); });
  }
}

// Runs what is queued in `attempt` until it is clear what becomes of it.
void RunQueued(Call& call, const QueuedCommands& queued, Attempt* attempt) {
  std::string* const out = call.reply.out();
  std::vector<std::string_view> words;
  call.reply.ArrayHeader(queued.size());
  for (size_t i = 0; i < queued.size(); ++i) {
    const CommandRow& row = CommandRows()[static_cast<size_t>(queued.row(i))];
    queued.Words(i, &words);
    const size_t start = out->size();
    const Attempt::Outcome outcome =
        attempt->Run(row, words, call.session.protocol, By::kClient, out);
    if (outcome == Attempt::Outcome::kRefused) return;
    // One that only reads changes nothing for those after it: what they read
    // from disk is read together.
    if (outcome == Attempt::Outcome::kWaits &&
        row.command->access == Access::kWrite) {
      if (attempt->waits_for() == WaitsFor::kValues) {
        AskForRest(call, queued, i + 1);
      }
      return;
    }
    call.reply.Claim(out->size() - start);
  }
}

// EXEC's answer to what was queued; false if it has to wait.
bool ExecuteQueued(Call& call) {
  const QueuedCommands& queued = *call.session.queued;
  Attempt attempt(call, queued.bytes());
  if (attempt.outcome() == Attempt::Outcome::kRan) {
    RunQueued(call, queued, &attempt);
  }
  if (attempt.outcome() == Attempt::Outcome::kRan) attempt.Commit();
  switch (attempt.outcome()) {
    case Attempt::Outcome::kRan:
      return true;
    case Attempt::Outcome::kWaits:
      call.op->WaitFor(attempt.waits_for());
      return false;
    case Attempt::Outcome::kRefused:
      call.reply.Drop();
      call.reply.Error(AbortText(attempt.refusal()));
      return true;
  }
  return true;
}

}  // namespace

void HandleMulti(Call& call) {
  call.session.queued = std::make_unique<QueuedCommands>();
  call.reply.Ok();
}

void HandleDiscard(Call& call) {
  if (call.session.queued == nullptr) {
    return call.reply.Error("ERR DISCARD without MULTI");
  }
  call.session.EndTransaction();
  call.reply.Ok();
}

void HandleExec(Call& call) {
  Session& session = call.session;
  if (session.queued == nullptr) {
    return call.reply.Error("ERR EXEC without MULTI");
  }
  if (session.queued->aborted()) {
    call.reply.Error(fmt::format("{} previous errors.", kAborted));
    return session.EndTransaction();
  }
  const std::optional<Seq> touched =
      session.watch != nullptr ? session.watch->Touched() : std::nullopt;
  if (touched) {
    call.shows = *touched;
    call.reply.NullArray();
  } else if (!ExecuteQueued(call)) {
    return;
  }
  session.EndTransaction();
}

namespace {

// Whether what is known of these keys can no more be undone by a batch.
bool IsCertain(Call& call, std::span<const std::string_view> keys) {
  const ServerState& service = call.service;
  if (service.batches == nullptr) return true;
  for (const std::string_view key : keys) call.op->Find(key);
  return !service.store->MustWait(call.op->seen());
}

}  // namespace

void HandleWatch(Call& call) {
  Session& session = call.session;
  const auto keys = call.args.subspan(1);
  size_t bytes = session.watch != nullptr ? session.watch->memory_bytes() : 0;
  for (const std::string_view key : keys) bytes += kWatchedKeyCost + key.size();
  if (bytes > kWatchedBytesMax) {
    return call.reply.Error(
        fmt::format("ERR too many watched keys: they would take {} bytes, and "
                    "a client's may take {}. Watch fewer at once",
                    bytes, kWatchedBytesMax));
  }
  if (session.watch == nullptr) {
    session.watch = std::make_unique<Watch>(*call.service.store);
  }
  if (!IsCertain(call, keys)) return call.op->WaitFor(WaitsFor::kNews);
  for (const std::string_view key : keys) {
    session.watch->Add(session.database, key);
  }
  call.reply.Ok();
}

void HandleUnwatch(Call& call) {
  // What EXEC runs comes behind its look at the watched keys; it ends with
  // forgetting them.
  if (!call.in_transaction()) call.session.watch.reset();
  call.reply.Ok();
}

}  // namespace kvd
