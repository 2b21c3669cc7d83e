// SPDX-License-Identifier: MIT
#include "daemon/script/interpreter.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/check.h"
#include "daemon/script/context.h"
#include "daemon/script/libraries.h"
#include "daemon/script/sandbox.h"
#include "daemon/script/values.h"

namespace kvd {
namespace {

// Their addresses are keys in the registry.
char run_key;       // The table of a run's globals.
char compiled_key;  // The compiled scripts by their names.

// A new interpreter takes the place of one that keeps more than this: compiled
// scripts, or what a script has left behind.
constexpr size_t kCompiledBytesMax = 8 << 20;
constexpr size_t kGarbageBytesMax = 1 << 20;
// Of KEYS and ARGV.
constexpr uint64_t kNsPerWord = 100;

constexpr char kChunkName[] = "@user_script";

void LookAtClock(lua_State* lua, lua_Debug*) {
  Meter& meter = ContextOf(lua).meter;
  if (meter.wants_collection()) {
    lua_gc(lua, LUA_GCCOLLECT, 0);
    meter.Collected();
  }
  lua_sethook(lua, LookAtClock, LUA_MASKCOUNT, meter.instructions_per_look());
  if (!meter.Look()) EndIfStopped(lua);
}

void* Allocate(void* data, void* block, size_t old_size, size_t new_size) {
  auto& context = *static_cast<ScriptContext*>(data);
  const int before = context.meter.instructions_per_look();
  void* const moved = context.meter.Resize(block, old_size, new_size);
  const int now = context.meter.instructions_per_look();
  // Lua allows this at any moment.
  if (now != before && context.running != nullptr) {
    lua_sethook(context.running, LookAtClock, LUA_MASKCOUNT, now);
  }
  return moved;
}

void OpenLibrary(lua_State* lua, const char* name, lua_CFunction open) {
  lua_pushcfunction(lua, open);
  lua_pushstring(lua, name);
  lua_call(lua, 1, 0);
}

// All that a script finds, in a new interpreter.
int FillInterpreter(lua_State* lua) {
  OpenLibrary(lua, "", luaopen_base);
  OpenLibrary(lua, LUA_TABLIBNAME, luaopen_table);
  OpenLibrary(lua, LUA_STRLIBNAME, luaopen_string);
  OpenLibrary(lua, LUA_MATHLIBNAME, luaopen_math);
  lua_pushvalue(lua, LUA_GLOBALSINDEX);
  AddBaseFunctions(lua);
  AddStringFunctions(lua);
  AddTableFunctions(lua);
  AddMathFunctions(lua);
  AddJson(lua);
  AddBits(lua);
  AddRedis(lua);
  lua_pop(lua, 1);
  SealGlobals(lua, &run_key);
  lua_pushlightuserdata(lua, &compiled_key);
  lua_newtable(lua);
  lua_rawset(lua, LUA_REGISTRYINDEX);
  return 0;
}

// Gives an error that nobody caught the place where it was raised: a table with
// the fields err, source and line. Source: Redis.
int DescribeError(lua_State* lua) {
  if (ContextOf(lua).meter.stopped()) return 1;
  lua_Debug frame;
  bool found = false;
  for (int level = 1; level <= 2 && !found; ++level) {
    if (lua_getstack(lua, level, &frame) == 0) break;
    lua_getinfo(lua, "Sl", &frame);
    found = *frame.what != 'C';
  }
  lua_settop(lua, 1);
  if (!lua_istable(lua, 1) || IsFrozen(lua, 1)) {
    lua_newtable(lua);
    lua_pushliteral(lua, "ERR ");
    lua_pushvalue(lua, 1);
    if (lua_isstring(lua, -1) == 0) {
      lua_pop(lua, 1);
      lua_pushstring(lua, luaL_typename(lua, 1));
    }
    lua_concat(lua, 2);
    lua_setfield(lua, -2, "err");
    lua_replace(lua, 1);
  }
  if (found) {
    lua_pushliteral(lua, "source");
    lua_pushstring(lua, frame.source);
    lua_rawset(lua, 1);
    lua_pushliteral(lua, "line");
    lua_pushinteger(lua, frame.currentline);
    lua_rawset(lua, 1);
  }
  return 1;
}

// A field of the table at 1 as text, which the table keeps alive; or `other`.
std::string_view FieldOf(lua_State* lua, int table, const char* name,
                         std::string_view other) {
  lua_pushstring(lua, name);
  lua_rawget(lua, table);
  return lua_isstring(lua, -1) != 0 ? TextAt(lua, -1) : other;
}

// Replies with the error on the top of the stack.
void WriteFailure(lua_State* lua, std::string_view sha, ReplyWriter& reply) {
  std::string& text = ContextOf(lua).text;
  if (!lua_istable(lua, -1)) {
    text =
        fmt::format("ERR Error running script {}, {}", sha,
                    TextAt(lua, -1).substr(0, ReplyWriter::kErrorBytesMax / 2));
    return reply.Error(text);
  }
  const int table = lua_gettop(lua);
  const std::string_view err = FieldOf(lua, table, "err", "ERR unknown error");
  const std::string_view source = FieldOf(lua, table, "source", "");
  const std::string_view line = FieldOf(lua, table, "line", "");
  text.assign(err.substr(0, ReplyWriter::kErrorBytesMax / 2));
  if (!source.empty() && !line.empty()) {
    fmt::format_to(std::back_inserter(text), " script: {}, on {}:{}.", sha,
                   source, line);
  }
  reply.Error(text);
}

void SetWords(lua_State* lua, const char* name,
              std::span<const std::string_view> words) {
  lua_createtable(lua, static_cast<int>(words.size()), 0);
  int i = 0;
  for (const std::string_view word : words) {
    Charge(lua, kNsPerWord);
    PushText(lua, word);
    lua_rawseti(lua, -2, ++i);
  }
  lua_setfield(lua, -2, name);
}

}  // namespace

struct Interpreter::Job {
  const ScriptCall& call;
  ReplyWriter& reply;
  bool compile_only;
  bool done = false;  // There is a reply, or what was asked for is done.
  size_t compiled_bytes = 0;
};

Interpreter::Interpreter() : context_(std::make_unique<ScriptContext>()) {}

Interpreter::~Interpreter() { Close(); }

void Interpreter::Open() {
  lua_ = lua_newstate(Allocate, context_.get());
  KVD_CHECK(lua_ != nullptr);
  KVD_CHECK(lua_cpcall(lua_, FillInterpreter, nullptr) == 0);
  lua_gc(lua_, LUA_GCCOLLECT, 0);
  fresh_bytes_ = context_->meter.used_bytes();
  compiled_bytes_ = 0;
}

void Interpreter::Close() {
  if (lua_ != nullptr) lua_close(lua_);
  lua_ = nullptr;
}

void Interpreter::Reset() { Close(); }

size_t Interpreter::memory_bytes() const {
  return context_->meter.used_bytes() + context_->buffer_bytes();
}

// Leaves the compiled script on the top, or what is wrong with it.
bool Interpreter::PushCompiled(lua_State* lua, Job& job) {
  const ScriptCall& call = job.call;
  lua_pushlightuserdata(lua, &compiled_key);
  lua_rawget(lua, LUA_REGISTRYINDEX);
  PushText(lua, call.sha);
  lua_rawget(lua, -2);
  if (!lua_isnil(lua, -1)) return true;
  lua_pop(lua, 1);
  if (call.code.starts_with(LUA_SIGNATURE[0])) {
    lua_pushliteral(lua, "bytecode is not accepted");
    return false;
  }
  const Meter& meter = ContextOf(lua).meter;
  const size_t before = meter.used_bytes();
  const bool compiled = LoadText(lua, call.code, kChunkName) == 0;
  EndIfStopped(lua);
  if (!compiled) return false;
  PushText(lua, call.sha);
  lua_pushvalue(lua, -2);
  lua_rawset(lua, -4);
  // Garbage may have gone meanwhile.
  job.compiled_bytes = std::max(meter.used_bytes(), before) - before;
  return true;
}

int Interpreter::DoProtected(lua_State* lua) {
  Job& job = *static_cast<Job*>(lua_touserdata(lua, 1));
  ScriptContext& context = ContextOf(lua);
  lua_settop(lua, 0);
  lua_pushcfunction(lua, DescribeError);
  if (!PushCompiled(lua, job)) {
    context.text =
        fmt::format("ERR Error compiling script (new function): {}",
                    TextAt(lua, -1).substr(0, ReplyWriter::kErrorBytesMax / 2));
    job.reply.Error(context.text);
    job.done = true;
    return 0;
  }
  if (job.compile_only) {
    job.done = true;
    return 0;
  }
  lua_pushlightuserdata(lua, &run_key);
  lua_rawget(lua, LUA_REGISTRYINDEX);
  SetWords(lua, "KEYS", job.call.keys);
  SetWords(lua, "ARGV", job.call.args);
  lua_pop(lua, 1);
  const int status = lua_pcall(lua, 0, 1, 1);
  EndIfStopped(lua);
  if (status != 0) {
    WriteFailure(lua, job.call.sha, job.reply);
  } else {
    WriteValue(lua, context.protocol, job.reply);
  }
  job.done = true;
  return 0;
}

// Forgets the words of the run.
int ForgetRun(lua_State* lua) {
  lua_pushlightuserdata(lua, &run_key);
  lua_rawget(lua, LUA_REGISTRYINDEX);
  for (const char* name : {"KEYS", "ARGV"}) {
    lua_pushnil(lua);
    lua_setfield(lua, -2, name);
  }
  return 0;
}

ScriptEnd Interpreter::Do(Job& job, ScriptHost& host) {
  if (lua_ == nullptr) Open();
  ScriptContext& context = *context_;
  context.stack = StackEnd();
  context.host = &host;
  context.protocol = 2;
  context.random.Seed(job.call.seed);
  context.json = {};
  context.running = lua_;
  context.meter.Begin(host, job.call.time_ns, job.call.memory_bytes);
  lua_sethook(lua_, LookAtClock, LUA_MASKCOUNT,
              context.meter.instructions_per_look());
  const int status = lua_cpcall(lua_, DoProtected, &job);
  // The one error that is left is that there is no memory.
  if (status != 0 || !job.done) context.meter.Stop(ScriptStop::kMemory);
  const ScriptEnd end = {context.meter.stop(), context.meter.spent_ns()};
  if (end.stop != ScriptStop::kNone) job.reply.Drop();
  context.meter.End();
  context.running = nullptr;
  compiled_bytes_ += job.compiled_bytes;
  CleanUp();
  return end;
}

void Interpreter::CleanUp() {
  lua_sethook(lua_, nullptr, 0, 0);
  lua_settop(lua_, 0);
  const bool forgotten = lua_cpcall(lua_, ForgetRun, nullptr) == 0;
  lua_settop(lua_, 0);
  ScriptContext::Empty(&context_->reply);
  ScriptContext::Empty(&context_->text);
  if (!forgotten || compiled_bytes_ > kCompiledBytesMax ||
      context_->meter.used_bytes() >
          fresh_bytes_ + compiled_bytes_ + kGarbageBytesMax) {
    Close();
  }
}

ScriptEnd Interpreter::Run(const ScriptCall& call, ScriptHost& host,
                           ReplyWriter& reply) {
  Job job{call, reply, /*compile_only=*/false};
  return Do(job, host);
}

ScriptEnd Interpreter::Compile(const ScriptCall& call, ScriptHost& host,
                               ReplyWriter& reply) {
  Job job{call, reply, /*compile_only=*/true};
  return Do(job, host);
}

}  // namespace kvd
