// SPDX-License-Identifier: MIT
//
// The functions of "table" that change tables, and sort, which compares for
// long without an instruction that counts.
#include "daemon/script/context.h"
#include "daemon/script/libraries.h"
#include "daemon/script/sandbox.h"

namespace kvd {
namespace {

// Compares in Lua, where instructions are counted.
constexpr char kCompare[] =
    "local order = ...\n"
    "if order then return function(a, b) return order(a, b) end end\n"
    "return function(a, b) return a < b end";

// What moving an element takes at most, about.
constexpr uint64_t kNsPerPlace = 20;

// insert and remove. The upvalue is Lua's own function, which moves all that is
// behind the position, wherever that is.
int ChangeTable(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  RefuseIfFrozen(lua, 1);
  const int count = lua_gettop(lua);
  const int64_t size = static_cast<int64_t>(lua_objlen(lua, 1)) + 1;
  const bool moves = count > 1 && lua_isnumber(lua, 2) != 0;
  const int64_t position = moves ? luaL_checkint(lua, 2) : size;
  if (position < size) {
    Afford(lua, static_cast<uint64_t>(size - position) * kNsPerPlace);
  }
  lua_pushvalue(lua, lua_upvalueindex(1));
  lua_insert(lua, 1);
  lua_call(lua, count, LUA_MULTRET);
  return lua_gettop(lua);
}

// Upvalues: Lua's own sort, and what makes a comparison.
int Sort(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  CheckNesting(lua);
  RefuseIfFrozen(lua, 1);
  if (!lua_isnoneornil(lua, 2)) luaL_checktype(lua, 2, LUA_TFUNCTION);
  lua_settop(lua, 2);
  lua_pushvalue(lua, lua_upvalueindex(1));
  lua_pushvalue(lua, 1);
  if (lua_isfunction(lua, 2) && lua_iscfunction(lua, 2) == 0) {
    lua_pushvalue(lua, 2);
  } else {
    lua_pushvalue(lua, lua_upvalueindex(2));
    lua_pushvalue(lua, 2);
    lua_call(lua, 1, 1);
  }
  lua_call(lua, 2, 0);
  return 0;
}

}  // namespace

void AddTableFunctions(lua_State* lua) {
  lua_getfield(lua, -1, "table");
  for (const char* name : {"insert", "remove"}) {
    lua_getfield(lua, -1, name);
    lua_pushcclosure(lua, ChangeTable, 1);
    lua_setfield(lua, -2, name);
  }
  lua_getfield(lua, -1, "sort");
  if (luaL_loadbuffer(lua, kCompare, sizeof kCompare - 1, "=compare") != 0) {
    lua_error(lua);
  }
  lua_pushcclosure(lua, Sort, 2);
  lua_setfield(lua, -2, "sort");
  ChargeArguments(lua, "concat", 20);
  ChargeArguments(lua, "maxn", 20);
  lua_pop(lua, 1);
}

}  // namespace kvd
