// SPDX-License-Identifier: MIT
#include "daemon/commands/admission.h"

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "base/limits.h"
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

}  // namespace

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

const CommandRow* FindRow(Call& call) {
  const Admitted admitted = Check(call);
  return admitted.admission == Admission::kRun ? admitted.row : nullptr;
}

}  // namespace kvd
