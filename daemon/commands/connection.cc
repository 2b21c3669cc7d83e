// SPDX-License-Identifier: MIT
//
// Commands about the connection that they come on.
#include <optional>
#include <string_view>

#include "daemon/commands/client.h"
#include "daemon/commands/handlers.h"
#include "daemon/commands/support.h"
#include "daemon/commands/text.h"

namespace kvd {
namespace {

constexpr std::string_view kWrongPassword =
    "WRONGPASS invalid username-password pair or user is disabled.";

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

}  // namespace

void HandlePing(Call& call) {
  // There it looks like a message. Source: Redis.
  if (call.session.is_subscribed() &&
      call.session.protocol == kRespProtocolMin) {
    call.reply.ArrayHeader(2);
    call.reply.Bulk("pong");
    return call.reply.Bulk(call.args.size() == 1 ? "" : call.args[1]);
  }
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
  session.backup.reset();
  session.subscriptions.reset();
  if (session.monitors) {
    call.WhenCertain([&service = call.service, id = session.id] {
      service.set_monitor(id, false);
    });
  }
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
  if (!hello || (hello->name && !SetClientName(call, *hello->name))) return;
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

}  // namespace kvd
