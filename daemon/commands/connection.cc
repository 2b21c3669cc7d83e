// SPDX-License-Identifier: MIT
//
// Commands about the connection that they come on, and about other clients.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "daemon/commands/handlers.h"
#include "daemon/commands/support.h"
#include "daemon/commands/text.h"

namespace kvd {
namespace {

constexpr std::string_view kWrongPassword =
    "WRONGPASS invalid username-password pair or user is disabled.";

// Names appear in CLIENT LIST, where spaces separate fields.
bool IsClientName(std::string_view name) {
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return c >= '!' && c <= '~'; });
}

// Whether a client may call itself or its library so; answers an error if not.
// `what` is for that error.
bool IsNameAllowed(Call& call, std::string_view what, std::string_view name) {
  if (name.size() > kClientNameBytesMax) {
    call.reply.Error(fmt::format("ERR {} cannot be longer than {} bytes.", what,
                                 kClientNameBytesMax));
    return false;
  }
  if (!IsClientName(name)) {
    call.reply.Error(fmt::format(
        "ERR {} cannot contain spaces, newlines or special characters.", what));
    return false;
  }
  return true;
}

bool SetName(Call& call, std::string_view name) {
  if (!IsNameAllowed(call, "Client names", name)) return false;
  call.session.name = name;
  return true;
}

// Who may connect is decided by the kernel's word about the peer, so there is
// one user without a password, as Redis has it by default.
bool IsKnownUser(std::string_view user) { return user == "default"; }

// What HELLO asks for, before anything is changed.
struct Hello {
  int protocol;
  std::optional<std::string_view> name;
};

std::optional<Hello> ParseHello(Call& call) {
  Hello hello{call.session.protocol, std::nullopt};
  if (call.args.size() < 2) return hello;
  const auto version = ParseInteger(call.args[1]);
  if (!version) {
    call.reply.Error("ERR Protocol version is not an integer or out of range");
    return std::nullopt;
  }
  if (*version < kRespProtocolMin || *version > kRespProtocolMax) {
    call.reply.Error("NOPROTO unsupported protocol version");
    return std::nullopt;
  }
  hello.protocol = static_cast<int>(*version);
  for (size_t i = 2; i < call.args.size(); ++i) {
    const size_t more = call.args.size() - 1 - i;
    if (IsWord(call.args[i], "AUTH") && more >= 2) {
      if (!IsKnownUser(call.args[i + 1])) {
        call.reply.Error(kWrongPassword);
        return std::nullopt;
      }
      i += 2;
    } else if (IsWord(call.args[i], "SETNAME") && more >= 1) {
      hello.name = call.args[++i];
    } else {
      call.reply.Error(fmt::format("ERR Syntax error in HELLO option '{}'",
                                   Quoted(call.args[i])));
      return std::nullopt;
    }
  }
  return hello;
}

// One line of CLIENT LIST; fields that mean nothing here say so as Redis does.
std::string DescribeSession(const ServerState& service,
                            const Session& session) {
  const int64_t now = service.NowMs();
  const std::string command =
      session.last_row == Session::kNoRow
          ? "NULL"
          : LowerName(CommandRows()[static_cast<size_t>(session.last_row)]);
  return fmt::format(
      "id={} addr={}:0 laddr={}:0 fd={} name={} age={} idle={} flags={}U db={} "
      "sub=0 psub=0 ssub=0 multi={} watch={} qbuf={} qbuf-free=0 argv-mem=0 "
      "multi-mem={} rbs=0 rbp=0 obl=0 oll=0 omem={} tot-mem={} events=r cmd={} "
      "user=default "
      "redir=-1 resp={} lib-name={} lib-ver={} pid={} uid={} tot-cmds={}\n",
      session.id, service.socket_path, service.socket_path, session.fd,
      session.name, (now - session.connected_ms) / 1000,
      (now - session.active_ms) / 1000, session.queued != nullptr ? "x" : "",
      session.database, session.queued_commands(), session.watched_keys(),
      session.input_bytes, session.transaction_bytes(), session.output_bytes,
      session.input_bytes + session.transaction_bytes() + session.output_bytes,
      command, session.protocol, session.library_name, session.library_version,
      session.pid, static_cast<int64_t>(session.uid), session.commands);
}

bool IsClientType(std::string_view word) {
  constexpr std::string_view kTypes[] = {"NORMAL", "MASTER", "REPLICA", "SLAVE",
                                         "PUBSUB"};
  return std::any_of(std::begin(kTypes), std::end(kTypes),
                     [&](std::string_view type) { return IsWord(word, type); });
}

void UnknownClientType(Call& call, std::string_view type) {
  call.reply.Error(fmt::format("ERR Unknown client type '{}'", Quoted(type)));
}

