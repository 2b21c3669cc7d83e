// SPDX-License-Identifier: MIT
//
// Runs scripts in Lua 5.1, one at a time, each in the same surroundings: what a
// script sees of libraries cannot be changed, and its own values are gone when
// it ends.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "daemon/script/meter.h"
#include "daemon/script/script_host.h"
#include "resp/reply_writer.h"

struct lua_State;

namespace kvd {

struct ScriptContext;

struct ScriptCall {
  std::string_view sha;   // By which the compiled script is kept.
  std::string_view code;  // Without a first line that is for the server.
  std::span<const std::string_view> keys = {};
  std::span<const std::string_view> args = {};
  uint32_t seed = 0;    // Of its random numbers.
  int64_t time_ns = 0;  // Of CPU, at most.
  size_t memory_bytes = 0;
};

struct ScriptEnd {
  // kNone: the reply was written, perhaps an error; else none was.
  ScriptStop stop = ScriptStop::kNone;
  int64_t spent_ns = 0;
};

// Thread: loop.
class Interpreter {
 public:
  Interpreter();
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  // Runs a script. Nothing else runs meanwhile: `host` must not come back here.
  ScriptEnd Run(const ScriptCall& call, ScriptHost& host, ReplyWriter& reply);
  // The same up to the point where it would begin: with kNone it is compiled,
  // and kept so, or there is an error reply.
  ScriptEnd Compile(const ScriptCall& call, ScriptHost& host,
                    ReplyWriter& reply);

  // Compiled scripts are forgotten.
  void Reset();
  // What it has allocated, its buffers included.
  size_t memory_bytes() const;

 private:
  struct Job;

  void Open();
  void Close();
  ScriptEnd Do(Job& job, ScriptHost& host);
  static int DoProtected(lua_State* lua);
  static bool PushCompiled(lua_State* lua, Job& job);
  void CleanUp();

  std::unique_ptr<ScriptContext> context_;
  lua_State* lua_ = nullptr;   // Null until there is a script.
  size_t fresh_bytes_ = 0;     // What it takes with no script.
  size_t compiled_bytes_ = 0;  // What compiled scripts take, about.
};

}  // namespace kvd
