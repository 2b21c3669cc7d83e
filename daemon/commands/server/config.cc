// SPDX-License-Identifier: MIT
//
// CONFIG: kvd's settings by their names, and those of Redis that clients ask
// for or set. Whoever may open the socket may change them; the file that
// REWRITE changes is kvd's own, and no client names one.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "config/rewrite.h"
#include "daemon/commands/handlers.h"
#include "daemon/commands/support.h"
#include "daemon/commands/text.h"
#include "daemon/host/logging.h"
#include "fs/replace_file.h"

namespace kvd {
namespace {

using NameAndValue = std::pair<std::string, std::string>;

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr std::string_view kImmutable = "can't set immutable config";

std::string FsyncName(SyncMode mode) {
  switch (mode) {
    case SyncMode::kAlways:
      return "always";
    case SyncMode::kInterval:
      return "everysec";
    case SyncMode::kNever:
      return "no";
  }
  return "no";
}

// "100mb", "1000": what Redis takes for an amount of memory. Source: memtoull()
// of Redis.
std::optional<uint64_t> ParseRedisBytes(std::string_view text) {
  constexpr std::pair<std::string_view, uint64_t> kUnits[] = {
      {"", 1},
      {"B", 1},
      {"K", 1000},
      {"KB", 1024},
      {"M", 1'000'000},
      {"MB", 1024 * 1024},
      {"G", 1'000'000'000},
      {"GB", 1024 * 1024 * 1024}};
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc()) return std::nullopt;
  for (const auto& [unit, bytes] : kUnits) {
    if (!IsWord({rest, static_cast<size_t>(end - rest)}, unit)) continue;
    if (number > std::numeric_limits<uint64_t>::max() / bytes) break;
    return number * bytes;
  }
  return std::nullopt;
}

Result<std::string> FromBytes(std::string_view text) {
  const auto bytes = ParseRedisBytes(text);
  if (bytes) return fmt::format("{}B", *bytes);
  return Fail(ErrorCode::kInvalid, "argument must be a memory value");
}

Result<std::string> FromLimit(std::string_view text) {
  if (text == "0") return std::string();
  return FromBytes(text);
}

Result<int64_t> FromInteger(std::string_view text) {
  if (const auto number = ParseInteger(text)) return *number;
  return Fail(ErrorCode::kInvalid,
              "argument couldn't be parsed into an integer");
}

Result<std::string> FromCount(std::string_view text) {
  KVD_TRY_ASSIGN(const int64_t count, FromInteger(text));
  return std::to_string(count);
}

Result<std::string> AsItIs(std::string_view text) { return std::string(text); }

// A negative threshold is none.
Result<std::string> FromThreshold(std::string_view text) {
  KVD_TRY_ASSIGN(const int64_t us, FromInteger(text));
  return us < 0 ? std::string() : fmt::format("{}us", us);
}

Result<std::string> FromLogLevel(std::string_view text) {
  if (IsWord(text, "NOTICE")) return std::string("info");
  if (IsWord(text, "WARNING")) return std::string("warning");
  return Fail(ErrorCode::kInvalid,
              "argument must be notice or warning; logging.level knows "
              "error, too");
}

using Get = std::string (*)(const ServerState&);

// A setting of Redis, and what is here in its place.
struct RedisSetting {
  std::string_view name;
  // Its value, if that is always the same, and why no other one is taken …
  std::string_view value;
  std::string_view why;
  // … or where it comes from …
  Get get = nullptr;
  // … and kvd's setting, with that one's value for one of Redis.
  std::string_view setting = {};
  Result<std::string> (*from)(std::string_view) = nullptr;

