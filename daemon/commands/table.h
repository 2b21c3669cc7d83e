// SPDX-License-Identifier: MIT
//
// A command is a row of one table: what it is called, what it may be given,
// what it touches, who handles it, and what its documentation says. The checks
// of its words, the queue of writers, COMMAND and INFO read the same row.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/planted_bug.h"
#include "daemon/state/lent_value.h"
#include "daemon/state/server_state.h"
#include "daemon/state/session.h"
#include "daemon/state/transaction_room.h"
#include "resp/reply_writer.h"
#include "store/operation.h"

namespace kvd {

// One execution of a command, made by Execute() (dispatch.h).
struct Call {
  Operation* op;  // Null while the store loads: then only kLoading runs.
  std::span<const std::string_view> args;  // With the name.
  ReplyWriter& reply;
  Session& session;
  ServerState& service;
  // Where values are put that are not copied into the reply; null: all are.
  std::vector<LentValue>* lent = nullptr;
  // The newest change that the reply shows beside those that `op` saw.
  Seq shows = 0;
  // Effects beyond store and session; null: each happens at once. In a
  // transaction they are kept until it is certain that it happens.
  std::vector<std::function<void()>>* effects = nullptr;
  // In a transaction, what puts back changes of the session that were made at
  // once; null outside.
  std::vector<std::function<void()>>* undoes = nullptr;
  // What was read from disk for the connection's command.
  ColdValues* cold = nullptr;
  // In a transaction what it may take; null outside.
  TransactionRoom* room = nullptr;
  // The store's newest change before it; 0 outside.
  Seq began_after = 0;
  // The reply is for a script, which may make of it whatever it likes.
  bool by_script = false;
  // Monitors are shown the command by its handler.
  bool shown = false;

  bool in_transaction() const { return room != nullptr; }

  // Changes something beyond store and session, once. What it captures by
  // reference or as a view outlives the client's command.
  template <typename Effect>
  void WhenCertain(Effect effect) {
    if (effects == nullptr || IsPlanted(PlantedBug::kEffectBeforeCertain)) {
      return effect();
    }
    effects->push_back(std::move(effect));
  }
};

// Writes one reply. Works in three steps: find and compute, op->Reserve() for
// all changes at once, change. When Reserve() does not say kReady it returns,
// and Execute() drops the reply and parks or refuses the command; hence no
// effect before that. Whoever cannot go on for another reason says so by
// op->WaitFor(), keeps in the session how far it is, and returns.
using Handler = void (*)(Call& call);

enum class Access : uint8_t {
  kNone,   // Touches no key: connection and server commands.
  kRead,   // May look at keys.
  kWrite,  // May change keys.
  kAdmin,  // Concerns the daemon or other clients.
};

// As COMMAND DOCS has it, and the file of the handler.
enum class CommandGroup : uint8_t {
  kString,        // string.cc
  kBitmap,        // bits.cc
  kGeneric,       // Of keys, whatever their values: key.cc.
  kConnection,    // connection.cc, client.cc
  kServer,        // server.cc, command.cc, config.cc, latency.cc, memory.cc
  kTransactions,  // transaction.cc
  kScripting,     // eval.cc
  kPubSub,        // pubsub/subscribe.cc, pubsub/publish.cc
  kKv             // kv.cc and, of KV.LATENCY, latency.cc.
};

// Which words are keys: `first`, `first + step`, … up to `last`, which counts
// from the end when negative. first 0: none. Where `count` is not 0, the word
// there says how many keys there are, and `last` means nothing.
struct KeySpec {
  int8_t first = 0;
  int8_t last = 0;
  int8_t step = 0;
  int8_t count = 0;
};

// Bits beside what Access says, for COMMAND INFO, which names them likewise.
// kLoading, kNoAuth, kNoMulti, kAtOnce and those behind it do more.
enum CommandFlag : uint16_t {
  kFast = 1,             // Constant or logarithmic time.
  kDenyOom = 2,          // May need more memory.
  kLoading = 4,          // Works while the store loads; others are refused.
  kNoAuth = 8,           // May hold a password: its words stay out of SLOWLOG.
  kNoScript = 16,        // Takes part in a connection's state.
  kDangerous = 32,       // For people who know.
  kNoMulti = 64,         // Refused in a transaction.
  kAtOnce = 128,         // Runs at once inside MULTI, and is not kept for EXEC.
  kNoSlowLog = 256,      // Stays out of SLOWLOG, as what it runs is there.
  kReachesOthers = 512,  // Of scripts that only read it is none, and it
                         // pauses with writes.
  kWhileSubscribed = 1024,  // Works in a conversation of version 2 that has
                            // subscriptions; others are refused.
  kAnswersAlways = 2048,    // Its reply is a message: CLIENT REPLY does not
                            // matter.
  kOfSession = 4096,  // Looks at keys and keeps in the session what it saw, so
                      // that it cannot run twice: see RunsInBatch().
};

struct Command {
  std::string_view name;  // Upper case; a subcommand's without its container's.
  int16_t words_min;      // The name included.
  int32_t words_max;
  KeySpec keys;
  Access access;
  CommandGroup group;
  uint16_t flags;
  Handler handler;
  std::string_view since;
  // "O(1)" has a meaning beyond COMMAND DOCS: in pipelines, calls are timed as
  // a sample (CommandRow::brief_words).
  std::string_view complexity;
  std::string_view syntax;   // What follows the name.
  std::string_view summary;  // With a full stop.
  // A container's subcommands, in order of their names; their words include the
  // container's name. The container's own handler then is null.
  std::span<const Command> subcommands = {};
  // How it differs from Valkey's, for COMMANDS.md; with a full stop.
  std::string_view differs = {};

