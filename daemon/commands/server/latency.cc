// SPDX-License-Identifier: MIT
//
// LATENCY, SLOWLOG and KV.LATENCY: how long commands and the log took. Source
// of names, shapes and texts of the first two: Redis.
#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/commands/handlers.h"
#include "daemon/commands/server/statistics.h"
#include "daemon/commands/support.h"
#include "daemon/commands/text.h"

namespace kvd {
namespace {

// Redis's buckets: 1024 ns and powers of two of it, up to a second.
constexpr int kFirstPower = 10;
constexpr int kLastPower = 30;
constexpr int64_t kSlowLogShown = 10;

// The rows that these names mean, each once; all when there are none. Unknown
// names mean nothing.
std::vector<UsedRow> RowsOf(Call& call,
                            std::span<const std::string_view> names) {
  AllCommandStats& stats = call.service.command_stats;
  if (names.empty()) return UsedRows(stats);
  std::vector<UsedRow> rows;
  for (const std::string_view name : names) {
    for (UsedRow& row : UsedRows(stats, name)) {
      const bool known = std::ranges::any_of(
          rows, [&](const auto& other) { return other.stats == row.stats; });
      if (!known) rows.push_back(std::move(row));
    }
  }
  return rows;
}

// Microseconds and how many calls took no longer, where that grows.
void ReplyCumulative(Call& call, const Histogram& histogram) {
  std::vector<std::pair<int64_t, uint64_t>> steps;
  uint64_t seen = 0;
  for (int power = kFirstPower; power <= kLastPower; ++power) {
    // Whatever takes longer counts as a second.
    const uint64_t below = power == kLastPower
                               ? histogram.count()
                               : histogram.CountBelowPower(power);
    if (below > seen) steps.emplace_back((int64_t{1} << power) / 1000, below);
    seen = below;
  }
  call.reply.MapHeader(steps.size());
  for (const auto& [us, below] : steps) {
    call.reply.Integer(us);
    call.reply.Integer(static_cast<int64_t>(below));
  }
}

void ReplyHistogram(Call& call, std::string_view name,
                    const Histogram& histogram) {
  const auto number = [&](std::string_view field, uint64_t value) {
    call.reply.Bulk(field);
    call.reply.Integer(static_cast<int64_t>(value));
  };
  call.reply.Bulk(name);
  call.reply.MapHeader(7);
  number("count", histogram.count());
  number("sum_ns", histogram.sum());
  number("p50_ns", histogram.Quantile(500));
  number("p99_ns", histogram.Quantile(990));
  number("p999_ns", histogram.Quantile(999));
  number("max_ns", histogram.max());
  size_t buckets = 0;
  histogram.ForEach([&](uint64_t, uint64_t) { ++buckets; });
  call.reply.Bulk("buckets");
  call.reply.MapHeader(buckets);
  histogram.ForEach([&](uint64_t last, uint64_t count) {
    call.reply.Integer(static_cast<int64_t>(last));
    call.reply.Integer(static_cast<int64_t>(count));
  });
}

const CommandTimes& TimesOf(const UsedRow& row) {
  static const CommandTimes kNone;
  const CommandTimes* times = row.stats->known_times();
  return times != nullptr ? *times : kNone;
}

std::string Milliseconds(uint64_t ns) {
  return fmt::format("{:.2f} ms", static_cast<double>(ns) / 1e6);
}

// A sentence or more about what took long.
std::string Diagnosis(ServerState& service) {
  std::string text = "kvd keeps histograms of every command and no events.";
  if (service.store != nullptr) {
    const LogFigures& log = service.store->log_figures();
    if (log.flush_ns.count() > 0) {
      text += fmt::format(
          " Half of the disk's flushes took {} at the most, one of a hundred "
          "took more than {}, the longest {}.",
          Milliseconds(log.flush_ns.Quantile(500)),
          Milliseconds(log.flush_ns.Quantile(990)),
          Milliseconds(log.flush_ns.max()));
    }
  }
  std::string slowest;
  uint64_t longest_ns = 0;
  for (const UsedRow& row : UsedRows(service.command_stats)) {
    const uint64_t ns = TimesOf(row).run_ns.max();
    if (ns <= longest_ns) continue;
    longest_ns = ns;
    slowest = row.name;
  }
  if (!slowest.empty()) {
    text += fmt::format(
        " The longest that one command held everyone up is {}, by "
        "{}.",
        Milliseconds(longest_ns), slowest);
  }
  return text + " See LATENCY HISTOGRAM, SLOWLOG GET and kvctl latency.\n";
}

}  // namespace

void HandleLatencyHistogram(Call& call) {
  std::vector<UsedRow> rows = RowsOf(call, call.args.subspan(2));
  std::erase_if(rows, [](const auto& row) { return row.stats->calls == 0; });
  call.reply.MapHeader(rows.size());
  for (const UsedRow& row : rows) {
    call.reply.Bulk(row.name);
    call.reply.MapHeader(2);
    call.reply.Bulk("calls");
    call.reply.Integer(static_cast<int64_t>(row.stats->calls));
    call.reply.Bulk("histogram_usec");
    ReplyCumulative(call, TimesOf(row).run_ns);
  }
}

// There are no events, and so none to show or to forget.
void HandleLatencyLatest(Call& call) { call.reply.ArrayHeader(0); }
void HandleLatencyHistory(Call& call) { call.reply.ArrayHeader(0); }
void HandleLatencyReset(Call& call) { call.reply.Integer(0); }

void HandleLatencyGraph(Call& call) {
  call.reply.Error(fmt::format("ERR No samples available for event '{}'",
                               Quoted(call.args[2])));
}

void HandleLatencyDoctor(Call& call) {
  call.reply.VerbatimText(Diagnosis(call.service));
}

void HandleLatencyHelp(Call& call) {
  constexpr std::string_view kLines[] = {
      "LATENCY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "DOCTOR",
      "    Return a human readable latency analysis report.",
      "GRAPH <event>",
      "    Accepted for compatibility: there are no events.",
      "HISTORY <event>",
      "    Accepted for compatibility: there are no events.",
      "LATEST",
      "    Accepted for compatibility: there are no events.",
      "RESET [<event> ...]",
      "    Accepted for compatibility: CONFIG RESETSTAT resets histograms.",
      "HISTOGRAM [COMMAND ...]",
      "    Return a cumulative distribution of latencies in the format of a "
      "histogram for the specified command names.",
      "    If no commands are specified then all histograms are replied.",
      "HELP",
      "    Prints this help.",
  };
  ReplyLines(call, kLines);
}

void HandleSlowLogGet(Call& call) {
  int64_t wanted = kSlowLogShown;
  if (call.args.size() > 2) {
    const auto count = ParseInteger(call.args[2]);
    if (!count || *count < -1) {
      return call.reply.Error(
          "ERR count should be greater than or equal to -1");
    }
    wanted = *count;
  }
  const auto& entries = call.service.slow_log.entries();
  size_t shown = entries.size();
  if (wanted >= 0) shown = std::min(shown, static_cast<size_t>(wanted));
  // Entries come in the order of their changes.
  if (shown > 0) call.shows = entries.front().seq;
  call.reply.ArrayHeader(shown);
  for (size_t i = 0; i < shown && !call.reply.overflowed(); ++i) {
    const SlowLog::Entry& entry = entries[i];
    call.reply.ArrayHeader(6);
    call.reply.Integer(static_cast<int64_t>(entry.id));
    call.reply.Integer(entry.unix_s);
    call.reply.Integer(entry.us);
    call.reply.ArrayHeader(entry.word_ends.size());
    entry.ForEachWord([&](std::string_view word) { call.reply.Bulk(word); });
    // Of all clients, by now.
    call.reply.Bulk(call.service.socket_path + ":0");
    call.reply.Bulk(entry.client_name);
  }
}

void HandleSlowLogLen(Call& call) {
  call.reply.Integer(
      static_cast<int64_t>(call.service.slow_log.entries().size()));
}

void HandleSlowLogReset(Call& call) {
  call.WhenCertain([&service = call.service] { service.slow_log.Clear(); });
  call.reply.Ok();
}

void HandleSlowLogHelp(Call& call) {
  constexpr std::string_view kLines[] = {
      "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "GET [<count>]",
      "    Return top <count> entries from the slowlog (default: 10, -1 mean "
      "all).",
      "    Entries are made of:",
      "    id, timestamp, time in microseconds, arguments array, client IP and "
      "port,",
      "    client name",
      "LEN",
      "    Return the length of the slowlog.",
      "RESET",
      "    Reset the slowlog.",
      "HELP",
      "    Prints this help.",
  };
  ReplyLines(call, kLines);
}

void HandleKvLatencyCommands(Call& call) {
  const std::vector<UsedRow> rows = RowsOf(call, call.args.subspan(2));
  call.reply.MapHeader(rows.size());
  for (const UsedRow& row : rows) {
    call.reply.Bulk(row.name);
    call.reply.MapHeader(3);
    call.reply.Bulk("calls");
    call.reply.Integer(static_cast<int64_t>(row.stats->calls));
    ReplyHistogram(call, "run", TimesOf(row).run_ns);
    ReplyHistogram(call, "reply", TimesOf(row).reply_ns);
  }
}

void HandleKvLatencyLog(Call& call) {
  const LogFigures& log = call.service.store->log_figures();
  call.reply.MapHeader(2);
  ReplyHistogram(call, "flush", log.flush_ns);
  ReplyHistogram(call, "wait", log.wait_ns);
}

}  // namespace kvd