// The lines of the sessions that the words name, each once. False after an
// error reply.
bool DescribeNamed(Call& call, std::span<const std::string_view> words,
                   std::string* text) {
  const std::vector<Session*>& sessions = call.service.sessions;
  std::vector<bool> shown(sessions.size());
  for (const std::string_view word : words) {
    const auto id = ParseUnsigned(word);
    if (!id) {
      call.reply.Error("ERR Invalid client ID");
      return false;
    }
    // The oldest has the least number.
    const auto found =
        std::ranges::lower_bound(sessions, *id, {}, &Session::id);
    if (found == sessions.end() || (*found)->id != *id) continue;
    const auto index = static_cast<size_t>(found - sessions.begin());
    if (shown[index]) continue;
    shown[index] = true;
    *text += DescribeSession(call.service, **found);
  }
  return true;
}

// CLIENT NO-EVICT and NO-TOUCH: nothing is evicted here and reading leaves no
// trace, but clients switch it on.
void HandleSwitch(Call& call, bool* value) {
  if (IsWord(call.args[2], "ON")) {
    *value = true;
  } else if (IsWord(call.args[2], "OFF")) {
    *value = false;
  } else {
    return call.reply.Error(kSyntaxError);
  }
  call.reply.Ok();
}

// What CLIENT KILL looks for; a session must fit all of it.
struct KillFilter {
  std::optional<uint64_t> id;
  std::optional<std::string_view> address;
  bool normal_type = true;
  bool skip_me = true;
};

bool TakeKillFilter(Call& call, size_t index, KillFilter* filter) {
  const std::string_view word = call.args[index];
  const std::string_view value = call.args[index + 1];
  if (IsWord(word, "ID")) {
    const auto id = ParseInteger(value);
    if (!id || *id < 1) {
      call.reply.Error("ERR client-id should be greater than 0");
      return false;
    }
    filter->id = static_cast<uint64_t>(*id);
  } else if (IsWord(word, "ADDR") || IsWord(word, "LADDR")) {
    filter->address = value;
  } else if (IsWord(word, "USER")) {
    if (!IsKnownUser(value)) {
      call.reply.Error(fmt::format("ERR No such user '{}'", Quoted(value)));
      return false;
    }
  } else if (IsWord(word, "TYPE")) {
    if (!IsClientType(value)) {
      UnknownClientType(call, value);
      return false;
    }
    filter->normal_type = IsWord(value, "NORMAL");
  } else if (IsWord(word, "SKIPME") &&
             (IsWord(value, "YES") || IsWord(value, "NO"))) {
    filter->skip_me = IsWord(value, "YES");
  } else {
    call.reply.Error(kSyntaxError);
    return false;
  }
  return true;
}

bool Fits(const KillFilter& filter, const Call& call, const Session& session) {
  if (filter.skip_me && &session == &call.session) return false;
  if (filter.id && *filter.id != session.id) return false;
  if (filter.address && *filter.address != call.service.socket_path + ":0") {
    return false;
  }
  return filter.normal_type;
}

void ReplyLines(Call& call, std::span<const std::string_view> lines) {
  call.reply.ArrayHeader(lines.size());
  for (const std::string_view line : lines) call.reply.SimpleString(line);
}

}  // namespace

void HandlePing(Call& call) {
  if (call.args.size() == 1) return call.reply.SimpleString("PONG");
  call.reply.Bulk(call.args[1]);
}

void HandleEcho(Call& call) { call.reply.Bulk(call.args[1]); }

void HandleQuit(Call& call) {
  call.reply.Ok();
  call.session.closing = true;
}

void HandleReset(Call& call) {
  Session& session = call.session;
  session.database = 0;
  session.protocol = kRespProtocolMin;
  session.reply_mode = Session::ReplyMode::kOn;
  session.no_evict = false;
  session.no_touch = false;
  session.name.clear();
  session.EndTransaction();
  call.reply.SimpleString("RESET");
}

void HandleSelect(Call& call) {
  const auto database = IntegerWord(call, 1);
  if (!database) return;
  if (*database < 0 || *database >= kDatabases) {
    return call.reply.Error("ERR DB index is out of range");
  }
  call.session.database = static_cast<int>(*database);
  call.reply.Ok();
}

void HandleAuth(Call& call) {
  if (call.args.size() == 2) {
    return call.reply.Error(
        "ERR AUTH <password> called without any password configured for the "
        "default user. Are you sure your configuration is correct?");
  }
  if (call.args.size() > 3) return call.reply.Error(kSyntaxError);
  if (!IsKnownUser(call.args[1])) return call.reply.Error(kWrongPassword);
  call.reply.Ok();
}

void HandleHello(Call& call) {
  const auto hello = ParseHello(call);
  if (!hello || (hello->name && !SetName(call, *hello->name))) return;
  call.session.protocol = hello->protocol;

  constexpr size_t kFields = 7;
  ReplyWriter& reply = call.reply;
  reply.set_protocol(hello->protocol);
  reply.MapHeader(kFields);
  reply.Bulk("server");
  reply.Bulk("redis");
  reply.Bulk("version");
  reply.Bulk(kRedisVersion);
  reply.Bulk("proto");
  reply.Integer(hello->protocol);
  reply.Bulk("id");
  reply.Integer(static_cast<int64_t>(call.session.id));
  reply.Bulk("mode");
  reply.Bulk("standalone");
  reply.Bulk("role");
  reply.Bulk("master");
  reply.Bulk("modules");
  reply.ArrayHeader(0);
}

