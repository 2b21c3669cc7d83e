// SPDX-License-Identifier: MIT
//
// Between Lua's values and the protocol's. Source: what EVAL's documentation of
// Redis says about conversions.
#pragma once

#include <cstdint>
#include <lua.hpp>
#include <string_view>

#include "resp/reply_writer.h"

namespace kvd {

// Pushes what a command has replied, which is whole. Raises an error when Lua
// has no room for it.
void PushReply(lua_State* lua, std::string_view reply);

// Pushes {err = text}. `text` has its code.
void PushErrorTable(lua_State* lua, std::string_view text);

// Writes the value on the top of the stack, with booleans as `protocol` has
// them, the version that the script speaks, and pops it. Tables may be deep,
// and a part of themselves: it ends when the reply has no more room, or the
// script no time.
void WriteValue(lua_State* lua, int protocol, ReplyWriter& reply);

// The integer that a number becomes, cut off at the point.
int64_t IntegerOf(lua_Number number);

}  // namespace kvd
