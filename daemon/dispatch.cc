// SPDX-License-Identifier: MIT
#include "daemon/dispatch.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "config/units.h"
#include "daemon/text.h"

namespace kvd {
namespace {

// Of so many calls of a command one is timed: reading the clock twice costs as
// much as a GET.
constexpr uint64_t kTimedEvery = 64;
static_assert((kTimedEvery & (kTimedEvery - 1)) == 0);

// How much of a client's unknown command an error quotes. Source: Redis.
constexpr size_t kQuotedNameBytes = 128;
constexpr size_t kQuotedArgsBytes = 128;

int64_t NowNs() {
  return std::chrono::steady_clock::now().time_since_epoch().count();
}

void UnknownCommand(Call& call) {
  std::string quoted;
  for (size_t i = 1; i < call.args.size() && quoted.size() < kQuotedArgsBytes;
       ++i) {
    const size_t room = kQuotedArgsBytes - quoted.size();
    quoted += fmt::format("'{}' ", call.args[i].substr(0, room));
  }
  call.reply.Error(
      fmt::format("ERR unknown command '{}', with args beginning with: {}",
                  call.args[0].substr(0, kQuotedNameBytes), quoted));
}

void StillLoading(Call& call) {
  const Service& service = call.service;
  call.reply.Error(fmt::format("LOADING kvd is loading the data; {}",
                               service.loading.Text(service.NowMs())));
}

bool RightNumberOfWords(const Command& command, size_t words) {
  return words >= static_cast<size_t>(command.words_min) &&
         words <= static_cast<size_t>(command.words_max);
}

// The row that handles these words: the command's own or its subcommand's.
// Null after an error reply.
const Command* Resolve(Call& call, const Command& command) {
  if (command.subcommands.empty()) {
    if (RightNumberOfWords(command, call.args.size())) return &command;
    call.reply.Error(fmt::format(
        "ERR wrong number of arguments for '{}' command", LowerName(command)));
    return nullptr;
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
                                 call.args[1].substr(0, kQuotedNameBytes),
                                 command.name));
    return nullptr;
  }
  if (!RightNumberOfWords(*subcommand, call.args.size())) {
    call.reply.Error(
        fmt::format("ERR wrong number of arguments for '{}|{}' command",
                    LowerName(command), LowerName(*subcommand)));
    return nullptr;
  }
  return subcommand;
}

bool KeysFit(Call& call, const Command& command) {
  bool fit = true;
  ForEachKey(command, call.args.size(), [&](size_t i) {
    if (call.args[i].size() > kKeyBytesMax) fit = false;
  });
  if (!fit) {
    call.reply.Error(
        fmt::format("ERR key is too long (maximum {} bytes)", kKeyBytesMax));
  }
  return fit;
}

void Run(Call& call, const Command& command, CommandStats& stats) {
  if ((stats.calls++ & (kTimedEvery - 1)) != 0) return command.handler(call);
  const int64_t start = NowNs();
  command.handler(call);
  stats.ns += static_cast<uint64_t>(NowNs() - start) * kTimedEvery;
}

