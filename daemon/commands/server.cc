// SPDX-License-Identifier: MIT
//
// Commands about the daemon as a whole.
#include <sys/time.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "daemon/commands/handlers.h"
#include "daemon/commands/info.h"
#include "daemon/commands/support.h"
#include "daemon/commands/text.h"

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
std::vector<Setting> Settings(const ServerState& service) {
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

void ResetStatistics(ServerState& service) {
  const ServiceStats before = service.stats;
  service.stats = {};
  // These are states, not counts.
  service.stats.parked = before.parked;
  service.stats.flush_stalled_ms = before.flush_stalled_ms;
  service.command_stats.Reset();
  service.errors.clear();
  if (service.store != nullptr) service.store->ResetLogFigures();
}

}  // namespace

void HandleInfo(Call& call) {
  call.reply.VerbatimText(InfoText(call.service, call.args.subspan(1)));
}

void HandleConfigGet(Call& call) {
  const std::vector<Setting> settings = Settings(call.service);
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

void HandleConfigResetStat(Call& call) {
  call.WhenCertain([&service = call.service] { ResetStatistics(service); });
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
  bool save = false;
  bool no_save = false;
  bool hurries = false;
  bool abort = false;
  for (const std::string_view word : call.args.subspan(1)) {
    if (IsWord(word, "SAVE")) {
      save = true;
    } else if (IsWord(word, "NOSAVE")) {
      no_save = true;
    } else if (IsWord(word, "NOW") || IsWord(word, "FORCE")) {
      hurries = true;
    } else if (IsWord(word, "ABORT")) {
      abort = true;
    } else {
      return call.reply.Error(kSyntaxError);
    }
  }
  // Everything is saved already, so SAVE and NOSAVE ask for the same; but who
  // says both has not decided.
  if ((save && no_save) || (abort && (save || no_save || hurries))) {
    return call.reply.Error(kSyntaxError);
  }
  if (abort) return call.reply.Error("ERR No shutdown in progress.");
  // No reply: the closed connection is the answer that clients expect.
  call.session.closing = true;
  call.service.stop();
}

// Source of the replies: Redis.
void HandleBgRewriteAof(Call& call) {
  Store& store = *call.service.store;
  const bool runs = store.compaction().running;
  call.WhenCertain([&store] { store.Compact(); });
  call.reply.SimpleString(
      runs ? "Background append only file rewriting scheduled"
           : "Background append only file rewriting started");
}

void HandleCluster(Call& call) {
  call.reply.Error("ERR This instance has cluster support disabled");
}

}  // namespace kvd
