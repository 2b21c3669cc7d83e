// SPDX-License-Identifier: MIT
//
// EVAL and SCRIPT. A script runs in one attempt of a transaction: what it has
// changed takes effect together when it has ended, by an error of its own or
// not; when it is stopped nothing of it has happened.
#include <fmt/format.h>

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/planted_bug.h"
#include "base/random.h"
#include "config/units.h"
#include "daemon/commands/handlers.h"
#include "daemon/commands/refusals.h"
#include "daemon/commands/support.h"
#include "daemon/commands/text.h"
#include "daemon/commands/transaction.h"
#include "daemon/script/scripts.h"

namespace kvd {
namespace {

constexpr std::string_view kNoScriptFound =
    "NOSCRIPT No matching script. Please use EVAL.";
// How often a script begins anew because a value that it asks for is on disk.
constexpr int kReRunsMax = 64;

int64_t ThreadCpuNs() {
  timespec time = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

Scripts& ScriptsOf(ServerState& service) {
  if (service.scripts == nullptr) {
    service.scripts = {new Scripts, [](Scripts* scripts) { delete scripts; }};
  }
  return *service.scripts;
}

void NoteFigures(ServerState& service) {
  const Scripts& scripts = ScriptsOf(service);
  service.script_figures = {
      .cached = scripts.cache.size(),
      .cache_bytes = scripts.cache.memory_bytes(),
      .interpreter_bytes = scripts.interpreter.memory_bytes(),
      .evicted = scripts.cache.evicted()};
}

// Why a script is stopped that takes too much.
std::string StopText(const Call& call, ScriptStop why) {
  const Config::Script& config = call.service.config.script;
  if (why == ScriptStop::kTime) {
    return fmt::format(
        "ERR the script ran longer than script.time_limit, which is {}; "
        "nothing was changed. Do less in one script",
        FormatDuration(config.time_ms));
  }
  return fmt::format(
      "ERR the script needs more memory than script.memory_limit, which is "
      "{}; nothing was changed. Do less in one script",
      FormatSize(config.memory_bytes));
}

// What a script reaches of the daemon.
class EvalHost final : public ScriptHost {
 public:
  // Without an attempt it runs no commands.
  EvalHost(Call& call, Attempt* attempt, bool read_only)
      : call_(call), attempt_(attempt), read_only_(read_only) {}

  bool RunCommand(std::span<const std::string_view> words, int protocol,
                  std::string* reply) override;
  bool KnowsCommand(std::span<const std::string_view> words) override {
    return RowFor(words, nullptr) != nullptr;
  }
  void Log(ScriptLogLevel level, std::string_view text) override;
  int64_t CpuNs() override;
  // So much time the script has from the first look at the clock, and its
  // commands, too.
  void LimitTime(int64_t time_ns);

 private:
  static const Command* RowFor(std::span<const std::string_view> words,
                               const char** error);

  Call& call_;
  Attempt* const attempt_;
  const bool read_only_;
  int64_t time_ns_ = 0;
  std::optional<int64_t> end_ns_;
};

int64_t EvalHost::CpuNs() {
  const int64_t now_ns =
      call_.service.cpu_ns ? call_.service.cpu_ns() : ThreadCpuNs();
  if (!end_ns_) end_ns_ = now_ns + time_ns_;
  return now_ns;
}

void EvalHost::LimitTime(int64_t time_ns) {
  time_ns_ = time_ns;
  attempt_->LimitTime([this] {
    return CpuNs() <= *end_ns_ ? std::string()
                               : StopText(call_, ScriptStop::kTime);
  });
}

// The command for these words, or null and what is wrong with them. Source:
// Redis.
const Command* EvalHost::RowFor(std::span<const std::string_view> words,
                                const char** error) {
  const Command* command = FindCommand(words[0]);
  if (command != nullptr && !command->subcommands.empty() && words.size() > 1) {
    command = FindSubcommand(*command, words[1]);
  }
  if (error == nullptr) return command;
  if (command == nullptr) {
    *error = "ERR Unknown Redis command called from script";
  } else if (words.size() < static_cast<size_t>(command->words_min) ||
             words.size() > static_cast<size_t>(command->words_max)) {
    *error = "ERR Wrong number of args calling Redis command from script";
    command = nullptr;
  }
  return command;
}

bool EvalHost::RunCommand(std::span<const std::string_view> words, int protocol,
                          std::string* reply) {
  const char* error = nullptr;
  const Command* const command = RowFor(words, &error);
  if (command != nullptr && (command->flags & (kNoScript | kNoMulti)) != 0) {
    error = "ERR This Redis command is not allowed from script";
  } else if (command != nullptr && read_only_ &&
             (command->access == Access::kWrite ||
              (command->flags & kReachesOthers) != 0)) {
    error = "ERR Write commands are not allowed from read-only scripts.";
  }
  if (error != nullptr) {
    ReplyWriter(reply, protocol).Error(error);
    return true;
  }
  const CommandRow* const row = attempt_->Find(words, reply);
  if (row == nullptr) return true;
  return attempt_->Run(*row, words, protocol, By::kScript, reply) ==
         Attempt::Outcome::kRan;
}

void EvalHost::Log(ScriptLogLevel level, std::string_view text) {
  ServerState& service = call_.service;
  if (level < ScriptLogLevel::kNotice) return;
  if (!service.log_rate.Allow(service.NowMs())) return;
  if (level == ScriptLogLevel::kWarning) {
    LogWarning("script of client {}: {}", call_.session.id, text);
  } else {
    LogInfo("script of client {}: {}", call_.session.id, text);
  }
}

// One EVAL of any kind.
struct Evaluation {
  const Script* script = nullptr;
  std::span<const std::string_view> keys;
  std::span<const std::string_view> args;
  bool read_only = false;
};

ScriptCall CallOf(const Call& call, const Script& script) {
  const Config::Script& config = call.service.config.script;
  return {.sha = View(script.sha),
          .code = script.code(),
          .time_ns = config.time_ms * 1'000'000,
          .memory_bytes = config.memory_bytes};
}

// Has the attempt wait, and the script begin anew then, unless it has done so
// too often.
void WaitToRunAgain(Call& call, Attempt& attempt,
                    std::span<const std::string_view> keys) {
  if (attempt.waits_for() == WaitsFor::kValues) {
    if (call.session.scripts.CountReRun() > kReRunsMax) {
      return attempt.Refuse(fmt::format(
          "ERR the script asked for values that are not in memory {} times, "
          "one after another; nothing was changed. Name them in KEYS, or read "
          "them with one MGET",
          kReRunsMax));
    }
    ValuesAhead ahead(call);
    for (const std::string_view key : keys) {
      if (!ahead.AskFor(key)) break;
    }
  }
  call.op->WaitFor(attempt.waits_for());
}

// The script did not come to its end: why, as its reply or as what it waits
// for.
void EndStopped(Call& call, Attempt& attempt, ScriptStop why,
                std::span<const std::string_view> keys) {
  if (why != ScriptStop::kHost) {
    attempt.Refuse(StopText(call, why));
  } else if (attempt.outcome() == Attempt::Outcome::kWaits) {
    WaitToRunAgain(call, attempt, keys);
  }
  if (attempt.outcome() == Attempt::Outcome::kRefused) {
    call.reply.Error(attempt.refusal());
  }
}

// Leaves a reply, or what the script waits for.
void Evaluate(Call& call, const Evaluation& evaluation) {
  uint64_t word_bytes = 0;
  for (const std::string_view word : call.args) word_bytes += word.size();
  Attempt attempt(call, word_bytes);
  ScriptStop stop = ScriptStop::kHost;
  if (attempt.outcome() == Attempt::Outcome::kRan) {
    attempt.ShowFirst();
    EvalHost host(call, &attempt, evaluation.read_only);
    ScriptProgress& progress = call.session.scripts;
    const size_t number = progress.Begin(RandomU64);
    ScriptCall script = CallOf(call, *evaluation.script);
    script.seed = progress.SeedOf(number);
    script.time_ns -= progress.SpentBy(number);
    script.keys = evaluation.keys;
    script.args = evaluation.args;
    // What it selects is for its own commands.
    const int database = call.session.database;
    host.LimitTime(script.time_ns);
    const ScriptEnd end =
        ScriptsOf(call.service).interpreter.Run(script, host, call.reply);
    attempt.LimitTime(nullptr);
    call.session.database = database;
    stop = end.stop;
    if (stop == ScriptStop::kHost) progress.Spend(number, end.spent_ns);
  }
  if (stop != ScriptStop::kNone && !IsPlanted(PlantedBug::kStoppedApplies)) {
    EndStopped(call, attempt, stop, evaluation.keys);
  } else if (call.reply.overflowed()) {
    attempt.Refuse(RefusalOf(call, *call.cold));
  } else {
    attempt.Commit();
  }
}

// Nothing after an error reply.
std::optional<Sha1Text> NameOf(Call& call, std::string_view body) {
  const Result<Sha1Text> name = NameScript(body);
  if (name) return *name;
  call.reply.Error(fmt::format("ERR {}", name.error().message()));
  return std::nullopt;
}

// Compiles a script and keeps it; null after an error reply.
const Script* Register(Call& call, const Sha1Text& name,
                       std::string_view body) {
  Result<Script> parsed = ParseScript(name, body);
  if (!parsed) {
    call.reply.Error(fmt::format("ERR {}", parsed.error().message()));
    return nullptr;
  }
  Scripts& scripts = ScriptsOf(call.service);
  EvalHost host(call, nullptr, true);
  std::string refusal;
  ReplyWriter reply(&refusal, call.reply.protocol());
  const ScriptEnd end =
      scripts.interpreter.Compile(CallOf(call, *parsed), host, reply);
  if (end.stop != ScriptStop::kNone) {
    call.reply.Error(StopText(call, end.stop));
    return nullptr;
  }
  if (!refusal.empty()) {
    call.reply.Error(std::string_view(refusal).substr(1, refusal.size() - 3));
    return nullptr;
  }
  const Script& added = scripts.cache.Add(std::move(*parsed));
  NoteFigures(call.service);
  return &added;
}

// The script of this text; null after an error reply.
const Script* FindOrRegister(Call& call, std::string_view body) {
  const std::optional<Sha1Text> name = NameOf(call, body);
  if (!name) return nullptr;
  const Script* const known = ScriptsOf(call.service).cache.Find(View(*name));
  return known != nullptr ? known : Register(call, *name, body);
}

// The words of the command after the script: how many keys, the keys, the
// arguments. False after an error reply.
bool TakeWords(Call& call, Evaluation* evaluation) {
  const std::optional<int64_t> keys = IntegerWord(call, 2);
  if (!keys) return false;
  const std::span rest = call.args.subspan(3);
  if (*keys < 0) {
    call.reply.Error("ERR Number of keys can't be negative");
    return false;
  }
  if (static_cast<uint64_t>(*keys) > rest.size()) {
    call.reply.Error("ERR Number of keys can't be greater than number of args");
    return false;
  }
  evaluation->keys = rest.first(static_cast<size_t>(*keys));
  evaluation->args = rest.subspan(static_cast<size_t>(*keys));
  return true;
}

// And stays so: what a flushed database leaves is about to go.
bool MemoryIsFull(const Store& store) {
  const uint64_t limit = store.memory_limit_bytes();
  if (limit == 0 || store.memory_bytes() < limit) return false;
  const StoreStats stats = store.Stats();
  return stats.memory_full && stats.tables_queued == 0;
}

// A first line without the flag says that the script writes. Source: Valkey.
bool MayRun(Call& call, const Script& script, bool read_only) {
  const ScriptFlags& flags = script.flags;
  if (!flags.given || flags.no_writes) return true;
  if (read_only) {
    call.reply.Error(
        "ERR Can not execute a script with write flag using *_ro command.");
    return false;
  }
  const Store& store = *call.service.store;
  if (flags.allow_oom || !MemoryIsFull(store)) return true;
  call.reply.Error(
      fmt::format("OOM allow-oom flag is not set on the script, can not run it "
                  "when used memory > 'maxmemory'. {}",
                  MemoryFullAdvice(store)));
  return false;
}

// `script` is null after an error reply.
void EvaluateScript(Call& call, const Script* script, bool read_only,
                    Evaluation evaluation) {
  if (script != nullptr && MayRun(call, *script, read_only)) {
    evaluation.script = script;
    evaluation.read_only = read_only || script->flags.no_writes;
    Evaluate(call, evaluation);
    NoteFigures(call.service);
  }
  if (call.op->waits_for() == WaitsFor::kNothing && !call.in_transaction()) {
    call.session.scripts = {};
  }
}

void EvaluateBody(Call& call, bool read_only) {
  Evaluation evaluation;
  if (!TakeWords(call, &evaluation)) return;
  EvaluateScript(call, FindOrRegister(call, call.args[1]), read_only,
                 evaluation);
}

// A name in any case as the cache has it; empty if it is none.
std::string NameIn(std::string_view word) {
  return word.size() == Sha1Text().size() ? LowerCase(word) : std::string();
}

void EvaluateSha(Call& call, bool read_only) {
  Evaluation evaluation;
  if (call.args[1].size() != Sha1Text().size()) {
    return call.reply.Error(kNoScriptFound);
  }
  if (!TakeWords(call, &evaluation)) return;
  const Script* const script =
      ScriptsOf(call.service).cache.Find(LowerCase(call.args[1]));
  if (script == nullptr) call.reply.Error(kNoScriptFound);
  EvaluateScript(call, script, read_only, evaluation);
}

}  // namespace

void HandleEval(Call& call) { EvaluateBody(call, /*read_only=*/false); }
void HandleEvalRo(Call& call) { EvaluateBody(call, /*read_only=*/true); }
void HandleEvalSha(Call& call) { EvaluateSha(call, /*read_only=*/false); }
void HandleEvalShaRo(Call& call) { EvaluateSha(call, /*read_only=*/true); }

void HandleScriptExists(Call& call) {
  const ScriptCache& cache = ScriptsOf(call.service).cache;
  call.reply.ArrayHeader(call.args.size() - 2);
  for (const std::string_view sha : call.args.subspan(2)) {
    call.reply.Integer(cache.Has(NameIn(sha)) ? 1 : 0);
  }
}

void HandleScriptFlush(Call& call) {
  if (call.args.size() == 3 && !IsWord(call.args[2], "SYNC") &&
      !IsWord(call.args[2], "ASYNC")) {
    return call.reply.Error("ERR SCRIPT FLUSH only support SYNC|ASYNC option");
  }
  call.reply.Ok();
  call.WhenCertain([&service = call.service] {
    ScriptsOf(service).cache.Clear();
    ScriptsOf(service).interpreter.Reset();
    NoteFigures(service);
  });
}

void HandleScriptHelp(Call& call) {
  static constexpr std::string_view kLines[] = {
      "SCRIPT <subcommand> [<arg> ...]. Subcommands are:",
      "EXISTS <sha1> [<sha1> ...]",
      "    Return information about the existence of the scripts in the script "
      "cache.",
      "FLUSH [ASYNC|SYNC]",
      "    Flush the Lua scripts cache.",
      "KILL",
      "    Answers that no script runs: scripts end in time by themselves.",
      "LOAD <script>",
      "    Load a script into the scripts cache without executing it.",
      "SHOW <sha1>",
      "    Show a script from the scripts cache.",
      "HELP",
      "    Print this help."};
  ReplyLines(call, kLines);
}

// Whoever asks is not in the middle of one.
void HandleScriptKill(Call& call) {
  call.reply.Error("NOTBUSY No scripts in execution right now.");
}

void HandleScriptLoad(Call& call) {
  const Script* const script = FindOrRegister(call, call.args[2]);
  if (script == nullptr) return;
  const std::string_view sha = View(script->sha);
  if (const auto loaded = ScriptsOf(call.service).cache.Load(sha); !loaded) {
    return call.reply.Error(fmt::format("ERR {}", loaded.error().message()));
  }
  call.reply.Bulk(sha);
}

void HandleScriptShow(Call& call) {
  const Script* const script =
      ScriptsOf(call.service).cache.Find(NameIn(call.args[2]));
  if (script == nullptr) return call.reply.Error(kNoScriptFound);
  call.reply.Bulk(script->body);
}

}  // namespace kvd
