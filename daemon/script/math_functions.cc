// SPDX-License-Identifier: MIT
//
// Random numbers that are the same each time a script runs, and os.clock(), all
// that scripts have of "os".
#include <cmath>
#include <cstdint>

#include "daemon/script/context.h"
#include "daemon/script/libraries.h"

namespace kvd {
namespace {

// In the forms that Lua's function has.
int Random(lua_State* lua) {
  constexpr lua_Number kRange = INT32_MAX;
  const lua_Number part = ContextOf(lua).random.Next() % INT32_MAX / kRange;
  switch (lua_gettop(lua)) {
    case 0:
      lua_pushnumber(lua, part);
      return 1;
    case 1: {
      const int last = luaL_checkint(lua, 1);
      luaL_argcheck(lua, last >= 1, 1, "interval is empty");
      lua_pushnumber(lua, std::floor(part * last) + 1);
      return 1;
    }
    case 2: {
      const int first = luaL_checkint(lua, 1);
      const int last = luaL_checkint(lua, 2);
      luaL_argcheck(lua, first <= last, 2, "interval is empty");
      const lua_Number size = static_cast<lua_Number>(last) - first + 1;
      lua_pushnumber(lua, std::floor(part * size) + first);
      return 1;
    }
    default:
      return luaL_error(lua, "wrong number of arguments");
  }
}

int RandomSeed(lua_State* lua) {
  ContextOf(lua).random.Seed(static_cast<uint32_t>(luaL_checkint(lua, 1)));
  return 0;
}

// Seconds of CPU time that the script has taken.
int Clock(lua_State* lua) {
  lua_pushnumber(
      lua, static_cast<lua_Number>(ContextOf(lua).meter.spent_ns()) / 1e9);
  return 1;
}

}  // namespace

void AddMathFunctions(lua_State* lua) {
  constexpr luaL_Reg kMathFunctions[] = {{"random", Random},
                                         {"randomseed", RandomSeed}};
  lua_getfield(lua, -1, "math");
  SetFunctions(lua, kMathFunctions);
  lua_pop(lua, 1);
  constexpr luaL_Reg kOsFunctions[] = {{"clock", Clock}};
  lua_newtable(lua);
  SetFunctions(lua, kOsFunctions);
  lua_setfield(lua, -2, "os");
}

}  // namespace kvd
