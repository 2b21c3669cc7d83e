// SPDX-License-Identifier: MIT
//
// The functions of "string" whose work Lua's own do not bound: those with
// patterns, and rep. Source: the reference manual of Lua 5.1, 5.4.
#include <cstring>

#include "daemon/script/context.h"
#include "daemon/script/libraries.h"
#include "daemon/script/lua_pattern.h"

namespace kvd {
namespace {

constexpr char kSpecialBytes[] = "^$*+?.([%-";

// What looking at a byte of a pattern takes at most, about.
constexpr uint64_t kNsPerPatternByte = 5;

bool HasSpecialBytes(lua_State* lua, std::string_view pattern) {
  Afford(lua, pattern.size() * kNsPerPatternByte);
  return pattern.find_first_of(kSpecialBytes) != pattern.npos;
}

// Raises what is wrong with a match that found nothing, if anything is.
void RaiseFailure(lua_State* lua, const LuaPattern& pattern) {
  EndIfStopped(lua);
  if (pattern.error() != nullptr) luaL_error(lua, "%s", pattern.error());
}

// Pushes a capture, or all of the match for the first one of a pattern without
// any.
void PushCapture(lua_State* lua, const LuaPattern& pattern, int index,
                 std::string_view match) {
  if (index >= pattern.captures()) {
    if (index != 0) luaL_error(lua, "invalid capture index");
    return PushText(lua, match);
  }
  const LuaPattern::Capture& capture = pattern.capture(index);
  if (capture.size == LuaPattern::Capture::kOpen) {
    luaL_error(lua, "unfinished capture");
  }
  if (capture.size == LuaPattern::Capture::kPosition) {
    return lua_pushinteger(lua, capture.start - pattern.text() + 1);
  }
  lua_pushlstring(lua, capture.start, static_cast<size_t>(capture.size));
}

// Pushes all captures, or with `whole` the match if there are none; how many.
int PushCaptures(lua_State* lua, const LuaPattern& pattern,
                 std::string_view match, bool whole) {
  const int count = pattern.captures() == 0 && whole ? 1 : pattern.captures();
  luaL_checkstack(lua, count, "too many captures");
  for (int i = 0; i < count; ++i) PushCapture(lua, pattern, i, match);
  return count;
}

// Where a search begins: from the argument at 3, which counts from 1, or from
// the end when negative.
size_t StartOf(lua_State* lua, size_t size) {
  const ptrdiff_t length = static_cast<ptrdiff_t>(size);
  ptrdiff_t start = luaL_optinteger(lua, 3, 1);
  if (start < 0) start += length + 1;
  if (start < 1) start = 1;
  if (start > length + 1) start = length + 1;
  return static_cast<size_t>(start - 1);
}

int FindPlain(lua_State* lua, std::string_view text, std::string_view wanted,
              size_t start) {
  Afford(lua, text.size() - start);
  const void* const found =
      wanted.empty() ? text.data() + start
                     : memmem(text.data() + start, text.size() - start,
                              wanted.data(), wanted.size());
  if (found == nullptr) {
    lua_pushnil(lua);
    return 1;
  }
  const ptrdiff_t at = static_cast<const char*>(found) - text.data();
  lua_pushinteger(lua, at + 1);
  lua_pushinteger(lua, at + static_cast<ptrdiff_t>(wanted.size()));
  return 2;
}

int FindOrMatch(lua_State* lua, bool find) {
  size_t text_size = 0;
  size_t pattern_size = 0;
  const char* const text = luaL_checklstring(lua, 1, &text_size);
  const char* const pattern = luaL_checklstring(lua, 2, &pattern_size);
  std::string_view wanted(pattern, pattern_size);
  const size_t start = StartOf(lua, text_size);
  if (find && (lua_toboolean(lua, 4) != 0 || !HasSpecialBytes(lua, wanted))) {
    return FindPlain(lua, {text, text_size}, wanted, start);
  }
  const bool anchored = wanted.starts_with('^');
  if (anchored) wanted.remove_prefix(1);
  LuaPattern matcher(ContextOf(lua).meter, {text, text_size}, wanted);
  const char* at = text + start;
  do {
    const char* const end = matcher.MatchAt(at);
    if (end != nullptr) {
      if (!find) return PushCaptures(lua, matcher, {at, end}, true);
      lua_pushinteger(lua, at - text + 1);
      lua_pushinteger(lua, end - text);
      return 2 + PushCaptures(lua, matcher, {at, end}, false);
    }
    RaiseFailure(lua, matcher);
  } while (at++ < text + text_size && !anchored);
  lua_pushnil(lua);
  return 1;
}

int Find(lua_State* lua) { return FindOrMatch(lua, true); }
int Match(lua_State* lua) { return FindOrMatch(lua, false); }

// One step of gmatch: its upvalues are text, pattern and where to go on.
int NextMatch(lua_State* lua) {
  const std::string_view text = TextAt(lua, lua_upvalueindex(1));
  const std::string_view pattern = TextAt(lua, lua_upvalueindex(2));
  LuaPattern matcher(ContextOf(lua).meter, text, pattern);
  const char* const text_end = text.data() + text.size();
  const char* at = text.data() + lua_tointeger(lua, lua_upvalueindex(3));
  for (; at <= text_end; ++at) {
    const char* const end = matcher.MatchAt(at);
    if (end != nullptr) {
      // An empty match must not come again.
      const ptrdiff_t next = end - text.data() + (end == at ? 1 : 0);
      lua_pushinteger(lua, next);
      lua_replace(lua, lua_upvalueindex(3));
      return PushCaptures(lua, matcher, {at, end}, true);
    }
    RaiseFailure(lua, matcher);
  }
  return 0;
}

int MatchEach(lua_State* lua) {
  luaL_checkstring(lua, 1);
  luaL_checkstring(lua, 2);
  lua_settop(lua, 2);
  lua_pushinteger(lua, 0);
  lua_pushcclosure(lua, NextMatch, 3);
  return 1;
}

// Adds the replacement text of a match, in which %1 is a capture.
void AddReplacement(lua_State* lua, luaL_Buffer* out, const LuaPattern& matcher,
                    std::string_view match) {
  const std::string_view text = TextAt(lua, 3);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      luaL_addchar(out, text[i]);
      continue;
    }
    ++i;
    const char c = i < text.size() ? text[i] : '\0';
    if (c < '0' || c > '9') {
      luaL_addchar(out, c);
    } else if (c == '0') {
      luaL_addlstring(out, match.data(), match.size());
    } else {
      PushCapture(lua, matcher, c - '1', match);
      luaL_addvalue(out);
    }
  }
}