// The answer instead of an effect; kReady and kWait have none.
std::string RefusalOf(Room room, const Store& store) {
  switch (room) {
    case Room::kReady:
    case Room::kWait:
      return {};
    case Room::kDiskFull:
      return "DISKFULL the disk has no room for this write; nothing was "
             "changed. Deleting keys works, and writes resume by themselves "
             "when there is room";
    case Room::kTooLarge:
      return "ERR command is too large for one commit group; nothing was "
             "changed";
    case Room::kMemoryFull:
      // Clients know it by its first words. Source: Redis.
      return fmt::format(
          "OOM command not allowed when used memory > 'memory.limit' (used {}, "
          "limit {}); nothing was changed. Reads, deletes and writes that do "
          "not grow go on",
          FormatSize(store.memory_bytes()),
          FormatSize(store.memory_limit_bytes()));
  }
  return {};
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

// Whether this command's reply goes out, by what CLIENT REPLY asked for before
// or in it.
bool TakesReply(Session& session, Session::ReplyMode before) {
  using Mode = Session::ReplyMode;
  if (session.reply_mode == Mode::kOn) return true;
  // SKIP leaves itself and the next command without a reply.
  if (session.reply_mode == Mode::kSkipNext && before == Mode::kSkipNext) {
    session.reply_mode = Mode::kOn;
  }
  return false;
}

enum class Admission { kRun, kRejected, kQueued };

struct Admitted {
  Admission admission;
  const Command* container;  // Null for an unknown command.
  const Command* command;    // Null unless kRun.
};

// Clients often say the same again and again: `last` is what this one's last
// command was, or null.
const Command* FindContainer(std::string_view name, const Command* last) {
  return last != nullptr && IsWord(name, last->name) ? last : FindCommand(name);
}

Admitted Admit(Call& call, bool queue_writers) {
  const Command* container =
      FindContainer(call.args[0], call.session.last_container);
  if (container == nullptr) {
    UnknownCommand(call);
    return {Admission::kRejected, nullptr, nullptr};
  }
  const Command* command = Resolve(call, *container);
  if (command == nullptr || !KeysFit(call, *command)) {
    return {Admission::kRejected, container, nullptr};
  }
  if (call.op == nullptr && (command->flags & kLoading) == 0) {
    StillLoading(call);
    return {Admission::kRejected, container, nullptr};
  }
  if (queue_writers && command->access == Access::kWrite) {
    return {Admission::kQueued, container, nullptr};
  }
  return {Admission::kRun, container, command};
}

}  // namespace

Executed Execute(Service& service, Session& session,
                 std::span<const std::string_view> args, bool queue_writers,
                 ColdValues* cold, std::string* out) {
  const size_t start = out->size();
  const Session::ReplyMode reply_mode = session.reply_mode;
  std::optional<Operation> op;
  if (service.store != nullptr)
    op.emplace(*service.store, session.database, cold);
  ReplyWriter reply(out, session.protocol);
  Call call{op ? &*op : nullptr, args, reply, session, service};

  const Admitted admitted = Admit(call, queue_writers);
  if (admitted.admission == Admission::kQueued) {
    return {ExecuteOutcome::kParked, 0};
  }
  CommandStats* stats =
      admitted.container == nullptr
          ? nullptr
          : &service.command_stats[IndexOf(*admitted.container)];
  if (admitted.admission == Admission::kRun) {
    session.last_container = admitted.container;
    session.last_command = admitted.command;
    const uint64_t hits = service.stats.keyspace_hits;
    const uint64_t misses = service.stats.keyspace_misses;
    Run(call, *admitted.command, *stats);
    // It is counted and answered when it has been executed.
    const auto again_later = [&](ExecuteOutcome outcome) -> Executed {
      out->resize(start);
      --stats->calls;
      service.stats.keyspace_hits = hits;
      service.stats.keyspace_misses = misses;
      return {outcome, 0};
    };
    if (call.awaits_news) return again_later(ExecuteOutcome::kAwaits);
    if (cold->error()) {
      out->resize(start);
      reply.Error(UnreadableText(*cold->error()));
    } else if (cold->wanted()) {
      return again_later(ExecuteOutcome::kReads);
    } else if (op && op->blocked() != Room::kReady) {
      if (op->blocked() == Room::kWait) {
        return again_later(ExecuteOutcome::kParked);
      }
      out->resize(start);
      reply.Error(RefusalOf(op->blocked(), *service.store));
    }
    if (!cold->empty()) op->KeepValues();
  }

  ++service.stats.commands;
  ++session.commands;
  if (out->size() > start && (*out)[start] == '-') {
    ++service.stats.error_replies;
    if (stats != nullptr) {
      ++(admitted.admission == Admission::kRun ? stats->failed
                                               : stats->rejected);
    }
  }
  if (!TakesReply(session, reply_mode)) out->resize(start);
  return {ExecuteOutcome::kDone, op ? op->seen() : 0};
}

}  // namespace kvd
