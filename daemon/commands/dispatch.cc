// SPDX-License-Identifier: MIT
#include "daemon/commands/dispatch.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <variant>

#include "daemon/commands/admission.h"
#include "daemon/commands/counting.h"
#include "daemon/commands/handlers.h"
#include "daemon/commands/monitoring.h"
#include "daemon/commands/refusals.h"
#include "daemon/commands/transaction.h"
#include "store/batches.h"

namespace kvd {
namespace {

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

// As if it had not run: it will run again.
WaitsFor PutOff(Call& call, const BeforeCall& before, WaitsFor waits_for) {
  DropReply(call, before.reply);
  call.service.stats.keyspace_hits = before.hits;
  call.service.stats.keyspace_misses = before.misses;
  return waits_for;
}

// Puts an error in place of what the handler has replied.
void Refuse(Call& call, const Command& command, const BeforeCall& before,
            Room room, const std::string& refusal) {
  DropReply(call, before.reply);
  const bool aborts = room != Room::kReady && command.handler == HandleExec;
  ReplyWriter(call.reply.out(), call.session.protocol)
      .Error(aborts ? AbortText(refusal) : refusal);
}

// Runs the handler of `row`, and counts the call unless it has to wait.
WaitsFor Run(Call& call, const CommandRow& row, CommandStats* stats,
             ColdValues& cold, bool* in_batch) {
  ServerState& service = call.service;
  Session& session = call.session;
  const Command& command = *row.command;
  session.last_row = row.number;
  session.last_stats = stats;
  const BeforeCall before = NoteBefore(call, row, *stats);
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
