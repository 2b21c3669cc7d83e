// SPDX-License-Identifier: MIT
//
// The scripts that clients may name by their SHA-1: those given to EVAL, of
// which the least recently used go, and those of SCRIPT LOAD, which stay until
// SCRIPT FLUSH. None of them survives a restart.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/error.h"
#include "daemon/script/sha1.h"

namespace kvd {

// The largest script: what takes a few milliseconds to hash.
inline constexpr size_t kScriptBytesMax = 1 << 20;

// What a first line such as "#!lua flags=no-writes" says.
struct ScriptFlags {
  bool given = false;  // There is such a line.
  bool no_writes = false;
  bool allow_oom = false;  // It may begin when memory is full.
};

struct Script {
  Sha1Text sha = {};
  std::string body = {};
  size_t code_start = 0;  // Behind that first line, at its end.
  ScriptFlags flags = {};
  bool loaded = false;

  std::string_view code() const {
    return std::string_view(body).substr(code_start);
  }
};

// What clients may name this script by. Error: it is larger than
// kScriptBytesMax, so nobody reads it.
Result<Sha1Text> NameScript(std::string_view body);
// The script of this name with what its first line says, or what is wrong with
// that. Errors' texts are without a code.
Result<Script> ParseScript(const Sha1Text& name, std::string_view body);

// Thread: loop.
class ScriptCache {
 public:
  static constexpr size_t kEvalScriptsMax = 500;
  // Bytes of memory.
  static constexpr size_t kEvalBytesMax = size_t{16} << 20;
  static constexpr size_t kLoadedBytesMax = size_t{64} << 20;

  // The script of that name, in lower case, which is now the most recently used
  // one; or null. Valid until the next Add() or Clear().
  const Script* Find(std::string_view sha);
  // The same without its having been used.
  bool Has(std::string_view sha) const { return by_sha_.contains(sha); }

  // Adds one that is not there, as given to EVAL; of those the least recently
  // used make room.
  const Script& Add(Script script);
  // Keeps one that is there until Clear(). Error: there is no room for it.
  Result<void> Load(std::string_view sha);
  void Clear();

  size_t size() const { return by_sha_.size(); }
  size_t memory_bytes() const { return eval_bytes_ + loaded_bytes_; }
  // EVAL's that went to make room.
  uint64_t evicted() const { return evicted_; }

 private:
  using Place = std::list<Script>::iterator;

  void Evict();

  std::list<Script> evaluated_;  // The most recently used first.
  std::list<Script> loaded_;
  std::unordered_map<std::string_view, Place> by_sha_;
  size_t eval_bytes_ = 0;
  size_t loaded_bytes_ = 0;
  uint64_t evicted_ = 0;
};

}  // namespace kvd
