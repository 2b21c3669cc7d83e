// SPDX-License-Identifier: MIT
//
// Commands about the daemon as a whole.
#include <sys/time.h>

#include <string>
#include <utility>
#include <vector>

#include "daemon/glob.h"
#include "daemon/handlers.h"
#include "daemon/handling.h"
#include "daemon/info.h"
#include "daemon/text.h"

namespace kvd {
namespace {

using Setting = std::pair<std::string, std::string>;

std::string_view FsyncName(SyncMode mode) {
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

// kvd's settings, and those of Redis that clients ask for.
std::vector<Setting> Settings(const Service& service) {
  std::vector<Setting> settings = {
      {"appendfsync", std::string(FsyncName(service.config.durability.sync))},
      {"appendonly", "yes"},
      {"databases", std::to_string(kDatabases)},
      {"maxclients", std::to_string(service.connections_max)},
      {"maxmemory", std::to_string(service.store != nullptr
                                       ? service.store->memory_limit_bytes()
                                       : 0)},
      {"maxmemory-policy", "noeviction"},
      {"port", "0"},
      {"proto-max-bulk-len", std::to_string(service.config.limits.value_bytes)},
      {"save", ""},
      {"slowlog-log-slower-than",
       std::to_string(service.config.slowlog.threshold_us)},
      {"slowlog-max-len", std::to_string(service.config.slowlog.length)},
      {"timeout", "0"},
      {"unixsocket", service.socket_path},
  };
  for (Setting& setting : DescribeSettings(service.config)) {
    settings.push_back(std::move(setting));
  }
  return settings;
}

}  // namespace

void HandleInfo(Call& call) {
  call.reply.VerbatimText(InfoText(call.service, call.args.subspan(1)));
}

void HandleConfigGet(Call& call) {
  const auto patterns = call.args.subspan(2);
  std::vector<Setting> found;
  for (Setting& setting : Settings(call.service)) {
    for (const std::string_view pattern : patterns) {
      if (!GlobMatches(pattern, setting.first, /*ignore_case=*/true)) continue;
      found.push_back(std::move(setting));
      break;
    }
  }
  call.reply.MapHeader(found.size());
  for (const auto& [name, value] : found) {
    call.reply.Bulk(name);
    call.reply.Bulk(value);
  }
}

void HandleConfigResetStat(Call& call) {
  const ServiceStats before = call.service.stats;
  call.service.stats = {};
  // These are states, not counts.
  call.service.stats.parked = before.parked;
  call.service.stats.flush_stalled_ms = before.flush_stalled_ms;
  call.service.command_stats.Reset();
  call.service.errors.clear();
  if (call.service.store != nullptr) call.service.store->ResetLogFigures();
  call.reply.Ok();
}

void HandleConfigHelp(Call& call) {
  constexpr std::string_view kLines[] = {
      "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "GET <pattern>",
      "    Return settings that match the glob-like <pattern>.",
      "RESETSTAT",
      "    Reset the counters that INFO reports.",
      "HELP",
      "    Print this help.",
  };
  call.reply.ArrayHeader(std::size(kLines));
  for (const std::string_view line : kLines) call.reply.SimpleString(line);
}

void HandleTime(Call& call) {
  timeval now = {};
  gettimeofday(&now, nullptr);
  call.reply.ArrayHeader(2);
  call.reply.BulkInteger(now.tv_sec);
  call.reply.BulkInteger(now.tv_usec);
}

void HandleShutdown(Call& call) {
  for (const std::string_view word : call.args.subspan(1)) {
    if (IsWord(word, "ABORT")) {
      return call.reply.Error("ERR No shutdown in progress.");
    }
    // Everything is saved already, so SAVE and NOSAVE ask for the same.
    if (!IsWord(word, "SAVE") && !IsWord(word, "NOSAVE") &&
        !IsWord(word, "NOW") && !IsWord(word, "FORCE")) {
      return call.reply.Error(kSyntaxError);
    }
  }
  // No reply: the closed connection is the answer that clients expect.
  call.session.closing = true;
  call.service.stop();
}

// Source of the replies: Redis.
void HandleBgRewriteAof(Call& call) {
  Store& store = *call.service.store;
  const bool runs = store.compaction().running;
  store.Compact();
  call.reply.SimpleString(
      runs ? "Background append only file rewriting scheduled"
           : "Background append only file rewriting started");
}

void HandleCluster(Call& call) {
  call.reply.Error("ERR This instance has cluster support disabled");
}

}  // namespace kvd
