// SPDX-License-Identifier: MIT
//
// Commands about the daemon as a whole.
#include <sys/time.h>

#include <chrono>
#include <cstdint>
#include <string_view>
#include <thread>

#include "daemon/commands/handlers.h"
#include "daemon/commands/server/info.h"
#include "daemon/commands/support.h"
#include "daemon/commands/text.h"

namespace kvd {
namespace {

// What DEBUG SLEEP takes at the most: all clients wait, and so does the
// service manager for a sign of life.
constexpr double kSleepSecondsMax = 10;

// What a command that waits for the disk is told.
enum class Await { kWaits, kDurable, kGaveUp };

// Waits until all that was changed before the command is on disk, for
// `timeout_ms` at the most, or for as long as it takes if that is 0. In a
// transaction it does not wait.
Await AwaitDurable(Call& call, int64_t timeout_ms) {
  Store& store = *call.service.store;
  Session& session = call.session;
  const int64_t now_ms = call.service.NowMs();
  const bool is_first_try = session.awaited_seq == 0;
  const Seq seq = is_first_try ? store.last_seq() : session.awaited_seq;
  const auto end = [&](Await how) {
    session.awaited_seq = 0;
    return how;
  };
  if (store.durable_seq() >= seq) return end(Await::kDurable);
  if (call.effects != nullptr) return end(Await::kGaveUp);
  if (is_first_try) {
    session.awaited_seq = seq;
    session.unblocked = Session::Unblocked::kNo;
    session.waits_until_ms = timeout_ms == 0 || timeout_ms > INT64_MAX - now_ms
                                 ? INT64_MAX
                                 : now_ms + timeout_ms;
    store.WantDurable();
  }
  if (session.unblocked != Session::Unblocked::kNo || store.failure() ||
      now_ms >= session.waits_until_ms) {
    return end(Await::kGaveUp);
  }
  if (session.waits_until_ms != INT64_MAX) {
    call.service.look_again_in(session.waits_until_ms - now_ms);
  }
  call.op->WaitFor(WaitsFor::kNews);
  return Await::kWaits;
}

// Redis's names for how a value is kept; here they say what it looks like.
std::string_view EncodingOf(std::string_view value) {
  constexpr size_t kEmbeddedBytesMax = 44;
  if (ParseInteger(value)) return "int";
  return value.size() <= kEmbeddedBytesMax ? "embstr" : "raw";
}

void DebugSleep(Call& call) {
  const auto seconds = ParseFloat(call.args[2]);
  if (!seconds || *seconds < 0 || *seconds > kSleepSecondsMax) {
    return call.reply.Error(fmt::format(
        "ERR DEBUG SLEEP takes 0 to {} seconds: all clients wait meanwhile",
        kSleepSecondsMax));
  }
  std::this_thread::sleep_for(
      std::chrono::duration<double>(static_cast<double>(*seconds)));
  call.reply.Ok();
}

void DebugSetActiveExpire(Call& call) {
  const bool removes = call.args[2] != "0";
  call.WhenCertain([&service = call.service, removes] {
    service.removes_expired = removes;
    service.pause_changed();
  });
  call.reply.Ok();
}

void DebugObject(Call& call) {
  if (call.op == nullptr) return call.reply.Error("LOADING no data yet");
  const Entry* entry = call.op->Find(call.args[2]);
  if (entry == nullptr) return call.reply.Error("ERR no such key");
  call.reply.SimpleString(fmt::format(
      "Value at:{} refcount:1 encoding:{} serializedlength:{} lru:0 "
      "lru_seconds_idle:0",
      static_cast<const void*>(entry), EncodingOf(call.op->Value(*entry)),
      entry->value_size()));
}

// Everything is in the log already; it is read anew at a start alone.
void DebugReload(Call& call) {
  if (call.service.store != nullptr) {
    call.shows = call.service.store->last_seq();
  }
  call.reply.Ok();
}

// Replies of which some have no other command.
void Raw(Call& call, std::string_view text) {
  if (call.reply.Claim(text.size())) call.reply.out()->append(text);
}

void ReplyBoolean(Call& call, bool value) {
  if (call.reply.protocol() >= kRespProtocolMax) {
    return Raw(call, value ? "#t\r\n" : "#f\r\n");
  }
  call.reply.Integer(value ? 1 : 0);
}

// What follows a header of the last version of the protocol. False after an
// error reply to others.
bool BeginOutOfBand(Call& call, std::string_view header) {
  if (call.reply.protocol() < kRespProtocolMax) {
    call.reply.Error("ERR RESP2 is not supported by this command");
    return false;
  }
  Raw(call, header);
  return true;
}

void ReplyNumbers(Call& call) {
  for (int i = 0; i < 3; ++i) call.reply.Integer(i);
}

void DebugProtocolOutOfBand(Call& call, std::string_view type) {
  if (IsWord(type, "ATTRIB")) {
    if (call.reply.protocol() == kRespProtocolMax) {
      Raw(call, "|1\r\n");
      call.reply.Bulk("key-popularity");
      call.reply.ArrayHeader(2);
      call.reply.Bulk("key:123");
      call.reply.Integer(90);
    }
    return call.reply.Bulk("Some real reply following the attribute");
  }
  if (IsWord(type, "PUSH")) {
    if (!BeginOutOfBand(call, ">2\r\n")) return;
    call.reply.Bulk("server-cpu-usage");
    call.reply.Integer(42);
    return call.reply.Bulk("Some real reply following the push reply");
  }
  call.reply.Error(
      "ERR Wrong protocol type name. Please use one of the following: "
      "string|integer|double|null|array|set|map|attrib|push|verbatim|true|"
      "false");
}

// Source of the replies: Redis.
void DebugProtocol(Call& call) {
  ReplyWriter& reply = call.reply;
  const std::string_view type = call.args[2];
  if (IsWord(type, "STRING")) return reply.Bulk("Hello World");
  if (IsWord(type, "INTEGER")) return reply.Integer(12345);
  if (IsWord(type, "DOUBLE")) return reply.Double(3.141);
  if (IsWord(type, "NULL")) return reply.Null();
  if (IsWord(type, "TRUE")) return ReplyBoolean(call, true);
  if (IsWord(type, "FALSE")) return ReplyBoolean(call, false);
  if (IsWord(type, "VERBATIM")) {
    return reply.VerbatimText("This is a verbatim\nstring");
  }
  if (IsWord(type, "BIGNUM")) {
    constexpr std::string_view kNumber =
        "1234567999999999999999999999999999999";
    if (reply.protocol() < kRespProtocolMax) return reply.Bulk(kNumber);
    return Raw(call, fmt::format("({}\r\n", kNumber));
  }
  if (IsWord(type, "ARRAY")) {
    reply.ArrayHeader(3);
    return ReplyNumbers(call);
  }
  if (IsWord(type, "SET")) {
    reply.SetHeader(3);
    return ReplyNumbers(call);
  }
  if (IsWord(type, "MAP")) {
    reply.MapHeader(3);
    for (int i = 0; i < 3; ++i) {
      reply.Integer(i);
      ReplyBoolean(call, i == 1);
    }
    return;
  }
  DebugProtocolOutOfBand(call, type);
}

void DebugHelp(Call& call) {
  constexpr std::string_view kLines[] = {
      "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "OBJECT <key>",
      "    Show what is known of a key.",
      "PROTOCOL <type>",
      "    Reply with a test value of that type.",
      "RELOAD",
      "    Answer when everything is on disk; it is not read again.",
      "SET-ACTIVE-EXPIRE (0|1)",
      "    Leave expired keys until somebody looks them up, or do not.",
      "SLEEP <seconds>",
      "    Do nothing for so long; all clients wait.",
      "HELP",
      "    Print this help.",
  };
  ReplyLines(call, kLines);
}

}  // namespace

void HandleInfo(Call& call) {
  call.reply.VerbatimText(InfoText(call.service, call.args.subspan(1)));
}

void HandleTime(Call& call) {
  timeval now = {};
  gettimeofday(&now, nullptr);
  call.reply.ArrayHeader(2);
  call.reply.BulkInteger(now.tv_sec);
  call.reply.BulkInteger(now.tv_usec);
}

void HandleShutdown(Call& call) {
  bool save = false;
  bool no_save = false;
  bool hurries = false;
  bool abort = false;
  for (const std::string_view word : call.args.subspan(1)) {
    if (IsWord(word, "SAVE")) {
      save = true;
    } else if (IsWord(word, "NOSAVE")) {
      no_save = true;
    } else if (IsWord(word, "NOW") || IsWord(word, "FORCE")) {
      hurries = true;
    } else if (IsWord(word, "ABORT")) {
      abort = true;
    } else {
      return call.reply.Error(kSyntaxError);
    }
  }
  // Everything is saved already, so SAVE and NOSAVE ask for the same; but who
  // says both has not decided.
  if ((save && no_save) || (abort && (save || no_save || hurries))) {
    return call.reply.Error(kSyntaxError);
  }
  if (abort) return call.reply.Error("ERR No shutdown in progress.");
  // No reply: the closed connection is the answer that clients expect.
  call.session.closing = true;
  call.service.stop();
}

// Whoever may debug may halt all clients, so a setting must allow it.
void HandleDebug(Call& call) {
  if (!call.service.config.debug.commands) {
    return call.reply.Error(
        "ERR DEBUG command not allowed. To allow it, set commands = true in "
        "[debug] of kvd.toml and restart kvd");
  }
  struct Subcommand {
    std::string_view name;
    size_t words;
    Handler handler;
  };
  constexpr Subcommand kSubcommands[] = {
      {"HELP", 2, DebugHelp},
      {"OBJECT", 3, DebugObject},
      {"PROTOCOL", 3, DebugProtocol},
      {"RELOAD", 2, DebugReload},
      {"RELOAD", 3, DebugReload},
      {"SET-ACTIVE-EXPIRE", 3, DebugSetActiveExpire},
      {"SLEEP", 3, DebugSleep}};
  for (const Subcommand& subcommand : kSubcommands) {
    if (IsWord(call.args[1], subcommand.name) &&
        call.args.size() == subcommand.words) {
      return subcommand.handler(call);
    }
  }
  call.reply.Error(
      fmt::format("ERR unknown subcommand or wrong number of arguments for "
                  "'{}'. Try DEBUG HELP.",
                  Quoted(call.args[1])));
}

// A power cut now would lose nothing older.
void HandleLastSave(Call& call) {
  call.reply.Integer(AllDurableSince(call.service));
}

void HandleSave(Call& call) {
  const Await how = AwaitDurable(call, 0);
  if (how == Await::kWaits || AnswersUnblocked(call)) return;
  if (how == Await::kGaveUp) {
    return call.reply.Error("ERR not everything is on disk yet");
  }
  call.shows = call.service.store->last_seq();
  call.reply.Ok();
}

// Source of the replies: Valkey.
void HandleBgSave(Call& call) {
  if (call.args.size() == 2 && IsWord(call.args[1], "CANCEL")) {
    return call.reply.Error(
        "ERR Background saving is currently not in progress or scheduled");
  }
  if (call.args.size() > 1 && !IsWord(call.args[1], "SCHEDULE")) {
    return call.reply.Error(kSyntaxError);
  }
  call.reply.SimpleString("Background saving started");
}

void HandleRole(Call& call) {
  call.reply.ArrayHeader(3);
  call.reply.Bulk("master");
  call.reply.Integer(0);
  call.reply.ArrayHeader(0);
}

// There are no replicas, and there never will be: it does not wait for them.
void HandleWait(Call& call) {
  if (!IntegerWord(call, 1) || !TimeoutWord(call, 2)) return;
  call.reply.Integer(0);
}

void HandleWaitAof(Call& call) {
  const auto local = IntegerWord(call, 1);
  if (!local) return;
  if (*local < 0 || *local > 1) {
    return call.reply.Error(
        "ERR value is out of range, value must between 0 and 1");
  }
  const auto replicas = IntegerWord(call, 2);
  if (!replicas) return;
  if (*replicas < 0) {
    return call.reply.Error("ERR value is out of range, must be positive");
  }
  const auto timeout_ms = TimeoutWord(call, 3);
  if (!timeout_ms) return;
  const Await how = *local == 0 && call.session.awaited_seq == 0
                        ? Await::kGaveUp
                        : AwaitDurable(call, *timeout_ms);
  if (how == Await::kWaits) return;
  if (AnswersUnblocked(call)) return;
  const Store& store = *call.service.store;
  const bool durable = store.durable_seq() >= store.last_seq();
  call.reply.ArrayHeader(2);
  call.reply.Integer(how == Await::kDurable || durable ? 1 : 0);
  call.reply.Integer(0);
}

void HandleMonitor(Call& call) {
  call.WhenCertain([&service = call.service, id = call.session.id] {
    service.set_monitor(id, true);
  });
  call.reply.Ok();
}

void HandleFunctionFlush(Call& call) {
  if (call.args.size() == 3 && !IsWord(call.args[2], "SYNC") &&
      !IsWord(call.args[2], "ASYNC")) {
    return call.reply.Error(
        "ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
  }
  call.reply.Ok();
}

void HandleFunctionHelp(Call& call) {
  constexpr std::string_view kLines[] = {
      "FUNCTION <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "FLUSH [ASYNC|SYNC]",
      "    Accepted; kvd has no functions.",
      "HELP",
      "    Print this help.",
  };
  ReplyLines(call, kLines);
}

// Source of the replies: Redis.
void HandleBgRewriteAof(Call& call) {
  if (!HasLog(call)) return;
  Store& store = *call.service.store;
  const bool runs = store.compaction().running;
  call.WhenCertain([&store] { store.Compact(); });
  call.reply.SimpleString(
      runs ? "Background append only file rewriting scheduled"
           : "Background append only file rewriting started");
}

void HandleCluster(Call& call) {
  call.reply.Error("ERR This instance has cluster support disabled");
}

}  // namespace kvd
