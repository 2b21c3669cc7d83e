// SPDX-License-Identifier: MIT
#include "daemon/script/script_cache.h"

#include <utility>

#include "base/check.h"
#include "config/units.h"

namespace kvd {
namespace {

// Beside the body: list, table, name.
constexpr size_t kBytesPerScript = 256;
size_t BytesOf(const Script& script) {
  return script.body.size() + kBytesPerScript;
}

// The next word of a line, which loses it.
std::string_view TakeWord(std::string_view* line, char separator) {
  const size_t start = line->find_first_not_of(separator);
  if (start == line->npos) {
    *line = {};
    return {};
  }
  line->remove_prefix(start);
  const std::string_view word = line->substr(0, line->find(separator));
  line->remove_prefix(word.size());
  return word;
}

// Those that mean something in a cluster, or where stale data may be read, mean
// nothing here.
bool IsKnownFlag(std::string_view flag) {
  return flag == "no-writes" || flag == "allow-oom" || flag == "allow-stale" ||
         flag == "no-cluster" || flag == "allow-cross-slot-keys";
}

Result<ScriptFlags> ParseFlags(std::string_view list) {
  ScriptFlags flags{.given = true};
  while (!list.empty()) {
    const std::string_view flag = TakeWord(&list, ',');
    if (flag.empty()) break;
    if (!IsKnownFlag(flag)) {
      return Fail(ErrorCode::kInvalid, "Unexpected flag in script shebang: {}",
                  flag);
    }
    if (flag == "no-writes") flags.no_writes = true;
    if (flag == "allow-oom") flags.allow_oom = true;
  }
  return flags;
}

// Of "#!lua flags=no-writes". Source of the texts: Redis.
Result<ScriptFlags> ParseFirstLine(std::string_view line) {
  constexpr std::string_view kFlags = "flags=";
  ScriptFlags flags{.given = true};
  const std::string_view engine = TakeWord(&line, ' ');
  if (engine != "#!lua") {
    return Fail(ErrorCode::kInvalid, "Unexpected engine in script shebang: {}",
                engine.substr(0, 64));
  }
  while (true) {
    const std::string_view word = TakeWord(&line, ' ');
    if (word.empty()) return flags;
    if (!word.starts_with(kFlags)) {
      return Fail(ErrorCode::kInvalid, "Unknown lua shebang option: {}", word);
    }
    KVD_TRY_ASSIGN(const ScriptFlags more,
                   ParseFlags(word.substr(kFlags.size())));
    flags.no_writes |= more.no_writes;
    flags.allow_oom |= more.allow_oom;
  }
}

}  // namespace

Result<Sha1Text> NameScript(std::string_view body) {
  if (body.size() > kScriptBytesMax) {
    return Fail(ErrorCode::kInvalid,
                "the script has {} bytes, and the largest has {}; pass data as "
                "arguments",
                body.size(), FormatSize(kScriptBytesMax));
  }
  return Sha1(body);
}

Result<Script> ParseScript(const Sha1Text& name, std::string_view body) {
  Script script{.sha = name};
  if (body.starts_with("#!")) {
    const size_t end = body.find('\n');
    if (end == body.npos) {
      return Fail(ErrorCode::kInvalid, "Invalid script shebang");
    }
    KVD_TRY_ASSIGN(script.flags, ParseFirstLine(body.substr(0, end)));
    // The line's end stays, so that lines are numbered as the client has them.
    script.code_start = end;
  }
  script.body = body;
  return script;
}

const Script* ScriptCache::Find(std::string_view sha) {
  const auto found = by_sha_.find(sha);
  if (found == by_sha_.end()) return nullptr;
  const Place place = found->second;
  if (!place->loaded) {
    evaluated_.splice(evaluated_.begin(), evaluated_, place);
  }
  return &*place;
}

const Script& ScriptCache::Add(Script script) {
  KVD_CHECK(!Has(View(script.sha)));
  script.loaded = false;
  evaluated_.push_front(std::move(script));
  const Place place = evaluated_.begin();
  by_sha_.emplace(View(place->sha), place);
  eval_bytes_ += BytesOf(*place);
  Evict();
  return *place;
}

// The newest stays: no script is larger than what all may take.
void ScriptCache::Evict() {
  static_assert(kScriptBytesMax + kBytesPerScript <= kEvalBytesMax);
  while (evaluated_.size() > kEvalScriptsMax || eval_bytes_ > kEvalBytesMax) {
    const Script& oldest = evaluated_.back();
    eval_bytes_ -= BytesOf(oldest);
    ++evicted_;
    by_sha_.erase(View(oldest.sha));
    evaluated_.pop_back();
  }
}

Result<void> ScriptCache::Load(std::string_view sha) {
  const auto found = by_sha_.find(sha);
  KVD_CHECK(found != by_sha_.end());
  const Place place = found->second;
  if (place->loaded) return {};
  const size_t bytes = BytesOf(*place);
  if (loaded_bytes_ + bytes > kLoadedBytesMax) {
    return Fail(ErrorCode::kResources,
                "loaded scripts take {}, which is all that they may; SCRIPT "
                "FLUSH forgets them",
                FormatSize(kLoadedBytesMax));
  }
  place->loaded = true;
  loaded_.splice(loaded_.begin(), evaluated_, place);
  eval_bytes_ -= bytes;
  loaded_bytes_ += bytes;
  return {};
}

void ScriptCache::Clear() {
  by_sha_.clear();
  evaluated_.clear();
  loaded_.clear();
  eval_bytes_ = loaded_bytes_ = 0;
}

}  // namespace kvd
