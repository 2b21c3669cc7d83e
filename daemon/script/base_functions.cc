// SPDX-License-Identifier: MIT
//
// Base functions in a form that cannot catch a stop, reads no bytecode and
// changes no frozen table, and coroutines likewise.
#include <cstring>

#include "daemon/script/context.h"
#include "daemon/script/libraries.h"
#include "daemon/script/sandbox.h"

namespace kvd {
namespace {

// Text is compiled in pieces, so that much of it does not take long unseen.
constexpr size_t kPieceBytes = 256;
// What compiling a byte takes, about. It may be a hundred times as much, where
// names are looked for in many nested functions: so pieces are small.
constexpr uint64_t kCompileNsPerByte = 100;
constexpr char kBytecodeMark = LUA_SIGNATURE[0];
// More than it takes: a coroutine that is resumed counts its instructions from
// the beginning, and some that resume each other would never be looked at.
constexpr uint64_t kNsPerResume = 500;

// Of an error that was caught: scripts get the text of what redis.call()
// raises. It is on the top.
void ReplaceByItsText(lua_State* lua) {
  if (!lua_istable(lua, -1)) return;
  lua_pushliteral(lua, "err");
  lua_rawget(lua, -2);
  if (lua_isstring(lua, -1) != 0) {
    lua_replace(lua, -2);
  } else {
    lua_pop(lua, 1);
  }
}

int ProtectedCall(lua_State* lua) {
  luaL_checkany(lua, 1);
  CheckNesting(lua);
  const int status = lua_pcall(lua, lua_gettop(lua) - 1, LUA_MULTRET, 0);
  EndIfStopped(lua);
  if (status != 0) ReplaceByItsText(lua);
  lua_pushboolean(lua, status == 0);
  lua_insert(lua, 1);
  return lua_gettop(lua);
}

// The handler runs when the error has been caught. While it is raised no hook
// runs, and the handler could go on for ever.
int ProtectedCallWithHandler(lua_State* lua) {
  luaL_checkany(lua, 2);
  CheckNesting(lua);
  lua_settop(lua, 2);
  lua_insert(lua, 1);
  const int status = lua_pcall(lua, 0, LUA_MULTRET, 0);
  EndIfStopped(lua);
  if (status != 0) {
    lua_pcall(lua, 1, 1, 0);
    EndIfStopped(lua);
    lua_pushboolean(lua, 0);
    lua_insert(lua, 1);
    return 2;
  }
  lua_pushboolean(lua, 1);
  lua_replace(lua, 1);
  return lua_gettop(lua);
}

const char* ReadPiece(lua_State* lua, void* data, size_t* size) {
  auto& rest = *static_cast<std::string_view*>(data);
  *size = rest.size() < kPieceBytes ? rest.size() : kPieceBytes;
  if (*size == 0) return nullptr;
  if (!ContextOf(lua).meter.Charge(*size * kCompileNsPerByte)) return nullptr;
  const char* const piece = rest.data();
  rest.remove_prefix(*size);
  return piece;
}

// Leaves what load() returns on the stack.
int FinishLoad(lua_State* lua, int status) {
  EndIfStopped(lua);
  if (status == 0) return 1;
  lua_pushnil(lua);
  lua_insert(lua, -2);
  return 2;
}

int RefuseBytecode(lua_State* lua) {
  lua_pushnil(lua);
  lua_pushliteral(lua, "bytecode is not accepted");
  return 2;
}

int LoadString(lua_State* lua) {
  size_t size = 0;
  const char* const text = luaL_checklstring(lua, 1, &size);
  const char* const name = luaL_optstring(lua, 2, text);
  if (size > 0 && text[0] == kBytecodeMark) return RefuseBytecode(lua);
  return FinishLoad(lua, LoadText(lua, {text, size}, name));
}

struct FunctionSource {
  bool first = true;
  bool bytecode = false;
  bool ended = false;
};

// Pieces come from the function at 1, and are kept at 3 while they are read.
const char* ReadFromFunction(lua_State* lua, void* data, size_t* size) {
  auto& source = *static_cast<FunctionSource*>(data);
  *size = 0;
  // Lua asks again after the end of what is empty, while it holds strings that
  // a collection would free.
  if (source.ended) return nullptr;
  source.ended = true;
  luaL_checkstack(lua, 2, "too many nested functions");
  lua_pushvalue(lua, 1);
  lua_call(lua, 0, 1);
  if (lua_isnil(lua, -1)) return nullptr;
  if (lua_isstring(lua, -1) == 0) {
    luaL_error(lua, "reader function must return a string");
  }
  lua_replace(lua, 3);
  const char* const piece = lua_tolstring(lua, 3, size);
  Charge(lua, *size * kCompileNsPerByte);
  if (*size == 0) return nullptr;
  source.bytecode |= source.first && piece[0] == kBytecodeMark;
  source.first = false;
  source.ended = source.bytecode;
  return source.bytecode ? nullptr : piece;
}

int Load(lua_State* lua) {
  const char* const name = luaL_optstring(lua, 2, "=(load)");
  luaL_checktype(lua, 1, LUA_TFUNCTION);
  lua_settop(lua, 3);
  FunctionSource source;
  const int status = lua_load(lua, ReadFromFunction, &source, name);
  EndIfStopped(lua);
  if (source.bytecode) return RefuseBytecode(lua);
  return FinishLoad(lua, status);
}

int RawSet(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  luaL_checkany(lua, 2);
  luaL_checkany(lua, 3);
  RefuseIfFrozen(lua, 1);
  lua_settop(lua, 3);
  lua_rawset(lua, 1);
  return 1;
}

int RawGet(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  luaL_checkany(lua, 2);
  lua_settop(lua, 2);
  Unfreeze(lua, 1);
  lua_rawget(lua, 1);
  return 1;
}

int Next(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  lua_settop(lua, 2);
  Unfreeze(lua, 1);
  return lua_next(lua, 1) != 0 ? 2 : (lua_pushnil(lua), 1);
}

int Pairs(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  lua_pushcfunction(lua, Next);
  lua_pushvalue(lua, 1);
  lua_pushnil(lua);
  return 3;
}

int SetMetatable(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  const int type = lua_type(lua, 2);
  luaL_argcheck(lua, type == LUA_TNIL || type == LUA_TTABLE, 2,
                "nil or table expected");
  RefuseIfFrozen(lua, 1);
  if (luaL_getmetafield(lua, 1, "__metatable") != 0) {
    luaL_error(lua, "cannot change a protected metatable");
  }
  lua_settop(lua, 2);
  lua_setmetatable(lua, 1);
  return 1;
}

// Garbage is collected as it comes up; when, scripts need not say.
int CollectGarbage(lua_State* lua) {
  const char* const what = luaL_optstring(lua, 1, "collect");
  if (std::strcmp(what, "count") == 0) {
    lua_pushnumber(lua, lua_gc(lua, LUA_GCCOUNT, 0));
  } else {
    lua_pushinteger(lua, 0);
  }
  return 1;
}

int Unpack(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  const lua_Number first = luaL_optnumber(lua, 2, 1);
  const lua_Number last = luaL_opt(lua, luaL_checknumber, 3,
                                   static_cast<lua_Number>(lua_objlen(lua, 1)));
  if (!(first <= last)) return 0;
  const lua_Number count = last - first + 1;
  if (!(count < LUAI_MAXCSTACK) || !(first > INT32_MIN && last < INT32_MAX) ||
      lua_checkstack(lua, static_cast<int>(count)) == 0) {
    return luaL_error(lua, "too many results to unpack");
  }
  const int end = static_cast<int>(first) + static_cast<int>(count);
  for (int i = static_cast<int>(first); i < end; ++i) lua_rawgeti(lua, 1, i);
  return static_cast<int>(count);
}

// Whether the stack of a coroutine that does not run has room for so many
// values. When it has to grow and gets no memory, Lua ends the process: nobody
// is there to catch the error.
bool HasRoom(lua_State* lua, lua_State* coroutine, int values) {
  Meter& meter = ContextOf(lua).meter;
  meter.set_must_give(true);
  const bool has_room = lua_checkstack(coroutine, values) != 0;
  meter.set_must_give(false);
  EndIfStopped(lua);
  return has_room;
}

// Runs a coroutine with the values above it on its caller's stack, which it
// takes. What it gives or raises is pushed instead: how many values, or -1.
int Resume(lua_State* lua, lua_State* coroutine, int arguments) {
  CheckNesting(lua);
  Charge(lua, kNsPerResume);
  if (lua_status(coroutine) == 0 && lua_gettop(coroutine) == 0) {
    lua_pushliteral(lua, "cannot resume dead coroutine");
    return -1;
  }
  if (lua_status(coroutine) != 0 && lua_status(coroutine) != LUA_YIELD) {
    lua_pushliteral(lua, "cannot resume dead coroutine");
    return -1;
  }
  lua_Debug frame;
  if (lua_status(coroutine) == 0 && lua_getstack(coroutine, 0, &frame) > 0) {
    lua_pushliteral(lua, "cannot resume non-suspended coroutine");
    return -1;
  }
  if (!HasRoom(lua, coroutine, arguments)) {
    luaL_error(lua, "too many arguments to resume");
  }
  ScriptContext& context = ContextOf(lua);
  lua_sethook(coroutine, lua_gethook(lua), LUA_MASKCOUNT,
              context.meter.instructions_per_look());
  lua_xmove(lua, coroutine, arguments);
  context.running = coroutine;
  const int status = lua_resume(coroutine, arguments);
  context.running = lua;
  EndIfStopped(lua);
  if (status != 0 && status != LUA_YIELD) {
    lua_xmove(coroutine, lua, 1);
    return -1;
  }
  const int results = lua_gettop(coroutine);
  if (lua_checkstack(lua, results + 1) == 0) {
    luaL_error(lua, "too many results to resume");
  }
  lua_xmove(coroutine, lua, results);
  return results;
}

int CoroutineResume(lua_State* lua) {
  lua_State* const coroutine = lua_tothread(lua, 1);
  luaL_argcheck(lua, coroutine != nullptr, 1, "coroutine expected");
  const int results = Resume(lua, coroutine, lua_gettop(lua) - 1);
  lua_pushboolean(lua, results >= 0);
  lua_insert(lua, results < 0 ? -2 : -(results + 1));
  return results < 0 ? 2 : results + 1;
}

int CallWrapped(lua_State* lua) {
  lua_State* const coroutine = lua_tothread(lua, lua_upvalueindex(1));
  const int results = Resume(lua, coroutine, lua_gettop(lua));
  if (results >= 0) return results;
  if (lua_isstring(lua, -1) != 0) {
    luaL_where(lua, 1);
    lua_insert(lua, -2);
    lua_concat(lua, 2);
  }
  return lua_error(lua);
}

int CoroutineWrap(lua_State* lua) {
  luaL_argcheck(lua, lua_isfunction(lua, 1) && lua_iscfunction(lua, 1) == 0, 1,
                "Lua function expected");
  lua_State* const coroutine = lua_newthread(lua);
  lua_pushvalue(lua, 1);
  lua_xmove(lua, coroutine, 1);
  lua_pushcclosure(lua, CallWrapped, 1);
  return 1;
}

int CallCharged(lua_State* lua) {
  const auto ns =
      static_cast<uint64_t>(lua_tointeger(lua, lua_upvalueindex(2)));
  const int count = lua_gettop(lua);
  uint64_t places = 0;
  for (int i = 1; i <= count; ++i) {
    const int type = lua_type(lua, i);
    if (type == LUA_TSTRING || type == LUA_TTABLE) {
      places += lua_objlen(lua, i);
    }
  }
  Afford(lua, places * ns);
  lua_pushvalue(lua, lua_upvalueindex(1));
  lua_insert(lua, 1);
  lua_call(lua, count, LUA_MULTRET);
  return lua_gettop(lua);
}

constexpr luaL_Reg kBaseFunctions[] = {{"pcall", ProtectedCall},
                                       {"xpcall", ProtectedCallWithHandler},
                                       {"loadstring", LoadString},
                                       {"load", Load},
                                       {"rawset", RawSet},
                                       {"rawget", RawGet},
                                       {"next", Next},
                                       {"pairs", Pairs},
                                       {"setmetatable", SetMetatable},
                                       {"collectgarbage", CollectGarbage},
                                       {"unpack", Unpack}};

// They read files, print, or see and change other functions' globals.
constexpr const char* kForbidden[] = {"dofile",  "loadfile", "print",
                                      "getfenv", "setfenv",  "newproxy"};

}  // namespace

int LoadText(lua_State* lua, std::string_view text, const char* name) {
  return lua_load(lua, ReadPiece, &text, name);
}

void ChargeArguments(lua_State* lua, const char* name, int ns) {
  lua_getfield(lua, -1, name);
  lua_pushinteger(lua, ns);
  lua_pushcclosure(lua, CallCharged, 2);
  lua_setfield(lua, -2, name);
}

void AddBaseFunctions(lua_State* lua) {
  SetFunctions(lua, kBaseFunctions);
  for (const char* name : kForbidden) {
    lua_pushnil(lua);
    lua_setfield(lua, -2, name);
  }
  ChargeArguments(lua, "tonumber", 2);
  lua_getfield(lua, -1, "coroutine");
  constexpr luaL_Reg kCoroutines[] = {{"resume", CoroutineResume},
                                      {"wrap", CoroutineWrap}};
  SetFunctions(lua, kCoroutines);
  lua_pop(lua, 1);
}

}  // namespace kvd