// Adds what a match becomes by the text, table or function at 3.
void AddMatch(lua_State* lua, luaL_Buffer* out, const LuaPattern& matcher,
              std::string_view match) {
  const int type = lua_type(lua, 3);
  if (type == LUA_TSTRING || type == LUA_TNUMBER) {
    return AddReplacement(lua, out, matcher, match);
  }
  if (type == LUA_TFUNCTION) {
    lua_pushvalue(lua, 3);
    const int captures = PushCaptures(lua, matcher, match, true);
    lua_call(lua, captures, 1);
  } else {
    PushCapture(lua, matcher, 0, match);
    lua_gettable(lua, 3);
  }
  if (lua_toboolean(lua, -1) == 0) {
    lua_pop(lua, 1);
    PushText(lua, match);
  } else if (lua_isstring(lua, -1) == 0) {
    luaL_error(lua, "invalid replacement value (a %s)", luaL_typename(lua, -1));
  }
  luaL_addvalue(out);
}

int Replace(lua_State* lua) {
  CheckNesting(lua);
  size_t text_size = 0;
  size_t pattern_size = 0;
  const char* const text = luaL_checklstring(lua, 1, &text_size);
  const char* const start = luaL_checklstring(lua, 2, &pattern_size);
  const int type = lua_type(lua, 3);
  luaL_argcheck(lua,
                type == LUA_TNUMBER || type == LUA_TSTRING ||
                    type == LUA_TFUNCTION || type == LUA_TTABLE,
                3, "string/function/table expected");
  const lua_Number limit =
      luaL_optnumber(lua, 4, static_cast<lua_Number>(text_size + 1));
  std::string_view pattern(start, pattern_size);
  const bool anchored = pattern.starts_with('^');
  if (anchored) pattern.remove_prefix(1);
  LuaPattern matcher(ContextOf(lua).meter, {text, text_size}, pattern);

  luaL_Buffer out;
  luaL_buffinit(lua, &out);
  const char* const text_end = text + text_size;
  const char* at = text;
  lua_Integer matches = 0;
  while (static_cast<lua_Number>(matches) < limit) {
    const char* const end = matcher.MatchAt(at);
    if (end != nullptr) {
      ++matches;
      AddMatch(lua, &out, matcher, {at, end});
    } else {
      RaiseFailure(lua, matcher);
    }
    if (end != nullptr && end > at) {
      at = end;
    } else if (at < text_end) {
      luaL_addchar(&out, *at);
      ++at;
    } else {
      break;
    }
    if (anchored) break;
  }
  luaL_addlstring(&out, at, static_cast<size_t>(text_end - at));
  luaL_pushresult(&out);
  lua_pushinteger(lua, matches);
  return 2;
}

int Repeat(lua_State* lua) {
  size_t size = 0;
  const char* const text = luaL_checklstring(lua, 1, &size);
  const lua_Number times = luaL_checknumber(lua, 2);
  if (size == 0 || !(times >= 1)) {
    lua_pushliteral(lua, "");
    return 1;
  }
  const lua_Number wanted = static_cast<lua_Number>(size) * times;
  if (wanted > static_cast<lua_Number>(ContextOf(lua).meter.free_bytes())) {
    StopScript(lua, ScriptStop::kMemory);
  }
  const size_t total = size * static_cast<size_t>(times);
  auto* const out = static_cast<char*>(lua_newuserdata(lua, total));
  std::memcpy(out, text, size);
  // Doubles what is there.
  for (size_t done = size; done < total;) {
    const size_t more = done < total - done ? done : total - done;
    std::memcpy(out + done, out, more);
    done += more;
  }
  lua_pushlstring(lua, out, total);
  return 1;
}

constexpr luaL_Reg kStringFunctions[] = {
    {"find", Find},       {"match", Match},  {"gmatch", MatchEach},
    {"gfind", MatchEach}, {"gsub", Replace}, {"rep", Repeat}};

}  // namespace

void AddStringFunctions(lua_State* lua) {
  lua_getfield(lua, -1, "string");
  SetFunctions(lua, kStringFunctions);
  lua_pushnil(lua);  // It makes bytecode.
  lua_setfield(lua, -2, "dump");
  for (const char* name : {"format", "lower", "upper", "reverse"}) {
    ChargeArguments(lua, name, 5);
  }
  lua_pop(lua, 1);
}

}  // namespace kvd
