// SPDX-License-Identifier: MIT
#include "daemon/script/sandbox.h"

#include <initializer_list>

namespace kvd {
namespace {

// Their addresses are keys that no script can have: of the real table in a
// frozen one's metatable, and of what stands for that metatable.
char real_key;
char sealed_key;

constexpr char kReadOnly[] = "Attempt to modify a readonly table";

int RefuseChange(lua_State* lua) { return luaL_error(lua, kReadOnly); }

int RefuseGlobal(lua_State* lua) {
  const char* const name = lua_tostring(lua, 2);
  return luaL_error(
      lua, "Script attempted to access nonexistent global variable '%s'",
      name == nullptr ? luaL_typename(lua, 2) : name);
}

void RawGetPointer(lua_State* lua, int index, void* key) {
  if (index < 0 && index > LUA_REGISTRYINDEX) --index;  // Behind the key.
  lua_pushlightuserdata(lua, key);
  lua_rawget(lua, index);
}

// Sets `key` of the table on the top to the value at `value`.
void RawSetPointer(lua_State* lua, void* key, int value) {
  lua_pushlightuserdata(lua, key);
  lua_pushvalue(lua, value < 0 ? value - 1 : value);
  lua_rawset(lua, -3);
}

// What getmetatable() gives of everything that is frozen: itself frozen, and
// empty.
void PushSealed(lua_State* lua) {
  RawGetPointer(lua, LUA_REGISTRYINDEX, &sealed_key);
  if (!lua_isnil(lua, -1)) return;
  lua_pop(lua, 1);
  lua_newtable(lua);  // The sealed table,
  lua_newtable(lua);  // its real one,
  lua_newtable(lua);  // and its metatable.
  RawSetPointer(lua, &real_key, -2);
  lua_pushcfunction(lua, RefuseChange);
  lua_setfield(lua, -2, "__newindex");
  lua_pushvalue(lua, -3);
  lua_setfield(lua, -2, "__metatable");
  lua_setmetatable(lua, -3);
  lua_pop(lua, 1);
  lua_pushlightuserdata(lua, &sealed_key);
  lua_pushvalue(lua, -2);
  lua_rawset(lua, LUA_REGISTRYINDEX);
}

void FreezeField(lua_State* lua, const char* name) {
  lua_getfield(lua, -1, name);
  if (lua_istable(lua, -1) && !IsFrozen(lua, -1)) {
    Freeze(lua);
    lua_setfield(lua, -2, name);
  } else {
    lua_pop(lua, 1);
  }
}

// Strings look methods up in the real library, which is at `library`.
void SealStrings(lua_State* lua, int library) {
  lua_pushliteral(lua, "");
  lua_newtable(lua);
  lua_pushvalue(lua, library);
  lua_setfield(lua, -2, "__index");
  lua_newtable(lua);  // What getmetatable("") gives.
  lua_pushvalue(lua, library);
  Freeze(lua);
  lua_setfield(lua, -2, "__index");
  Freeze(lua);
  lua_setfield(lua, -2, "__metatable");
  lua_setmetatable(lua, -2);
  lua_pop(lua, 1);
}

}  // namespace

void Freeze(lua_State* lua) {
  lua_newtable(lua);
  lua_newtable(lua);
  RawSetPointer(lua, &real_key, -3);
  lua_pushvalue(lua, -3);
  lua_setfield(lua, -2, "__index");
  lua_pushcfunction(lua, RefuseChange);
  lua_setfield(lua, -2, "__newindex");
  PushSealed(lua);
  lua_setfield(lua, -2, "__metatable");
  lua_setmetatable(lua, -2);
  lua_replace(lua, -2);
}

bool IsFrozen(lua_State* lua, int index) {
  if (lua_getmetatable(lua, index) == 0) return false;
  RawGetPointer(lua, -1, &real_key);
  const bool frozen = !lua_isnil(lua, -1);
  lua_pop(lua, 2);
  return frozen;
}

void RefuseIfFrozen(lua_State* lua, int index) {
  if (!lua_istable(lua, index) || !IsFrozen(lua, index)) return;
  lua_pushstring(lua, kReadOnly);
  lua_error(lua);
}

void Unfreeze(lua_State* lua, int index) {
  if (!lua_istable(lua, index) || lua_getmetatable(lua, index) == 0) return;
  RawGetPointer(lua, -1, &real_key);
  if (lua_isnil(lua, -1)) {
    lua_pop(lua, 2);
    return;
  }
  lua_replace(lua, index);
  lua_pop(lua, 1);
}

// Scripts see three tables, one behind the other: an empty one, which is their
// _G and takes no entry, that of the run, and that of the libraries.
void SealGlobals(lua_State* lua, void* run_key) {
  const int real = lua_gettop(lua) + 1;
  lua_pushvalue(lua, LUA_GLOBALSINDEX);
  lua_getfield(lua, real, "string");
  SealStrings(lua, real + 1);
  lua_pop(lua, 1);
  for (const char* library : {"string", "table", "math", "os", "coroutine",
                              "cjson", "bit", "redis"}) {
    FreezeField(lua, library);
  }
  lua_getfield(lua, real, "redis");
  lua_setfield(lua, real, "server");

  lua_newtable(lua);  // Behind the libraries there is nothing.
  lua_pushcfunction(lua, RefuseGlobal);
  lua_setfield(lua, -2, "__index");
  lua_setmetatable(lua, real);

  lua_newtable(lua);  // The run's table.
  lua_newtable(lua);
  lua_pushvalue(lua, real);
  lua_setfield(lua, -2, "__index");
  lua_setmetatable(lua, -2);
  lua_pushlightuserdata(lua, run_key);
  lua_pushvalue(lua, -2);
  lua_rawset(lua, LUA_REGISTRYINDEX);

  Freeze(lua);  // And what scripts see of it.
  lua_pushvalue(lua, -1);
  lua_setfield(lua, real, "_G");
  lua_replace(lua, LUA_GLOBALSINDEX);
  lua_pop(lua, 1);
}

}  // namespace kvd