void HandleClientId(Call& call) {
  call.reply.Integer(static_cast<int64_t>(call.session.id));
}

void HandleClientSetName(Call& call) {
  if (SetName(call, call.args[2])) call.reply.Ok();
}

void HandleClientGetName(Call& call) {
  if (call.session.name.empty()) return call.reply.Null();
  call.reply.Bulk(call.session.name);
}

void HandleClientSetInfo(Call& call) {
  std::string* field = nullptr;
  if (IsWord(call.args[2], "LIB-NAME")) field = &call.session.library_name;
  if (IsWord(call.args[2], "LIB-VER")) field = &call.session.library_version;
  if (field == nullptr) {
    return call.reply.Error(
        fmt::format("ERR Unrecognized option '{}'", Quoted(call.args[2])));
  }
  if (!IsNameAllowed(call, LowerCase(call.args[2]), call.args[3])) return;
  *field = call.args[3];
  call.reply.Ok();
}

void HandleClientInfo(Call& call) {
  call.reply.VerbatimText(DescribeSession(call.service, call.session));
}

void HandleClientList(Call& call) {
  std::string text;
  const auto words = call.args.subspan(2);
  if (words.empty()) {
    for (const Session* session : call.service.sessions) {
      text += DescribeSession(call.service, *session);
    }
  } else if (IsWord(words[0], "TYPE") && words.size() == 2) {
    if (!IsClientType(words[1])) return UnknownClientType(call, words[1]);
    // All clients are normal ones; the other types have no members.
    for (const Session* session : call.service.sessions) {
      if (!IsWord(words[1], "NORMAL")) break;
      text += DescribeSession(call.service, *session);
    }
  } else if (IsWord(words[0], "ID") && words.size() > 1) {
    if (!DescribeNamed(call, words.subspan(1), &text)) return;
  } else {
    return call.reply.Error(kSyntaxError);
  }
  ReplyText(call, std::move(text));
}

void HandleClientKill(Call& call) {
  KillFilter filter;
  const bool by_address = call.args.size() == 3;
  if (by_address) {
    filter.address = call.args[2];
    filter.skip_me = false;
  } else if (call.args.size() % 2 != 0) {
    return call.reply.Error(kSyntaxError);
  } else {
    for (size_t i = 2; i < call.args.size(); i += 2) {
      if (!TakeKillFilter(call, i, &filter)) return;
    }
  }
  int64_t killed = 0;
  for (Session* session : call.service.sessions) {
    if (!Fits(filter, call, *session)) continue;
    // The reply to this command goes out first.
    const bool own = session == &call.session;
    call.WhenCertain([&service = call.service, session, own] {
      (own ? session->closing : session->killed) = true;
      service.kill_requested = true;
    });
    ++killed;
  }
  if (!by_address) return call.reply.Integer(killed);
  if (killed == 0) return call.reply.Error("ERR No such client");
  call.reply.Ok();
}

void HandleClientNoEvict(Call& call) {
  HandleSwitch(call, &call.session.no_evict);
}

void HandleClientNoTouch(Call& call) {
  HandleSwitch(call, &call.session.no_touch);
}

void HandleClientReply(Call& call) {
  using Mode = Session::ReplyMode;
  if (IsWord(call.args[2], "ON")) {
    call.session.reply_mode = Mode::kOn;
    return call.reply.Ok();
  }
  if (IsWord(call.args[2], "OFF")) {
    call.session.reply_mode = Mode::kOff;
  } else if (IsWord(call.args[2], "SKIP")) {
    if (call.session.reply_mode == Mode::kOn) {
      call.session.reply_mode = Mode::kSkipNext;
    }
  } else {
    call.reply.Error(kSyntaxError);
  }
}

void HandleClientHelp(Call& call) {
  constexpr std::string_view kLines[] = {
      "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "GETNAME",
      "    Return the name of the current connection.",
      "ID",
      "    Return the ID of the current connection.",
      "INFO",
      "    Return information about the current connection.",
      "KILL <option> ...",
      "    Close connections. Options are ID, ADDR, LADDR, USER, TYPE, SKIPME.",
      "LIST [ID <id> ...|TYPE NORMAL]",
      "    Return information about connections.",
      "NO-EVICT (ON|OFF)",
      "    Accepted; nothing is evicted.",
      "NO-TOUCH (ON|OFF)",
      "    Accepted; reading leaves no trace.",
      "REPLY (ON|OFF|SKIP)",
      "    Control the replies sent to the current connection.",
      "SETINFO <option> <value>",
      "    Set the library's LIB-NAME or LIB-VER.",
      "SETNAME <name>",
      "    Assign a name to the current connection.",
      "HELP",
      "    Print this help.",
  };
  ReplyLines(call, kLines);
}

}  // namespace kvd
