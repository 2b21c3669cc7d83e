// SPDX-License-Identifier: MIT
//
// CLIENT: clients about themselves and about each other.
#include "daemon/commands/client.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/commands/handlers.h"
#include "daemon/commands/support.h"
#include "daemon/commands/text.h"

namespace kvd {
namespace {

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

// All clients have the same: a Unix socket's peers have no address.
std::string AddressOf(const ServerState& service) {
  return service.socket_path + ":0";
}

// Letters as Redis has them; U is for a Unix socket.
std::string FlagsOf(const Session& session) {
  std::string flags;
  if (session.monitors) flags += 'O';
  if (session.is_subscribed()) flags += 'P';
  if (session.queued != nullptr) flags += 'x';
  if (session.is_blocked()) flags += 'b';
  if (session.closing) flags += 'c';
  flags += 'U';
  if (session.no_evict) flags += 'e';
  if (session.no_touch) flags += 'T';
  return flags;
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
      "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} "
      "sub={} psub={} ssub={} multi={} watch={} qbuf={} qbuf-free=0 argv-mem=0 "
      "multi-mem={} rbs=0 rbp=0 obl=0 oll=0 omem={} tot-mem={} events=r cmd={} "
      "user=default redir=-1 resp={} lib-name={} lib-ver={} tot-net-in={} "
      "tot-net-out={} tot-cmds={} pid={} uid={}\n",
      session.id, AddressOf(service), AddressOf(service), session.fd,
      session.name, (now - session.connected_ms) / 1000,
      (now - session.active_ms) / 1000, FlagsOf(session), session.database,
      session.subscribed(TopicKind::kChannel),
      session.subscribed(TopicKind::kPattern),
      session.subscribed(TopicKind::kShard), session.queued_commands(),
      session.watched_keys(), session.input_bytes, session.transaction_bytes(),
      session.output_bytes,
      session.input_bytes + session.output_bytes + session.memory_bytes(),
      command, session.protocol, session.library_name, session.library_version,
      session.input_total_bytes, session.output_total_bytes, session.commands,
      session.pid, static_cast<int64_t>(session.uid));
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

// Whom CLIENT LIST or KILL means; a session must fit all of it.
struct Filter {
  std::vector<uint64_t> ids;  // In order; empty: all.
  std::optional<std::string_view> address;
  enum class Type { kAll, kNormal, kPubSub, kNone };
  Type type = Type::kAll;
  bool skip_me = false;
  int64_t age_s_min = 0;
};

enum class Use { kList, kKill };

bool IsFilter(std::string_view word) {
  constexpr std::string_view kFilters[] = {"ADDR",   "ID",   "LADDR", "MAXAGE",
                                           "SKIPME", "TYPE", "USER"};
  return std::ranges::any_of(
      kFilters, [&](std::string_view filter) { return IsWord(word, filter); });
}

// The words after ID, at least one; `*index` moves to the last of them. To LIST
// all that name no filter are ids, to KILL all that are numbers.
bool TakeIds(Call& call, Use use, size_t* index, Filter* filter) {
  const auto goes_on = [&](std::string_view word) {
    return use == Use::kList ? !IsFilter(word) : ParseInteger(word).has_value();
  };
  do {
    const auto id = ParseInteger(call.args[*index + 1]);
    if (!id || *id < 1) {
      call.reply.Error(use == Use::kList
                           ? "ERR Invalid client ID"
                           : "ERR client-id should be greater than 0");
      return false;
    }
    filter->ids.push_back(static_cast<uint64_t>(*id));
    ++*index;
  } while (*index + 1 < call.args.size() && goes_on(call.args[*index + 1]));
  return true;
}

bool TakeType(Call& call, std::string_view type, Filter* filter) {
  constexpr std::string_view kTypes[] = {"NORMAL",  "MASTER", "PRIMARY",
                                         "REPLICA", "SLAVE",  "PUBSUB"};
  if (std::none_of(std::begin(kTypes), std::end(kTypes),
                   [&](std::string_view t) { return IsWord(type, t); })) {
    call.reply.Error(fmt::format("ERR Unknown client type '{}'", Quoted(type)));
    return false;
  }
  filter->type = IsWord(type, "NORMAL")   ? Filter::Type::kNormal
                 : IsWord(type, "PUBSUB") ? Filter::Type::kPubSub
                                          : Filter::Type::kNone;
  return true;
}

bool TakeAge(Call& call, std::string_view word, Filter* filter) {
  const auto age = ParseInteger(word);
  if (!age) {
    call.reply.Error("ERR maxage is not an integer or out of range");
    return false;
  }
  if (*age <= 0) {
    call.reply.Error("ERR maxage should be greater than 0");
    return false;
  }
  filter->age_s_min = *age;
  return true;
}

// A filter and its value; `*index` moves to the last word of it.
bool TakeFilter(Call& call, Use use, size_t* index, Filter* filter) {
  const std::string_view word = call.args[*index];
  if (*index + 1 == call.args.size()) {
    call.reply.Error(kSyntaxError);
    return false;
  }
  if (IsWord(word, "ID")) return TakeIds(call, use, index, filter);
  const std::string_view value = call.args[++*index];
  if (IsWord(word, "TYPE")) return TakeType(call, value, filter);
  if (IsWord(word, "MAXAGE")) return TakeAge(call, value, filter);
  if (IsWord(word, "ADDR") || IsWord(word, "LADDR")) {
    filter->address = value;
    return true;
  }
  if (IsWord(word, "USER")) {
    if (IsKnownUser(value)) return true;
    call.reply.Error(fmt::format("ERR No such user '{}'", Quoted(value)));
    return false;
  }
  if (IsWord(word, "SKIPME") && (IsWord(value, "YES") || IsWord(value, "NO"))) {
    filter->skip_me = IsWord(value, "YES");
    return true;
  }
  call.reply.Error(kSyntaxError);
  return false;
}

// The words from the third on; nothing after an error reply.
std::optional<Filter> ParseFilter(Call& call, Use use) {
  Filter filter;
  filter.skip_me = use == Use::kKill;
  for (size_t i = 2; i < call.args.size(); ++i) {
    if (!TakeFilter(call, use, &i, &filter)) return std::nullopt;
  }
  std::ranges::sort(filter.ids);
  return filter;
}

// The other types have no members.
bool IsOfType(const Session& session, Filter::Type type) {
  return type == Filter::Type::kAll ||
         type == (session.is_subscribed() ? Filter::Type::kPubSub
                                          : Filter::Type::kNormal);
}

bool Fits(const Filter& filter, const Call& call, const Session& session) {
  if (!IsOfType(session, filter.type)) return false;
  if (filter.skip_me && &session == &call.session) return false;
  if (!filter.ids.empty() &&
      !std::ranges::binary_search(filter.ids, session.id)) {
    return false;
  }
  if (filter.address && *filter.address != AddressOf(call.service)) {
    return false;
  }
  const int64_t age_ms = call.service.NowMs() - session.connected_ms;
  return filter.age_s_min <= age_ms / 1000;
}

// Closes those that fit; how many.
int64_t Kill(Call& call, const Filter& filter) {
  std::vector<uint64_t> others;
  int64_t killed = 0;
  for (const Session* session : call.service.sessions) {
    if (!Fits(filter, call, *session)) continue;
    ++killed;
    if (session == &call.session) {
      // The reply to this command goes out first.
      call.WhenCertain([&service = call.service, id = session->id] {
        Session* const own = service.FindSession(id);
        if (own != nullptr) own->closing = true;
      });
    } else {
      others.push_back(session->id);
    }
  }
  call.WhenCertain([&service = call.service, ids = std::move(others)] {
    for (Session* session : service.sessions) {
      if (!std::ranges::binary_search(ids, session->id)) continue;
      session->killed = true;
      service.kill_requested = true;
    }
  });
  return killed;
}

// Whether the words behind CLIENT TRACKING are some of its own.
bool IsTracking(std::span<const std::string_view> words) {
  constexpr std::string_view kFlags[] = {"BCAST", "NOLOOP", "OPTIN", "OPTOUT"};
  if (!IsWord(words[0], "ON") && !IsWord(words[0], "OFF")) return false;
  for (size_t i = 1; i < words.size(); ++i) {
    if (IsWord(words[i], "REDIRECT") || IsWord(words[i], "PREFIX")) {
      if (++i == words.size()) return false;
    } else if (std::ranges::none_of(kFlags, [&](std::string_view flag) {
                 return IsWord(words[i], flag);
               })) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool SetClientName(Call& call, std::string_view name) {
  if (!IsNameAllowed(call, "Client names", name)) return false;
  call.session.name = name;
  return true;
}

// What valkey's clients say they can do; nothing here depends on it.
void HandleClientCapa(Call& call) { call.reply.Ok(); }

void HandleClientCaching(Call& call) {
  call.reply.Error(
      "ERR CLIENT CACHING can be called only when the client is in tracking "
      "mode with OPTIN or OPTOUT mode enabled, and kvd has no tracking");
}

void HandleClientGetName(Call& call) {
  if (call.session.name.empty()) return call.reply.Null();
  call.reply.Bulk(call.session.name);
}

void HandleClientGetRedir(Call& call) { call.reply.Integer(-1); }

void HandleClientId(Call& call) {
  call.reply.Integer(static_cast<int64_t>(call.session.id));
}

void HandleClientInfo(Call& call) {
  call.reply.VerbatimText(DescribeSession(call.service, call.session));
}

void HandleClientKill(Call& call) {
  if (call.args.size() == 3) {
    Filter filter;
    filter.address = call.args[2];
    if (Kill(call, filter) == 0) {
      return call.reply.Error("ERR No such client");
    }
    return call.reply.Ok();
  }
  const auto filter = ParseFilter(call, Use::kKill);
  if (filter) call.reply.Integer(Kill(call, *filter));
}

void HandleClientList(Call& call) {
  const auto filter = ParseFilter(call, Use::kList);
  if (!filter) return;
  std::string text;
  for (const Session* session : call.service.sessions) {
    if (Fits(*filter, call, *session)) {
      text += DescribeSession(call.service, *session);
    }
  }
  ReplyText(call, std::move(text));
}

void HandleClientNoEvict(Call& call) {
  HandleSwitch(call, &call.session.no_evict);
}

void HandleClientNoTouch(Call& call) {
  HandleSwitch(call, &call.session.no_touch);
}

// A second pause makes the first one longer or stricter, never less. Source:
// Redis.
void HandleClientPause(Call& call) {
  auto of = Pause::Of::kAll;
  if (call.args.size() == 4) {
    if (IsWord(call.args[3], "WRITE")) {
      of = Pause::Of::kWrites;
    } else if (!IsWord(call.args[3], "ALL")) {
      return call.reply.Error("ERR CLIENT PAUSE mode must be WRITE or ALL");
    }
  }
  const auto timeout_ms = TimeoutWord(call, 2);
  if (!timeout_ms) return;
  const int64_t now_ms = call.service.NowMs();
  if (*timeout_ms > std::numeric_limits<int64_t>::max() - now_ms) {
    return call.reply.Error("ERR timeout is out of range");
  }
  const int64_t end_ms = now_ms + *timeout_ms;
  call.WhenCertain([&service = call.service, of, end_ms] {
    const Pause::Of now = service.Paused();
    service.pause = {std::max(now, of),
                     now == Pause::Of::kNothing
                         ? end_ms
                         : std::max(service.pause.end_ms, end_ms)};
    service.pause_changed();
  });
  call.reply.Ok();
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
    if (call.session.reply_mode != Mode::kOff) {
      call.session.reply_mode = Mode::kSkipNext;
    }
  } else {
    call.reply.Error(kSyntaxError);
  }
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

void HandleClientSetName(Call& call) {
  if (SetClientName(call, call.args[2])) call.reply.Ok();
}

void HandleClientTracking(Call& call) {
  if (!IsTracking(call.args.subspan(2))) {
    return call.reply.Error(kSyntaxError);
  }
  if (IsWord(call.args[2], "OFF")) return call.reply.Ok();
  call.reply.Error(
      "ERR kvd does not track what clients read, so caches in clients hear of "
      "no change; let their entries expire");
}

void HandleClientTrackingInfo(Call& call) {
  call.reply.MapHeader(3);
  call.reply.Bulk("flags");
  call.reply.SetHeader(1);
  call.reply.Bulk("off");
  call.reply.Bulk("redirect");
  call.reply.Integer(-1);
  call.reply.Bulk("prefixes");
  call.reply.ArrayHeader(0);
}

void HandleClientUnblock(Call& call) {
  auto how = Session::Unblocked::kAsTimeout;
  if (call.args.size() == 4) {
    if (IsWord(call.args[3], "ERROR")) {
      how = Session::Unblocked::kWithError;
    } else if (!IsWord(call.args[3], "TIMEOUT")) {
      return call.reply.Error(
          "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    }
  }
  const auto id = IntegerWord(call, 2);
  if (!id) return;
  const Session* session = call.service.FindSession(static_cast<uint64_t>(*id));
  if (session == nullptr || !session->is_blocked()) {
    return call.reply.Integer(0);
  }
  call.WhenCertain([&service = call.service, id = session->id, how] {
    Session* const blocked = service.FindSession(id);
    if (blocked == nullptr || !blocked->is_blocked()) return;
    blocked->unblocked = how;
    service.look_again_in(0);
  });
  call.reply.Integer(1);
}

void HandleClientUnpause(Call& call) {
  call.WhenCertain([&service = call.service] {
    service.pause = {};
    service.pause_changed();
    service.look_again_in(0);
  });
  call.reply.Ok();
}

void HandleClientHelp(Call& call) {
  constexpr std::string_view kLines[] = {
      "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "CACHING (YES|NO)",
      "    Refused: kvd has no tracking.",
      "CAPA <option> [<option> ...]",
      "    Accepted; nothing depends on it.",
      "GETNAME",
      "    Return the name of the current connection.",
      "GETREDIR",
      "    Return -1: kvd has no tracking.",
      "ID",
      "    Return the ID of the current connection.",
      "INFO",
      "    Return information about the current connection.",
      "KILL <ip:port>",
      "    Close the connections of that address.",
      "KILL <option> <value> [<option> <value> ...]",
      "    Close connections. Options are ID, ADDR, LADDR, USER, TYPE, SKIPME, "
      "MAXAGE.",
      "LIST [<option> <value> ...]",
      "    Return information about connections. Options are those of KILL.",
      "NO-EVICT (ON|OFF)",
      "    Accepted; nothing is evicted.",
      "NO-TOUCH (ON|OFF)",
      "    Accepted; reading leaves no trace.",
      "PAUSE <timeout> [WRITE|ALL]",
      "    Let commands wait for that many milliseconds: those that write, or "
      "all",
      "    that do not work while the data is loading, either.",
      "REPLY (ON|OFF|SKIP)",
      "    Control the replies sent to the current connection.",
      "SETINFO <option> <value>",
      "    Set the library's LIB-NAME or LIB-VER.",
      "SETNAME <name>",
      "    Assign a name to the current connection.",
      "TRACKING (ON|OFF)",
      "    ON is refused: kvd has no tracking.",
      "TRACKINGINFO",
      "    Return that tracking is off.",
      "UNBLOCK <clientid> [TIMEOUT|ERROR]",
      "    End the wait of a client in WAITAOF or KV.COMPACT WAIT.",
      "UNPAUSE",
      "    End a pause.",
      "HELP",
      "    Print this help.",
  };
  ReplyLines(call, kLines);
}

}  // namespace kvd
