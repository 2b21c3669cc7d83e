// SPDX-License-Identifier: MIT
//
// What the interpreter has beside Lua's own libraries, or in place of parts of
// them. Each function enters a library into the table of globals that is on the
// top of the stack, and leaves the stack as it was.
#pragma once

#include <lua.hpp>
#include <string_view>

namespace kvd {

// In place of what is not bounded, or would let a script escape: base
// functions and coroutines, string, table, and math with os.clock().
void AddBaseFunctions(lua_State* lua);
void AddStringFunctions(lua_State* lua);
void AddTableFunctions(lua_State* lua);
void AddMathFunctions(lua_State* lua);

// Beside Lua's: "cjson", "bit", and "redis", which is "server", too.
void AddJson(lua_State* lua);
void AddBits(lua_State* lua);
void AddRedis(lua_State* lua);

// cjson.null; what JSON calls null.
inline void PushJsonNull(lua_State* lua) {
  lua_pushlightuserdata(lua, nullptr);
}

// For those functions: enters `functions` into the table on the top.
template <size_t N>
void SetFunctions(lua_State* lua, const luaL_Reg (&functions)[N]) {
  for (const luaL_Reg& function : functions) {
    lua_pushcfunction(lua, function.func);
    lua_setfield(lua, -2, function.name);
  }
}

// Compiles text, as lua_load() does; it charges what that takes. The text is no
// bytecode.
int LoadText(lua_State* lua, std::string_view text, const char* name);

// In place of the function `name` of the table on the top one that first
// charges what its arguments weigh: the bytes of texts and the places of
// tables, `ns` for each.
void ChargeArguments(lua_State* lua, const char* name, int ns);

}  // namespace kvd