  std::string Value(const ServerState& service) const {
    return get != nullptr ? get(service) : std::string(value);
  }
};

constexpr std::string_view kAlwaysLazy =
    "kvd always frees in the background what may take long";

// In order of their names.
constexpr RedisSetting kRedisSettings[] = {
    {"appendfsync",
     {},
     "durability.sync in kvd.toml says so at the start",
     [](const ServerState& service) {
       return FsyncName(service.config.durability.sync);
     }},
    {"appendonly", "yes", "kvd always writes its log"},
    {"client-query-buffer-limit",
     {},
     "limits.input_bytes in kvd.toml says so at the start",
     [](const ServerState& service) {
       return std::to_string(service.config.limits.input_bytes);
     }},
    {"daemonize", "no", kImmutable},
    {"databases",
     {},
     kImmutable,
     [](const ServerState&) { return std::to_string(kDatabases); }},
    {"dir",
     {},
     "data_dir in kvd.toml says so at the start",
     [](const ServerState& service) { return service.config.data_dir; }},
    {"enable-debug-command",
     {},
     kImmutable,
     [](const ServerState& service) {
       return std::string(service.config.debug.commands ? "yes" : "no");
     }},
    {"latency-monitor-threshold", "0",
     "kvd has no latency events; see LATENCY HISTOGRAM and SLOWLOG"},
    {"latency-tracking", "yes", "kvd always measures"},
    {"lazyfree-lazy-eviction", "yes", kAlwaysLazy},
    {"lazyfree-lazy-expire", "yes", kAlwaysLazy},
    {"lazyfree-lazy-server-del", "yes", kAlwaysLazy},
    {"lazyfree-lazy-user-del", "yes", kAlwaysLazy},
    {"lazyfree-lazy-user-flush", "yes", kAlwaysLazy},
    {"loglevel",
     {},
     {},
     [](const ServerState& service) {
       return std::string(service.config.logging.level == LogLevel::kInfo
                              ? "notice"
                              : "warning");
     },
     "logging.level",
     FromLogLevel},
    {"maxclients",
     {},
     {},
     [](const ServerState& service) {
       return std::to_string(service.connections_max);
     },
     "limits.connections",
     FromCount},
    {"maxmemory",
     {},
     {},
     [](const ServerState& service) {
       return std::to_string(
           service.store != nullptr ? service.store->memory_limit_bytes() : 0);
     },
     "memory.limit",
     FromLimit},
    {"maxmemory-clients", "0", "the sum of what clients take has no limit"},
    {"maxmemory-policy", "noeviction",
     "kvd never removes a key to make room for others"},
    {"notify-keyspace-events",
     {},
     {},
     [](const ServerState& service) {
       return service.config.pubsub.keyspace_events;
     },
     "pubsub.keyspace_events",
     AsItIs},
    {"port", "0", "kvd listens on a Unix socket alone"},
    {"proto-max-bulk-len",
     {},
     {},
     [](const ServerState& service) {
       return std::to_string(service.config.limits.value_bytes);
     },
     "limits.value_size",
     FromBytes},
    {"requirepass", "",
     "kvd has no passwords; the socket's permissions say who may connect"},
    {"save", "", "kvd makes no snapshots; what is written is in its log"},
    {"slowlog-log-slower-than",
     {},
     {},
     [](const ServerState& service) {
       const int64_t us = service.config.slowlog.threshold_us;
       return std::to_string(us == kNever ? -1 : us);
     },
     "slowlog.threshold",
     FromThreshold},
    {"slowlog-max-len",
     {},
     {},
     [](const ServerState& service) {
       return std::to_string(service.config.slowlog.length);
     },
     "slowlog.length",
     FromCount},
    {"timeout", "0", "kvd does not close idle connections"},
    {"unixsocket",
     {},
     kImmutable,
     [](const ServerState& service) { return service.socket_path; }},
};

std::vector<NameAndValue> Settings(const ServerState& service) {
  std::vector<NameAndValue> settings;
  for (const RedisSetting& setting : kRedisSettings) {
    settings.emplace_back(setting.name, setting.Value(service));
  }
  for (NameAndValue& setting : DescribeSettings(service.config)) {
    settings.push_back(std::move(setting));
  }
  return settings;
}

// Whether a setting means nothing where the data is not on this machine.
bool IsOfLog(std::string_view name) {
  constexpr std::string_view kTables[] = {"backup.", "compaction.",
                                          "durability.", "log.", "scrub."};
  return name == "memory.value_cache" ||
         std::ranges::any_of(kTables, [&](std::string_view table) {
           return name.starts_with(table);
         });
}

// What CONFIG SET asks for in words of kvd: nothing if it is so already.
Result<std::optional<NameAndValue>> TranslateRedis(const ServerState& service,
                                                   const RedisSetting& setting,
                                                   std::string_view value) {
  if (setting.from != nullptr) {
    KVD_TRY_ASSIGN(std::string text, setting.from(value));
    return NameAndValue(setting.setting, std::move(text));
  }
  if (setting.why != kImmutable && SameWord(value, setting.Value(service))) {
    return std::nullopt;
  }
  return Unexpected(Error(ErrorCode::kInvalid, std::string(setting.why)));
}

Result<std::optional<NameAndValue>> Translate(const ServerState& service,
                                              const std::string& name,
                                              std::string_view value) {
  const auto* const redis =
      std::ranges::find(kRedisSettings, name, &RedisSetting::name);
  if (redis != std::end(kRedisSettings)) {
    return TranslateRedis(service, *redis, value);
  }
  switch (WhenChangeable(name)) {
    case Changeable::kUnknown:
      return Fail(ErrorCode::kNotFound, "unknown");
    case Changeable::kAtStart:
      if (value == GetSetting(service.config, name)) return std::nullopt;
      return Fail(ErrorCode::kInvalid,
                  "{}: it is read at the start; change it in kvd.toml and "
                  "restart kvd",
                  kImmutable);
    case Changeable::kAtRunTime:
      if (service.batches == nullptr || !IsOfLog(name)) break;
      if (value == GetSetting(service.config, name)) return std::nullopt;
      return Fail(ErrorCode::kInvalid,
                  "it is about the log and the values on this machine's disk, "
                  "and the data is in etcd: it would change nothing");
  }
  return NameAndValue(name, value);
}

// Whether there are descriptors for the clients that `config` allows.
Result<void> CheckDescriptors(const ServerState& service,
                              const Config& config) {
  if (config.limits.connections == service.config.limits.connections ||
      config.limits.connections <= service.connections_possible) {
    return {};
  }
  return Fail(ErrorCode::kInvalid,
              "The operating system is not able to handle the specified number "
              "of clients, try with {}",
              service.connections_possible);
}

// Adds a change to `changes`, and to `config` so that what comes after it sees
// it.
Result<void> TakeChange(const ServerState& service, const std::string& name,
                        std::string_view value,
                        std::vector<NameAndValue>* changes, Config* config) {
  KVD_TRY_ASSIGN(std::optional<NameAndValue> change,
                 Translate(service, name, value));
  if (!change) return {};
  const bool again =
      std::ranges::any_of(*changes, [&](const NameAndValue& earlier) {
        return earlier.first == change->first;
      });
  if (again) return Fail(ErrorCode::kInvalid, "duplicate parameter");
  KVD_TRY(SetSetting(config, change->first, change->second));
  KVD_TRY(CheckDescriptors(service, *config));
  changes->push_back(*std::move(change));
  return {};
}

void Refuse(Call& call, std::string_view name, const Error& error) {
  if (error.code() == ErrorCode::kNotFound) {
    return call.reply.Error(
        fmt::format("ERR Unknown option or number of arguments for CONFIG SET "
                    "- '{}'",
                    Quoted(name)));
  }
  call.reply.Error(fmt::format(
      "ERR CONFIG SET failed (possibly related to argument '{}') - {}",
      Quoted(name), error.message()));
}

// The changes fitted when the command came. In a transaction others may have
// been made since, with which they do not.
void Apply(ServerState& service, const std::vector<NameAndValue>& changes) {
  Config config = service.config;
  for (const auto& [name, value] : changes) {
    KVD_CHECK(SetSetting(&config, name, value).ok());
  }
  if (const auto fits = CheckRelations(config); !fits) {
    return LogWarning("CONFIG SET of {} changes nothing: {}",
                      changes.front().first, fits.error().message());
  }
  for (const auto& [name, value] : changes) {
    service.changed_settings.insert(name);
  }
  service.configure(config);
}

// What to do where the file may not be written.
std::string_view RewriteAdvice(const Error& error) {
  if (error.code() != ErrorCode::kPermission && error.sys_errno() != EROFS) {
    return "";
  }
  return ". kvd replaces the file, so it must be allowed to write its folder: "
         "give that to kvd's user and, under systemd, name it in "
         "ReadWritePaths= (systemctl edit kvd); or change the file by hand";
}

Result<void> RewriteFile(const ServerState& service) {
  std::vector<NameAndValue> changes;
  for (const std::string& name : service.changed_settings) {
    changes.emplace_back(name, GetSetting(service.config, name));
  }
  const std::string& path = service.config_file;
  KVD_TRY_ASSIGN(const std::string text, ReadConfigFile(path));
  KVD_TRY_ASSIGN(const std::string wanted, RewriteConfig(text, path, changes));
  if (wanted == text) return {};
  return ReplaceFile(path, wanted);
}

}  // namespace

void HandleConfigGet(Call& call) {
  const std::vector<NameAndValue> settings = Settings(call.service);
  std::vector<bool> wanted(settings.size());
  for (size_t word = 2; word < call.args.size(); ++word) {
    const auto glob = PatternWord(call, word, /*ignore_case=*/true);
    if (!glob) return;
    for (size_t i = 0; i < settings.size(); ++i) {
      if (!wanted[i]) wanted[i] = glob->Matches(settings[i].first);
    }
  }
  call.reply.MapHeader(
      static_cast<size_t>(std::count(wanted.begin(), wanted.end(), true)));
  for (size_t i = 0; i < settings.size(); ++i) {
    if (!wanted[i]) continue;
    call.reply.Bulk(settings[i].first);
    call.reply.Bulk(settings[i].second);
  }
}

// All or none. In a transaction the changes are checked against what is set
// before it.
void HandleConfigSet(Call& call) {
  if (call.args.size() % 2 != 0) return call.reply.Error(kSyntaxError);
  std::vector<NameAndValue> changes;
  Config config = call.service.config;
  for (size_t i = 2; i < call.args.size(); i += 2) {
    const auto taken = TakeChange(call.service, LowerCase(call.args[i]),
                                  call.args[i + 1], &changes, &config);
    if (!taken) return Refuse(call, call.args[i], taken.error());
  }
  if (const auto fits = CheckRelations(config); !fits) {
    return Refuse(call, call.args[2], fits.error());
  }
  call.WhenCertain([&service = call.service, changes = std::move(changes)] {
    Apply(service, changes);
  });
  call.reply.Ok();
}

void HandleConfigRewrite(Call& call) {
  if (call.effects != nullptr) {
    return call.reply.Error(
        "ERR CONFIG REWRITE writes at once, so it cannot be in a transaction");
  }
  if (call.service.config_file.empty()) {
    return call.reply.Error("ERR The server is running without a config file");
  }
  const auto written = RewriteFile(call.service);
  if (written) return call.reply.Ok();
  call.reply.Error(fmt::format("ERR Rewriting config file: {}{}",
                               written.error().message(),
                               RewriteAdvice(written.error())));
}

void HandleConfigResetStat(Call& call) {
  call.WhenCertain([&service = call.service] {
    const ServiceStats before = service.stats;
    service.stats = {};
    // These are states, not counts.
    service.stats.parked = before.parked;
    service.stats.flush_stalled_ms = before.flush_stalled_ms;
    service.command_stats.Reset();
    service.errors.clear();
    if (service.store != nullptr) service.store->ResetLogFigures();
  });
  call.reply.Ok();
}

void HandleConfigHelp(Call& call) {
  constexpr std::string_view kLines[] = {
      "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "GET <pattern>",
      "    Return settings that match the glob-like <pattern>.",
      "SET <directive> <value>",
      "    Set settings that can change at run time, all or none.",
      "RESETSTAT",
      "    Reset the counters that INFO reports.",
      "REWRITE",
      "    Write what SET has changed to kvd's configuration file.",
      "HELP",
      "    Print this help.",
  };
  ReplyLines(call, kLines);
}

}  // namespace kvd