  // As COMMAND INFO has it: negative for "at least".
  int arity() const { return words_max == words_min ? words_min : -words_min; }
};

inline constexpr int32_t kWordsMax = std::numeric_limits<int32_t>::max();
// For commands that do much for each of their words, which are names of things
// of which there are fewer.
inline constexpr int32_t kNamesMax = 256;

// All commands in order of their names.
std::span<const Command> Commands();

// The command of that name in any case, or null.
const Command* FindCommand(std::string_view name);
const Command* FindSubcommand(const Command& container, std::string_view name);

// A command or a subcommand, and where the table has it.
struct CommandRow {
  const Command* container = nullptr;  // The command itself if it has none.
  const Command* command = nullptr;
  int number = 0;          // Its index in CommandRows().
  size_t brief_words = 0;  // Calls with no more are brief (command_stats.h).
};

// All rows in order of their names, each container before its subcommands.
std::span<const CommandRow> CommandRows();
// Whether it runs as a part of a store's open batch (store/batches.h), and
// perhaps once more: its row says that all it does is in the store. What else
// EXEC and scripts do waits until that is certain. Others wait until their
// connection's earlier commands are.
bool RunsInBatch(const Command& command);
// One of them. `command` may be the container itself.
const CommandRow& RowOf(const Command& container, const Command& command);

// Lower case, as replies name commands.
std::string LowerName(const Command& command);
// The same of a row: "get", "config|get".
std::string LowerName(const CommandRow& row);

// How many keys the words of a command with KeySpec::count say there are;
// nothing if they do not say it, or have not so many.
std::optional<size_t> CountedKeys(const KeySpec& keys,
                                  std::span<const std::string_view> words);

// Calls `each` with the index of every word that is a key; with none where the
// words say wrongly how many there are.
template <typename Each>
void ForEachKey(const Command& command, std::span<const std::string_view> words,
                Each each) {
  const KeySpec& keys = command.keys;
  if (keys.first == 0) return;
  const auto count = static_cast<int64_t>(words.size());
  int64_t last = keys.last >= 0 ? keys.last : count + keys.last;
  if (keys.count != 0) {
    const auto counted = CountedKeys(keys, words).value_or(0);
    last = keys.first + (static_cast<int64_t>(counted) - 1) * keys.step;
  }
  for (int64_t i = keys.first; i <= last && i < count; i += keys.step) {
    each(static_cast<size_t>(i));
  }
}

}  // namespace kvd
