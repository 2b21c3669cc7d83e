// SPDX-License-Identifier: MIT
#include "daemon/commands/dispatch.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <variant>

#include "base/limits.h"
#include "config/units.h"
#include "daemon/commands/handlers.h"
#include "daemon/commands/text.h"
#include "daemon/commands/transaction.h"
#include "daemon/host/logging.h"
#include "store/batches.h"

namespace kvd {
namespace {

// Bytes of an unknown command's words that an error quotes. Source: Redis.
constexpr size_t kQuotedArgsBytes = 128;

void UnknownCommand(Call& call) {
  std::string quoted;
  for (size_t i = 1; i < call.args.size() && quoted.size() < kQuotedArgsBytes;
       ++i) {
    const size_t room = kQuotedArgsBytes - quoted.size();
    quoted += fmt::format("'{}' ", call.args[i].substr(0, room));
  }
  call.reply.Error(
      fmt::format("ERR unknown command '{}', with args beginning with: {}",
                  Quoted(call.args[0]), quoted));
}

// Whether a web page may have had a browser send this: the first words of
// requests with a body, and of the header that all have. Source: Redis.
bool IsHttp(std::string_view name) {
  return IsWord(name, "POST") || IsWord(name, "HOST:");
}

// The rest may be commands that somebody else put there: they are not executed.
void EndHttp(Call& call) {
  call.session.closing = true;
  ServerState& service = call.service;
  ++service.stats.http_closed;
  if (!service.log_rate.Allow(service.NowMs())) return;
  LogWarning(
      "client {} (pid {}, uid {}) speaks HTTP: closed. Possibly a web page "
      "sends commands through somebody's browser or proxy",
      call.session.id, call.session.pid, call.session.uid);
}

void StillLoading(Call& call) {
  const ServerState& service = call.service;
  call.reply.Error(fmt::format("LOADING kvd is loading the data; {}",
                               service.loading.Text(service.NowMs())));
}

// Whether the row takes so many words; answers an error if not.
bool RightNumberOfWords(Call& call, const Command& command,
                        const Command* container = nullptr) {
  const size_t words = call.args.size();
  const auto most = static_cast<size_t>(command.words_max);
  if (words >= static_cast<size_t>(command.words_min) && words <= most) {
    return true;
  }
  const std::string name =
      container == nullptr ? LowerName(command)
                           : LowerName(*container) + "|" + LowerName(command);
  // Where any number would make sense, say what is too much.
  if (words > most && command.arity() < 0 && most >= kNamesMax) {
    call.reply.Error(
        fmt::format("ERR too many arguments for '{}' command: {} words at the "
                    "most",
                    name, most));
  } else {
    call.reply.Error(
        fmt::format("ERR wrong number of arguments for '{}' command", name));
  }
  return false;
}

// The row that handles these words: the command's own or its subcommand's. Null
// after an error reply; then `*blamed` is the row whose words were wrong, if
// the words name one.
const Command* Resolve(Call& call, const Command& command,
                       const Command** blamed) {
  *blamed = &command;
  if (command.subcommands.empty()) {
    const bool right = RightNumberOfWords(call, command);
    return right ? &command : nullptr;
  }
  if (call.args.size() < 2) {
    if (command.handler != nullptr) return &command;
    call.reply.Error(fmt::format(
        "ERR wrong number of arguments for '{}' command", LowerName(command)));
    return nullptr;
  }
  const Command* subcommand = FindSubcommand(command, call.args[1]);
  if (subcommand == nullptr) {
    call.reply.Error(fmt::format("ERR unknown subcommand '{}'. Try {} HELP.",
                                 Quoted(call.args[1]), command.name));
    *blamed = nullptr;
    return nullptr;
  }
  *blamed = subcommand;
  const bool right = RightNumberOfWords(call, *subcommand, &command);
  return right ? subcommand : nullptr;
}

bool WordsFit(Call& call) {
  const auto most = static_cast<size_t>(call.service.config.limits.arguments);
  if (call.args.size() <= most) return true;
  call.reply.Error(
      fmt::format("ERR command has {} words, and limits.arguments is {}; "
                  "nothing was changed. Send it in parts",
                  call.args.size(), most));
  return false;
}

bool KeysFit(Call& call, const Command& command) {
  bool fit = true;
  ForEachKey(command, call.args, [&](size_t i) {
    if (call.args[i].size() > kKeyBytesMax) fit = false;
  });
  if (!fit) {
    call.reply.Error(
        fmt::format("ERR key is too long (maximum {} bytes)", kKeyBytesMax));
  }
  return fit;
}

// How one call is timed, see command_stats.h.
enum class Timing { kNone, kSample, kExact };

Timing TimingOf(const Call& call, const CommandRow& row,
                const CommandStats& stats) {
  if (!call.session.pipelines || call.args.size() > row.brief_words ||
      call.service.config.slowlog.threshold_us < kAlwaysTimedBelowUs) {
    return Timing::kExact;
  }
  return stats.IsDue() ? Timing::kSample : Timing::kNone;
}

void AddTime(CommandStats& stats, Timing timing, int64_t ns) {
  switch (timing) {
    case Timing::kNone:
      return stats.Untimed();
    case Timing::kSample:
      return stats.Sampled(static_cast<uint64_t>(ns));
    case Timing::kExact:
      return stats.Timed(static_cast<uint64_t>(ns));
  }
}

// Whether SLOWLOG has it. Words that come before authentication may be secret.
bool IsSlow(const ServerState& service, const Command& command, int64_t ns) {
  return ns / 1000 >= service.config.slowlog.threshold_us &&
         (command.flags & (kNoAuth | kNoSlowLog)) == 0;
}

SlowLog::Entry SlowEntry(const Call& call, int64_t ns) {
  return SlowLog::EntryOf(call.service.clock.WallMs() / 1000, ns / 1000,
                          call.args, call.session.name);
}

// Enters a call that began at `start_ns` and has just ended.
void CountTime(Call& call, const Command& command, CommandStats& stats,
               Timing timing, int64_t start_ns) {
  ServerState& service = call.service;
  const int64_t ns = service.ReadClock() - start_ns;
  // What has taken its time is entered, whatever it was thought to be.
  AddTime(stats, timing == Timing::kNone ? Timing::kExact : timing, ns);
  if (!IsSlow(service, command, ns)) return;
  service.slow_log.Add(SlowEntry(call, ns), service.store != nullptr
                                                ? service.store->last_seq()
                                                : 0);
}

// Why a value on disk was not read. Nothing was changed.
std::string UnreadableText(const Error& error) {
  const bool damaged = error.code() != ErrorCode::kInvalid &&
                       error.code() != ErrorCode::kResources;
  return fmt::format("{} {}; nothing was changed{}",
                     damaged ? "DAMAGED" : "ERR", error.message(),
                     damaged
                         ? ". Other keys are not affected, and this one can "
                           "be set anew or deleted"
                         : "");
}

// The answer instead of a reply that is too large. Nothing was changed.
std::string ReplyTooLargeText(const Call& call) {
  return fmt::format(
      "ERR the reply takes {} bytes or more, and limits.output_bytes is {}; "
      "nothing was changed. Ask for less at once",
      call.reply.wanted_bytes(),
      FormatSize(call.service.config.limits.output_bytes));
}

}  // namespace

std::string MemoryFullAdvice(const Store& store) {
  return fmt::format(
      "{} of {} are used (memory.limit); nothing was changed. Reads, deletes "
      "and writes that do not grow go on",
      FormatSize(store.memory_bytes()), FormatSize(store.memory_limit_bytes()));
}

std::string NoRoomText(Room room, const Store& store) {
  switch (room) {
    case Room::kReady:
    case Room::kWait:
      return {};
    case Room::kDiskFull:
      return "DISKFULL the disk has no room for this write; nothing was "
             "changed. Deleting keys works, and writes resume by themselves "
             "when there is room";
    case Room::kTooLarge:
      return store.WhyTooLarge();
    case Room::kMemoryFull:
      // Clients know it by its first words. Source: Redis.
      return fmt::format(
          "OOM command not allowed when used memory > 'maxmemory'. {}",
          MemoryFullAdvice(store));
    case Room::kLost:
      return fmt::format(
          "IOERR {}; nothing was changed, and no write is taken any more. "
          "Reads go on for a while: copy what is needed",
          store.failure()->message());
  }
  return {};
}

std::string RefusalOf(const Call& call, const ColdValues& cold) {
  if (call.reply.overflowed()) return ReplyTooLargeText(call);
  if (cold.error()) return UnreadableText(*cold.error());
  if (call.op == nullptr) return {};
  return NoRoomText(call.op->blocked(), *call.service.store);
}

namespace {

// Scripts make codes as they like: there are not too many, and each is a word
// that INFO can show. Source of what the others count for: Valkey.
std::string NewErrorCode(const ServerState& service, std::string_view code) {
  constexpr size_t kCodesMax = 128;
  constexpr size_t kCodeBytesMax = 64;
  std::string word(code.substr(0, kCodeBytesMax));
  for (char& c : word) {
    if (c <= ' ' || c > '~' || c == ':' || c == '#') c = '_';
  }
  if (service.errors.size() < kCodesMax || service.errors.contains(word)) {
    return word;
  }
  return "ERRORSTATS_OVERFLOW";
}

}  // namespace

void CountError(ServerState& service, std::string_view text) {
  ++service.stats.error_replies;
  const std::string_view code = text.substr(0, text.find_first_of(" \r"));
  const auto found = service.errors.find(code);
  if (found != service.errors.end()) {
    ++found->second;
  } else {
    ++service.errors[NewErrorCode(service, code)];
  }
}

namespace {

// Whether RefusalOf() has something to say.
bool IsRefused(const Call& call, const ColdValues& cold) {
  if (call.reply.overflowed() || cold.error()) return true;
  if (call.op == nullptr) return false;
  const Room room = call.op->blocked();
  return room != Room::kReady && room != Room::kWait;
}

// Takes back what the handler has replied, which began at `start`.
void DropReply(Call& call, size_t start) {
  call.reply.Drop();
  while (call.lent != nullptr && !call.lent->empty() &&
         call.lent->back().at > start) {
    call.lent->pop_back();
  }
}

// CLIENT REPLY SKIP leaves itself and the next command without a reply. That
// one begins, and may say something else: then that counts.
void BeginReply(Session& session) {
  using Mode = Session::ReplyMode;
  if (session.reply_mode == Mode::kSkipNext) {
    session.reply_mode = Mode::kSkipThis;
  }
}
// It has to run again.
void PutOffReply(Session& session) {
  using Mode = Session::ReplyMode;
  if (session.reply_mode == Mode::kSkipThis) {
    session.reply_mode = Mode::kSkipNext;
  }
}
// Whether its reply goes out.
bool TakesReply(Session& session) {
  using Mode = Session::ReplyMode;
  if (session.reply_mode == Mode::kOn) return true;
  if (session.reply_mode == Mode::kSkipThis) session.reply_mode = Mode::kOn;
  return false;
}

// Values that were read for the command and lent to the reply that begins at
// `start` are kept by `owner`.
void GiveOwner(std::vector<LentValue>* lent, size_t start,
               const std::shared_ptr<const void>& owner) {
  if (lent == nullptr) return;
  for (auto it = lent->rbegin(); it != lent->rend() && it->at > start; ++it) {
    auto* const kept = std::get_if<LentValue::Kept>(&it->owner);
    if (kept != nullptr && *kept == nullptr) *kept = owner;
  }
}

// Whether EXEC would run something that a pause of all holds back.
bool QueuesPaused(const Session& session) {
  if (session.queued == nullptr) return false;
  const QueuedCommands& queued = *session.queued;
  for (size_t i = 0; i < queued.size(); ++i) {
    const CommandRow& row = CommandRows()[static_cast<size_t>(queued.row(i))];
    if ((row.command->flags & kLoading) == 0) return true;
  }
  return false;
}

// Whether CLIENT PAUSE holds the command back.
bool IsPaused(const Call& call, const Command& command) {
  switch (call.service.Paused()) {
    case Pause::Of::kNothing:
      return false;
    case Pause::Of::kWrites:
      return MayWrite(call.session, command) ||
             (command.flags & kReachesOthers) != 0;
    case Pause::Of::kAll:
      return (command.flags & kLoading) == 0 ||
             (command.handler == HandleExec && QueuesPaused(call.session));
  }
  return false;
}

enum class Admission {
  kRun,
  kRejected,
  kQueued,  // For EXEC.
  kWaits,   // Behind others.
  kWaitsForBatch,
};

struct Admitted {
  Admission admission;
  const CommandRow* row = nullptr;  // Null if the words name none.
};

// The row of a client's last command, null if there was none: clients often
// send the same command again and again.
const CommandRow* LastRow(const Session& session) {
  if (session.last_row == Session::kNoRow) return nullptr;
  return &CommandRows()[static_cast<size_t>(session.last_row)];
}

// Looks the words up and checks them.
Admitted Check(Call& call) {
  const CommandRow* last = LastRow(call.session);
  const Command* container =
      last != nullptr && IsWord(call.args[0], last->container->name)
          ? last->container
          : FindCommand(call.args[0]);
  if (container == nullptr) {
    if (IsHttp(call.args[0])) {
      // If not, it comes again behind what is not certain yet.
      if (call.session.unsettled == 0) EndHttp(call);
    } else {
      UnknownCommand(call);
    }
    return {Admission::kRejected};
  }
  if (!WordsFit(call)) return {Admission::kRejected};
  const Command* blamed = nullptr;
  const Command* command = Resolve(call, *container, &blamed);
  if (command == nullptr) {
    if (blamed == nullptr) return {Admission::kRejected};
    return {Admission::kRejected, &RowOf(*container, *blamed)};
  }
  const CommandRow* row = last != nullptr && last->command == command
                              ? last
                              : &RowOf(*container, *command);
  if (!KeysFit(call, *command)) return {Admission::kRejected, row};
  if (call.op == nullptr && (command->flags & kLoading) == 0) {
    StillLoading(call);
    return {Admission::kRejected, row};
  }
  return {Admission::kRun, row};
}

// In version 2 of the protocol nothing tells a message from a reply.
bool IsForbidden(Call& call, const CommandRow& row) {
  if (call.session.protocol > kRespProtocolMin ||
      (row.command->flags & kWhileSubscribed) != 0 ||
      !call.session.is_subscribed()) {
    return false;
  }
  call.reply.Error(fmt::format(
      "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / "
      "QUIT / RESET are allowed in this context",
      LowerName(row)));
  return true;
}

// Into the open batch of a store that has such.
Admission AdmitToBatch(Call& call, const Command& command) {
  Batches& batches = *call.service.batches;
  const bool runs_in_batch = RunsInBatch(command);
  // What it does beyond the store is not taken back.
  if (call.session.unsettled > 0 &&
      (!runs_in_batch || (command.flags & kOfSession) != 0)) {
    return Admission::kWaitsForBatch;
  }
  if (!runs_in_batch) return Admission::kRun;
  // What a plain write has seen is a condition of its change.
  const bool reads = call.session.reads_fresh ||
                     command.access != Access::kWrite ||
                     command.group == CommandGroup::kScripting;
  switch (batches.Admit(reads, &call.session.read_stamp)) {
    case Batches::Admission::kRun:
      return Admission::kRun;
    case Batches::Admission::kWait:
      return Admission::kWaitsForBatch;
    case Batches::Admission::kRefuse:
      call.session.reads_fresh = false;
      call.reply.Error(batches.refusal());
      return Admission::kRejected;
  }
  return Admission::kRun;
}

Admitted Admit(Call& call, bool queue_writers) {
  Admitted admitted = Check(call);
  if (admitted.admission != Admission::kRun) return admitted;
  const Command& command = *admitted.row->command;
  if (call.session.subscriptions != nullptr &&
      IsForbidden(call, *admitted.row)) {
    admitted.admission = Admission::kRejected;
    return admitted;
  }
  if (call.session.queued != nullptr && !RunsAtOnce(command)) {
    admitted.admission = Admission::kQueued;
  } else if (queue_writers && MayWrite(call.session, command)) {
    admitted.admission = Admission::kWaits;
  } else if (call.service.pause.of != Pause::Of::kNothing &&
             IsPaused(call, command)) {
    const Pause& pause = call.service.pause;
    call.service.look_again_in(pause.end_ms - call.service.NowMs());
    admitted.admission = Admission::kWaits;
  } else if (call.service.batches != nullptr) {
    admitted.admission = AdmitToBatch(call, command);
  }
  return admitted;
}

// Null if the words name no command.
CommandStats* StatsOf(ServerState& service, const Session& session,
                      const CommandRow* row) {
  if (row == nullptr) return nullptr;
  if (row->number == session.last_row) return session.last_stats;
  return &service.command_stats.Of(row->number);
}

// Runs a handler as a part of the store's open batch. What it is to wait for,
// or why it cannot be done; nothing of it is left then.
Room RunInBatch(Call& call, const Command& command, ColdValues& cold,
                bool* in_batch) {
  Batches& batches = *call.service.batches;
  Session& session = call.session;
  session.ended = {};
  session.undo = {};
  session.effects.clear();
  // Of what runs in batches nothing else changes these.
  if (command.handler == HandleExec) {
    session.undo.settings = std::make_unique<SessionSettings>(session);
  }
  batches.BeginCommand();
  session.keeps_ended = true;
  command.handler(call);
  session.keeps_ended = false;
  const bool ran =
      RefusalOf(call, cold).empty() &&
      (call.op == nullptr || call.op->waits_for() == WaitsFor::kNothing);
  const Seq seen =
      call.op == nullptr ? 0 : std::max(call.op->seen(), call.shows);
  const auto verdict = batches.EndCommand(ran, session.unsettled > 0, seen);
  *in_batch = verdict.belongs_to_batch;
  session.reads_fresh = verdict.reads;
  // So that it is asked at once how far the others are.
  if (verdict.reads) batches.Admit(/*reads=*/true, &session.read_stamp);
  if (!ran || verdict.room != Room::kReady) {
    session.PutBack(std::exchange(session.undo, {}));
    session.effects.clear();
    // It runs again.
    if (verdict.room == Room::kWait || session.unsettled > 0) {
      session.Restore(std::exchange(session.ended, {}));
    }
  } else if (*in_batch) {
    ++session.unsettled;
  } else {
    session.undo = {};
    for (const auto& effect : std::exchange(session.effects, {})) effect();
  }
  return verdict.room;
}

// How things were before a handler ran: where its reply begins, and what is
// counted while it runs.
struct Before {
  size_t reply;
  uint64_t hits;
  uint64_t misses;
  Timing timing;
  int64_t ns;
};

Before NoteBefore(const Call& call, const CommandRow& row,
                  const CommandStats& stats) {
  ServerState& service = call.service;
  const Timing timing = TimingOf(call, row, stats);
  return {.reply = call.reply.out()->size(),
          .hits = service.stats.keyspace_hits,
          .misses = service.stats.keyspace_misses,
          .timing = timing,
          .ns = timing == Timing::kNone ? service.clock_read_ns
                                        : service.ReadClock()};
}

// As if it had not run: it will run again.
WaitsFor PutOff(Call& call, const Before& before, WaitsFor waits_for) {
  DropReply(call, before.reply);
  call.service.stats.keyspace_hits = before.hits;
  call.service.stats.keyspace_misses = before.misses;
  return waits_for;
}

// Puts an error in place of what the handler has replied.
void Refuse(Call& call, const Command& command, const Before& before, Room room,
            const std::string& refusal) {
  DropReply(call, before.reply);
  const bool aborts = room != Room::kReady && command.handler == HandleExec;
  ReplyWriter(call.reply.out(), call.session.protocol)
      .Error(aborts ? AbortText(refusal) : refusal);
}

void CountCall(Call& call, const Command& command, CommandStats& stats,
               const Before& before) {
  ++call.service.stats.commands;
  ++call.session.commands;
  ++stats.calls;
  const size_t bytes = call.reply.out()->size() - before.reply +
                       (call.op != nullptr ? call.op->changed_bytes() : 0);
  if (before.timing == Timing::kNone && bytes < kManyBytes) {
    stats.Untimed();
  } else {
    CountTime(call, command, stats, before.timing, before.ns);
  }
}

// The same of a call that runs in a batch, once it is certain.
void CountWhenCertain(Call& call, const Command& command, CommandStats& stats,
                      const Before& before) {
  ServerState& service = call.service;
  const int64_t ns = service.ReadClock() - before.ns;
  const uint64_t more_hits =
      std::exchange(service.stats.keyspace_hits, before.hits) - before.hits;
  const uint64_t more_misses =
      std::exchange(service.stats.keyspace_misses, before.misses) -
      before.misses;
  call.session.effects.push_back(
      [&service, &stats, timing = before.timing, ns, more_hits, more_misses] {
        ++service.stats.commands;
        service.stats.keyspace_hits += more_hits;
        service.stats.keyspace_misses += more_misses;
        ++stats.calls;
        AddTime(stats, timing, ns);
      });
  if (before.timing == Timing::kNone || !IsSlow(service, command, ns)) return;
  call.session.effects.push_back([&service, entry = SlowEntry(call, ns)] {
    service.slow_log.Add(entry, 0);
  });
}

// Runs the handler of `row`, and counts the call unless it has to wait.
WaitsFor Run(Call& call, const CommandRow& row, CommandStats* stats,
             ColdValues& cold, bool* in_batch) {
  ServerState& service = call.service;
  Session& session = call.session;
  const Command& command = *row.command;
  session.last_row = row.number;
  session.last_stats = stats;
  const Before before = NoteBefore(call, row, *stats);
  Room room = Room::kReady;
  if (service.batches != nullptr && RunsInBatch(command)) {
    room = RunInBatch(call, command, cold, in_batch);
  } else {
    command.handler(call);
  }
  std::string refusal;
  if (room != Room::kReady) {
    refusal = NoRoomText(room, *service.store);
  } else if (IsRefused(call, cold)) {
    refusal = RefusalOf(call, cold);
  }
  // Behind what is not certain yet an error waits, too.
  if (room == Room::kWait || (!refusal.empty() && session.unsettled > 0)) {
    session.listing.reset();
    return PutOff(call, before, WaitsFor::kNews);
  }
  if (!refusal.empty()) {
    Refuse(call, command, before, room, refusal);
  } else if (call.op != nullptr && call.op->waits_for() != WaitsFor::kNothing) {
    return PutOff(call, before, call.op->waits_for());
  }
  session.listing.reset();
  if (!cold.empty()) {
    GiveOwner(call.lent, before.reply, call.op->KeepValues());
  }
  if (*in_batch) {
    CountWhenCertain(call, command, *stats, before);
  } else {
    CountCall(call, command, *stats, before);
  }
  return WaitsFor::kNothing;
}

// A command that does not run now: it is refused, or kept for EXEC.
void DoNotRun(Call& call, const Admitted& admitted, size_t start) {
  if (admitted.admission == Admission::kQueued) {
    return Queue(call, *admitted.row);
  }
  ++call.service.stats.commands;
  ++call.session.commands;
  SpoilTransaction(call, admitted.row, start);
}

}  // namespace

std::string MonitorLine(const Call& call, const Command& command, By by) {
  const bool may_hide = (command.flags & kNoAuth) != 0;
  const int64_t now_us = call.service.clock.WallMs() * 1000;
  std::string line = fmt::format(
      "+{}.{:06} [{} {}]", now_us / 1'000'000, now_us % 1'000'000,
      call.session.database,
      by == By::kScript ? "lua" : "unix:" + call.service.socket_path);
  // Of HELLO user and password are secret, of AUTH all there is.
  const size_t secret_words = command.name == "HELLO" ? 2 : call.args.size();
  size_t hidden = 0;
  // No monitor is shown a longer one.
  const uint64_t limit = call.service.config.limits.output_bytes;
  for (const std::string_view word : call.args) {
    if (line.size() > limit) break;
    line +=
        hidden > 0 ? " \"(redacted)\"" : " " + Escaped(word.substr(0, limit));
    if (hidden > 0) --hidden;
    if (may_hide && IsWord(word, "AUTH")) hidden = secret_words;
  }
  return line + "\r\n";
}

void ShowMonitors(Call& call, const Command& command, By by, Seq seen) {
  if (command.access == Access::kAdmin || call.shown) return;
  // The text is made at once, even if it may never be certain: the words of a
  // script's command are gone by then, and to copy them costs as much.
  call.WhenCertain(
      [&service = call.service, line = MonitorLine(call, command, by), seen] {
        if (service.monitor != nullptr) service.monitor(line, seen);
      });
}

const CommandRow* FindRow(Call& call) {
  const Admitted admitted = Check(call);
  return admitted.admission == Admission::kRun ? admitted.row : nullptr;
}

Executed Execute(ServerState& service, Session& session,
                 std::span<const std::string_view> args, bool queue_writers,
                 ColdValues* cold, std::string* out,
                 std::vector<LentValue>* lent, HashedKey hashed) {
  const size_t start = out->size();
  ReplyWriter reply(out, session.protocol, service.config.limits.output_bytes);
  std::optional<Operation> op;
  if (service.store != nullptr) {
    op.emplace(*service.store, session.database, cold, &reply.overflowed(),
               hashed);
  }
  Call call{op ? &*op : nullptr, args, reply, session, service};
  call.lent = lent;
  call.cold = cold;

  const Admitted admitted = Admit(call, queue_writers);
  if (admitted.admission == Admission::kWaits) return {WaitsFor::kRoom};
  if (admitted.admission == Admission::kWaitsForBatch) return {WaitsFor::kNews};
  if (admitted.admission == Admission::kRejected && session.unsettled > 0) {
    DropReply(call, start);
    return {WaitsFor::kNews};
  }
  BeginReply(session);
  const bool runs = admitted.admission == Admission::kRun;
  CommandStats* stats = StatsOf(service, session, admitted.row);
  bool in_batch = false;
  if (runs) {
    const WaitsFor waits_for =
        Run(call, *admitted.row, stats, *cold, &in_batch);
    if (waits_for != WaitsFor::kNothing) {
      PutOffReply(session);
      return {waits_for};
    }
  } else {
    DoNotRun(call, admitted, start);
  }

  if (out->size() > start && (*out)[start] == '-') {
    const std::string_view text = std::string_view(*out).substr(start + 1);
    if (in_batch) {
      session.effects.push_back(
          [&service, stats,
           code = std::string(text.substr(0, text.find(' ')))] {
            CountError(service, code);
            ++stats->failed;
          });
    } else {
      CountError(service, text);
      if (stats != nullptr) ++(runs ? stats->failed : stats->rejected);
    }
  }
  if (!TakesReply(session) &&
      !(runs && (admitted.row->command->flags & kAnswersAlways) != 0)) {
    DropReply(call, start);
  }
  const Seq seen = op ? std::max(op->seen(), call.shows) : 0;
  session.newest_seen = std::max(session.newest_seen, seen);
  if (service.monitor != nullptr && runs) {
    ShowMonitors(call, *admitted.row->command, By::kClient, seen);
  }
  // EXEC's reply is the one that took its time.
  if (admitted.admission == Admission::kQueued) stats = nullptr;
  return {WaitsFor::kNothing, seen, stats, in_batch};
}

}  // namespace kvd
