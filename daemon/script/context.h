// SPDX-License-Identifier: MIT
//
// What the functions that Lua calls work with, and how they end a script.
//
// Lua is C: it raises an error by longjmp(), which skips destructors. (Debian
// has a build that throws exceptions instead. No exception crosses our code,
// and none would reach a handler through C frames of others.) So what owns
// memory is in the context, and a function that Lua calls has nothing on its
// stack that must be destroyed whenever it calls into Lua.
#pragma once

#include <cstdint>
#include <lua.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/script/meter.h"
#include "daemon/script/script_host.h"

namespace kvd {

// The sequence of drand48(), which is the same everywhere, so that a script
// that runs again draws the same numbers. Source: POSIX, and Redis for what is
// made of it.
class ScriptRandom {
 public:
  void Seed(uint32_t seed) { state_ = uint64_t{seed} << 16 | 0x330e; }
  // 31 bits.
  int32_t Next() {
    state_ = (state_ * 0x5deece66d + 0xb) & ((uint64_t{1} << 48) - 1);
    return static_cast<int32_t>(state_ >> 17);
  }

 private:
  uint64_t state_ = 0;
};

// What cjson's functions set.
struct JsonSettings {
  bool sparse_convert = false;
  int sparse_ratio = 2;
  int sparse_safe = 10;
  int encode_depth_max = 1000;
  int decode_depth_max = 1000;
  int precision = 14;
  bool encode_invalid_numbers = false;
  bool encode_null_for_invalid = false;
  bool decode_invalid_numbers = true;
};

struct ScriptContext {
  Meter meter;
  lua_State* running = nullptr;  // The main thread, or a coroutine.
  ScriptHost* host = nullptr;
  const char* stack = nullptr;  // Where the run's frames begin.
  int protocol = 2;             // Of what redis.call() returns.
  ScriptRandom random;
  JsonSettings json;

  // Of functions under way. An error may leave large ones behind.
  std::vector<std::string_view> words;
  std::string reply;
  std::string text;

  // What a buffer keeps for the next use.
  static constexpr size_t kKeptBytes = 64 << 10;
  static void Empty(std::string* buffer) {
    buffer->clear();
    if (buffer->capacity() > kKeptBytes) buffer->shrink_to_fit();
  }
  size_t buffer_bytes() const { return reply.capacity() + text.capacity(); }
};

inline ScriptContext& ContextOf(lua_State* lua) {
  void* context = nullptr;
  lua_getallocf(lua, &context);
  return *static_cast<ScriptContext*>(context);
}

// Ends the script if the meter has stopped it. Does not return then.
inline void EndIfStopped(lua_State* lua) {
  if (!ContextOf(lua).meter.stopped()) return;
  lua_pushlightuserdata(lua, nullptr);
  lua_error(lua);
}
inline void StopScript(lua_State* lua, ScriptStop why) {
  ContextOf(lua).meter.Stop(why);
  EndIfStopped(lua);
}
// Meter's functions, for functions that Lua calls.
inline void Charge(lua_State* lua, uint64_t ns) {
  if (!ContextOf(lua).meter.Charge(ns)) EndIfStopped(lua);
}
inline void Afford(lua_State* lua, uint64_t ns) {
  if (!ContextOf(lua).meter.Afford(ns)) EndIfStopped(lua);
}

// How far the thread's stack is used. Not told by a local variable's address:
// with AddressSanitizer those may live elsewhere.
[[gnu::always_inline]] inline const char* StackEnd() {
  return static_cast<const char*>(__builtin_frame_address(0));
}

// Whether calls nest too deep for the thread's stack. Lua counts calls only
// within one coroutine; whoever calls back into Lua, or itself, asks.
inline bool NestsTooDeep(lua_State* lua) {
  constexpr ptrdiff_t kStackBytesMax = 1 << 20;
  return ContextOf(lua).stack - StackEnd() > kStackBytesMax;
}
inline void CheckNesting(lua_State* lua) {
  if (NestsTooDeep(lua)) luaL_error(lua, "C stack overflow");
}

// A string on the stack, where it must stay.
inline std::string_view TextAt(lua_State* lua, int index) {
  size_t size = 0;
  const char* const text = lua_tolstring(lua, index, &size);
  return {text, text == nullptr ? 0 : size};
}
inline void PushText(lua_State* lua, std::string_view text) {
  lua_pushlstring(lua, text.data(), text.size());
}

}  // namespace kvd
