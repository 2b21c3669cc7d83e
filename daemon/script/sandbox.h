// SPDX-License-Identifier: MIT
//
// Tables that scripts can read and not change, so that no script leaves
// anything for the next one: a frozen table is an empty one in front of it,
// whose metatable looks things up in the real one. Lua 5.1 has no others.
#pragma once

#include <lua.hpp>

namespace kvd {

// Puts a frozen table in the place of the real one on the top of the stack. The
// first call makes what all of them share.
void Freeze(lua_State* lua);

// Whether there is a frozen table at `index`.
bool IsFrozen(lua_State* lua, int index);
// Raises an error if it is.
void RefuseIfFrozen(lua_State* lua, int index);
// Puts the real table in the place of a frozen one at `index`, which is
// positive. What a script gets must not be it.
void Unfreeze(lua_State* lua, int index);

// Makes the globals that scripts see from the real ones, which have been filled
// with all libraries: libraries are frozen, strings' metatable as well, and
// what is not there is an error. Afterwards the registry has at `run_key` the
// table in which KEYS and ARGV of a run are set.
void SealGlobals(lua_State* lua, void* run_key);

}  // namespace kvd
