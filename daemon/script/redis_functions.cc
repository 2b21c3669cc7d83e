// SPDX-License-Identifier: MIT
//
// "redis": how a script runs commands, and what it says about replies. Error
// texts are those that scripts know. Source: Redis.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstring>

#include "daemon/script/context.h"
#include "daemon/script/libraries.h"
#include "daemon/script/sha1.h"
#include "daemon/script/values.h"
#include "daemon/state/server_state.h"

namespace kvd {
namespace {

// kRedisVersion with a byte for each part.
constexpr lua_Integer kRedisVersionNumber = 0x070204;

// What it takes for a byte.
constexpr uint64_t kSha1NsPerByte = 4;
constexpr size_t kLoggedBytesMax = 4096;

int RaiseTable(lua_State* lua, const char* text) {
  PushErrorTable(lua, text);
  return lua_error(lua);
}

// In place of a number at `index` its text: an integer as one, others in the
// shortest form that reads back the same.
void NumberToText(lua_State* lua, int index) {
  constexpr lua_Number kIntegerMax = 9007199254740992.0;
  const lua_Number number = lua_tonumber(lua, index);
  char text[64];
  char* end = text;
  if (std::fabs(number) <= kIntegerMax && std::trunc(number) == number) {
    end = std::to_chars(text, text + sizeof text, static_cast<int64_t>(number))
              .ptr;
  } else {
    end = std::to_chars(text, text + sizeof text, number).ptr;
  }
  lua_pushlstring(lua, text, static_cast<size_t>(end - text));
  lua_replace(lua, index);
}

// Takes all arguments as words of a command. Null, or what is wrong with them.
const char* TakeWords(lua_State* lua) {
  const int count = lua_gettop(lua);
  if (count == 0) {
    return "ERR Please specify at least one argument for this redis lib call";
  }
  for (int i = 1; i <= count; ++i) {
    const int type = lua_type(lua, i);
    if (type == LUA_TNUMBER) {
      NumberToText(lua, i);
    } else if (type != LUA_TSTRING) {
      return "ERR Lua redis lib command arguments must be strings or integers";
    }
  }
  std::vector<std::string_view>& words = ContextOf(lua).words;
  words.clear();
  for (int i = 1; i <= count; ++i) words.push_back(TextAt(lua, i));
  return nullptr;
}

// Pushes the reply. Whether it is an error.
bool RunCommand(lua_State* lua) {
  ScriptContext& context = ContextOf(lua);
  if (const char* const wrong = TakeWords(lua); wrong != nullptr) {
    PushErrorTable(lua, wrong);
    return true;
  }
  ScriptContext::Empty(&context.reply);
  if (!context.host->RunCommand(context.words, context.protocol,
                                &context.reply)) {
    StopScript(lua, ScriptStop::kHost);
  }
  // Commands take time, too.
  if (!context.meter.Look()) EndIfStopped(lua);
  lua_settop(lua, 0);  // Eight thousand words leave no room for the reply.
  PushReply(lua, context.reply);
  return context.reply.starts_with('-');
}

int CallOrRaise(lua_State* lua) {
  EndIfStopped(lua);
  return RunCommand(lua) ? lua_error(lua) : 1;
}

int CallProtected(lua_State* lua) {
  EndIfStopped(lua);
  RunCommand(lua);
  return 1;
}

bool HasOneText(lua_State* lua) {
  return lua_gettop(lua) == 1 && lua_type(lua, 1) == LUA_TSTRING;
}

int StatusReply(lua_State* lua) {
  if (!HasOneText(lua)) {
    PushErrorTable(lua, "ERR wrong number or type of arguments");
    return 1;
  }
  lua_createtable(lua, 0, 1);
  lua_pushvalue(lua, 1);
  lua_setfield(lua, -2, "ok");
  return 1;
}

std::string_view WithoutLineEnds(std::string_view text) {
  while (text.starts_with('\r') || text.starts_with('\n')) {
    text.remove_prefix(1);
  }
  while (text.ends_with('\r') || text.ends_with('\n')) text.remove_suffix(1);
  return text;
}

// A first word is the code; a text of one word gets one.
int ErrorReply(lua_State* lua) {
  if (!HasOneText(lua)) {
    PushErrorTable(lua, "ERR wrong number or type of arguments");
    return 1;
  }
  std::string_view text(lua_tostring(lua, 1));
  Afford(lua, text.size());
  if (text.starts_with('-')) text.remove_prefix(1);
  const size_t space = text.find(' ');
  const std::string_view code =
      space == text.npos ? "ERR" : text.substr(0, space);
  const std::string_view rest =
      WithoutLineEnds(space == text.npos ? text : text.substr(space + 1));
  lua_createtable(lua, 0, 1);
  PushText(lua, code);
  lua_pushliteral(lua, " ");
  PushText(lua, rest);
  lua_concat(lua, 3);
  lua_setfield(lua, -2, "err");
  return 1;
}

int SetProtocol(lua_State* lua) {
  if (lua_gettop(lua) != 1) {
    return RaiseTable(lua, "ERR redis.setresp() requires one argument.");
  }
  const lua_Number version = lua_tonumber(lua, 1);
  if (version != 2 && version != 3) {
    return RaiseTable(lua, "ERR RESP version must be 2 or 3.");
  }
  ContextOf(lua).protocol = static_cast<int>(version);
  return 0;
}

int Sha1Hex(lua_State* lua) {
  if (lua_gettop(lua) != 1) {
    return RaiseTable(lua, "ERR wrong number of arguments");
  }
  const std::string_view text = TextAt(lua, 1);
  Afford(lua, text.size() * kSha1NsPerByte);
  PushText(lua, View(Sha1(text)));
  return 1;
}

int Log(lua_State* lua) {
  const int count = lua_gettop(lua);
  if (count < 2) {
    return RaiseTable(lua, "ERR redis.log() requires two arguments or more.");
  }
  if (lua_isnumber(lua, 1) == 0) {
    return RaiseTable(lua, "ERR First argument must be a number (log level).");
  }
  const auto level = static_cast<int>(IntegerOf(lua_tonumber(lua, 1)));
  if (level < static_cast<int>(ScriptLogLevel::kDebug) ||
      level > static_cast<int>(ScriptLogLevel::kWarning)) {
    return RaiseTable(lua, "ERR Invalid debug level.");
  }
  ScriptContext& context = ContextOf(lua);
  context.text.clear();
  for (int i = 2; i <= count; ++i) {
    if (lua_isstring(lua, i) == 0) continue;
    if (i > 2) context.text.push_back(' ');
    context.text.append(TextAt(lua, i).substr(0, kLoggedBytesMax));
    if (context.text.size() >= kLoggedBytesMax) break;
  }
  context.text.resize(std::min(context.text.size(), kLoggedBytesMax));
  // Another line would pass for one of kvd's own.
  for (char& byte : context.text) {
    if (std::iscntrl(static_cast<unsigned char>(byte)) != 0) byte = ' ';
  }
  context.host->Log(static_cast<ScriptLogLevel>(level), context.text);
  return 0;
}

// There are no replicas: whatever goes to all of them goes to none.
int SetReplication(lua_State* lua) {
  constexpr int kAll = 3;
  if (lua_gettop(lua) != 1) {
    return RaiseTable(lua, "ERR redis.set_repl() requires one argument.");
  }
  const auto flags = static_cast<int>(IntegerOf(lua_tonumber(lua, 1)));
  if ((flags & ~kAll) != 0) {
    return RaiseTable(lua,
                      "ERR Invalid replication flags. Use REPL_AOF, "
                      "REPL_REPLICA, REPL_ALL or REPL_NONE.");
  }
  return 0;
}

int ReplicateCommands(lua_State* lua) {
  lua_pushboolean(lua, 1);
  return 1;
}

// There is one user, who may do everything.
int CheckAccess(lua_State* lua) {
  if (const char* const wrong = TakeWords(lua); wrong != nullptr) {
    return RaiseTable(lua, wrong);
  }
  ScriptContext& context = ContextOf(lua);
  if (!context.host->KnowsCommand(context.words)) {
    return RaiseTable(lua,
                      "ERR Invalid command passed to redis.acl_check_cmd()");
  }
  lua_pushboolean(lua, 1);
  return 1;
}

constexpr luaL_Reg kRedisFunctions[] = {
    {"call", CallOrRaise},
    {"pcall", CallProtected},
    {"error_reply", ErrorReply},
    {"status_reply", StatusReply},
    {"setresp", SetProtocol},
    {"sha1hex", Sha1Hex},
    {"log", Log},
    {"set_repl", SetReplication},
    {"replicate_commands", ReplicateCommands},
    {"acl_check_cmd", CheckAccess}};

struct NamedNumber {
  const char* name;
  int number;
};
constexpr NamedNumber kNumbers[] = {
    {"LOG_DEBUG", 0},   {"LOG_VERBOSE", 1},  {"LOG_NOTICE", 2},
    {"LOG_WARNING", 3}, {"REPL_NONE", 0},    {"REPL_AOF", 1},
    {"REPL_SLAVE", 2},  {"REPL_REPLICA", 2}, {"REPL_ALL", 3}};

}  // namespace

void AddRedis(lua_State* lua) {
  lua_newtable(lua);
  SetFunctions(lua, kRedisFunctions);
  for (const auto& [name, number] : kNumbers) {
    lua_pushinteger(lua, number);
    lua_setfield(lua, -2, name);
  }
  lua_pushstring(lua, kRedisVersion);
  lua_setfield(lua, -2, "REDIS_VERSION");
  lua_pushinteger(lua, kRedisVersionNumber);
  lua_setfield(lua, -2, "REDIS_VERSION_NUM");
  lua_pushliteral(lua, "kvd");
  lua_setfield(lua, -2, "SERVER_NAME");
  lua_setfield(lua, -2, "redis");
}

}  // namespace kvd
