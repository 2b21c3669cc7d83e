// SPDX-License-Identifier: MIT
//
// What all clients' commands in the store's open batch (store/batches.h) leave
// to be done once it is certain what becomes of them.
//
// In a batch run those that are a matter of keys alone (RunsInBatch()). Their
// replies are kept, and all that they do beyond the store: what EXEC and
// scripts leave to Call::WhenCertain(), lines for MONITOR, counters. If the
// batch stands it all happens, in the order in which they ran; if not, none
// of it, sessions are put back, and they run again in the order in which they
// came. Every other command waits until its connection's earlier ones are
// certain.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "daemon/commands/dispatch.h"
#include "daemon/loop/connection.h"
#include "daemon/loop/reply_times.h"
#include "daemon/state/server_state.h"

namespace kvd {

// Borrows connections as Turn does. Thread: loop.
class OpenBatch {
 public:
  struct Effect {
    size_t events;  // Of keys that there were by then, told or not.
    std::function<void()> run;
  };

  // References outlive it.
  OpenBatch(ServerState& service, ReplyTimes& reply_times)
      : service_(service), reply_times_(reply_times) {}

  bool empty() const { return connections_.empty(); }

  // The connection's command under way has run as a part of it.
  void Add(Connection& connection, std::string reply, const Executed& executed);
  // The same of an effect that the command has beside those in its session.
  void AddEffect(std::function<void()> run) {
    effects_.push_back({service_.key_events->size(), std::move(run)});
  }

  // It has ended: whose commands were in it, and in the order in which they ran
  // what is to happen if they count. Clients that have gone are not among the
  // former; what they did is among the latter.
  std::vector<Connection*> TakeConnections();
  std::vector<Effect> TakeEffects();
  // Sends a connection the replies to its commands, or if `error` is not null
  // that instead of each: nothing of them has happened.
  void Answer(Connection& connection, const std::string* error);

  // Forgets connections that have closed.
  void EraseClosed();

 private:
  void AnswerError(Connection& connection,
                   const BatchedCommands::Command& command,
                   const std::string& error);
  void AppendReply(const BatchedCommands::Command& command, std::string* out);

  ServerState& service_;
  ReplyTimes& reply_times_;
  std::vector<Connection*> connections_;
  std::vector<Effect> effects_;
};

}  // namespace kvd
