// SPDX-License-Identifier: MIT
#include "daemon/loop/open_batch.h"

#include <utility>

#include "daemon/commands/counting.h"
#include "resp/reply_writer.h"
#include "store/batches.h"

namespace kvd {
namespace {

// Of each number from kProvisionalSeq on.
constexpr size_t kProvisionalDigits = 19;

}  // namespace

void OpenBatch::Add(Connection& connection, std::string reply,
                    const Executed& executed) {
  Session& session = connection.session();
  BatchedCommands& batched = connection.batched();
  if (!batched.awaits()) connections_.push_back(&connection);
  const int64_t waits_since_ns = std::exchange(connection.in.waits_since_ns, 0);
  batched.Add({.words = KeptWords(connection.args()),
               .ended = std::exchange(session.ended, {}),
               .undo = std::exchange(session.undo, {}),
               .reply = std::move(reply),
               .revisions = session.provisional_revisions,
               .stats = executed.stats,
               .began_ns = waits_since_ns != 0 ? waits_since_ns
                                               : reply_times_.turn_began_ns()});
  for (auto& effect : std::exchange(session.effects, {})) {
    AddEffect(std::move(effect));
  }
}

std::vector<Connection*> OpenBatch::TakeConnections() {
  EraseClosed();
  return std::exchange(connections_, {});
}

std::vector<OpenBatch::Effect> OpenBatch::TakeEffects() {
  std::vector<Effect> effects = std::exchange(effects_, {});
  // The next batch is likely to have as many.
  effects_.reserve(effects.size());
  return effects;
}

void OpenBatch::Answer(Connection& connection, const std::string* error) {
  Session& session = connection.session();
  session.unsettled = 0;
  std::vector<BatchedCommands::Command> commands = connection.batched().Take();
  if (error != nullptr) {
    // What CLIENT REPLY says is not a part of it.
    const auto reply_mode = session.reply_mode;
    for (auto it = commands.rbegin(); it != commands.rend(); ++it) {
      session.PutBack(std::move(it->undo));
    }
    session.reply_mode = reply_mode;
  }
  for (const BatchedCommands::Command& command : commands) {
    ++session.commands;
    if (error != nullptr) {
      AnswerError(connection, command, *error);
    } else {
      AppendReply(command, connection.replies().buffer());
    }
    connection.replies().Commit(0, false);
    if (command.stats != nullptr) {
      reply_times_.ReadyAfter(*command.stats, command.began_ns);
    }
  }
}

void OpenBatch::AnswerError(Connection& connection,
                            const BatchedCommands::Command& command,
                            const std::string& error) {
  ++service_.stats.commands;
  CountError(service_, error);
  if (command.stats != nullptr) {
    ++command.stats->calls;
    ++command.stats->failed;
    command.stats->Untimed();
  }
  if (command.is_silent()) return;
  ReplyWriter(connection.replies().buffer(), connection.session().protocol)
      .Error(error);
}

void OpenBatch::AppendReply(const BatchedCommands::Command& command,
                            std::string* out) {
  size_t from = 0;
  for (const size_t at : command.revisions) {
    out->append(command.reply, from, at - from);
    out->append(std::to_string(service_.batches->RevisionOf(kProvisionalSeq)));
    from = at + kProvisionalDigits;
  }
  out->append(command.reply, from);
}

void OpenBatch::EraseClosed() {
  std::erase_if(connections_, [](const Connection* c) { return c->closed(); });
}

}  // namespace kvd
