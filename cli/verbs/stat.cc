// SPDX-License-Identifier: MIT
#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <thread>

#include "cli/command_line.h"
#include "cli/json.h"
#include "cli/session.h"
#include "cli/text.h"
#include "cli/verbs/latency_reply.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// Lines until the header comes again: a terminal's screen.
constexpr int64_t kLinesPerHeader = 20;
constexpr milliseconds kIntervalMin{10};

// What kvd says of itself at one moment.
struct Sample {
  Clock::time_point at;
  int64_t keys = 0;
  int64_t memory_bytes = 0;
  int64_t clients = 0;
  int64_t commands = 0;
  int64_t reads = 0;
  int64_t writes = 0;
  int64_t log_bytes = 0;
  LatencyHistogram flushes;
  LatencyHistogram waits;
};

// "name:value" lines of INFO.
std::map<std::string, std::string, std::less<>> FieldsOf(
    std::string_view text) {
  std::map<std::string, std::string, std::less<>> fields;
  while (!text.empty()) {
    const size_t end = std::min(text.find("\r\n"), text.size());
    const std::string_view line = text.substr(0, end);
    if (const size_t colon = line.find(':'); colon != line.npos) {
      fields.emplace(line.substr(0, colon), line.substr(colon + 1));
    }
    text.remove_prefix(std::min(end + 2, text.size()));
  }
  return fields;
}

Attempt<Sample> TakeSample(Session& session) {
  const std::vector<std::string_view> commands[] = {
      {"INFO", "clients", "memory", "persistence", "stats", "keyspace"},
      {"KV.LATENCY", "LOG"}};
  KVD_TRY_ASSIGN(const std::vector<kvd::Reply> replies,
                 session.CallAll(commands));
  if (!replies[0].is_text()) return UnforeseenReply("INFO");
  if (!replies[1].is_aggregate()) return UnforeseenReply("KV.LATENCY");
  const auto fields = FieldsOf(replies[0].text);
  const auto number = [&](std::string_view name) {
    const auto found = fields.find(name);
    // INFO's numbers are plain; of "keys=3,…" the first one counts.
    return found == fields.end()
               ? int64_t{0}
               : std::strtoll(found->second.c_str(), nullptr, 10);
  };
  Sample sample;
  sample.at = Clock::now();
  for (const auto& [name, value] : fields) {
    if (!name.starts_with("db") || !value.starts_with("keys=")) continue;
    sample.keys += std::strtoll(value.c_str() + 5, nullptr, 10);
  }
  sample.memory_bytes = number("used_memory");
  sample.clients = number("connected_clients");
  sample.commands = number("total_commands_processed");
  sample.reads = number("kvd_read_commands");
  sample.writes = number("kvd_write_commands");
  sample.log_bytes = number("kvd_live_bytes") + number("kvd_dead_bytes");
  sample.flushes = LatencyHistogram(FieldOf(replies[1], "flush"));
  sample.waits = LatencyHistogram(FieldOf(replies[1], "wait"));
  return sample;
}

// What happened between two samples; counts are per second.
struct Interval {
  Interval(const Sample& from, const Sample& to)
      : seconds(std::max(
            1e-3, std::chrono::duration<double>(to.at - from.at).count())),
        // Without the two commands of kvctl stat itself.
        ops(Rate(to.commands - from.commands - 2)),
        reads(Rate(to.reads - from.reads)),
        writes(Rate(to.writes - from.writes)),
        flush_count(Rate(to.flushes.count() - from.flushes.count())),
        flushes(to.flushes.Since(from.flushes)),
        waits(to.waits.Since(from.waits)) {}

  // Counters that were reset in between begin again at 0.
  int64_t Rate(int64_t more) const {
    return static_cast<int64_t>(
        static_cast<double>(std::max<int64_t>(more, 0)) / seconds + 0.5);
  }

  double seconds;
  int64_t ops;
  int64_t reads;
  int64_t writes;
  int64_t flush_count;
  LatencyHistogram flushes;
  LatencyHistogram waits;
};

constexpr const char* kRow =
    "{:>12} {:>10} {:>7} {:>9} {:>9} {:>9} {:>8} {:>9} {:>9} {:>10}\n";

std::string Header() {
  return fmt::format(fmt::runtime(kRow), "keys", "memory", "clients", "ops/s",
                     "reads/s", "writes/s", "flush/s", "flush_p99", "wait_p99",
                     "log");
}

std::string Row(const Sample& now, const Interval& interval) {
  const auto p99 = [](const LatencyHistogram& histogram) {
    return histogram.count() == 0 ? "-" : FormatNs(histogram.Quantile(990));
  };
  return fmt::format(
      fmt::runtime(kRow), Grouped(now.keys), HumanBytes(now.memory_bytes),
      Grouped(now.clients), Grouped(interval.ops), Grouped(interval.reads),
      Grouped(interval.writes), Grouped(interval.flush_count),
      p99(interval.flushes), p99(interval.waits), HumanBytes(now.log_bytes));
}

std::string JsonRow(const Sample& now, const Interval& interval) {
  JsonObject json;
  json.Integer("keys", now.keys)
      .Integer("memory_bytes", now.memory_bytes)
      .Integer("clients", now.clients)
      .Integer("ops_per_s", interval.ops)
      .Integer("reads_per_s", interval.reads)
      .Integer("writes_per_s", interval.writes)
      .Integer("flushes_per_s", interval.flush_count);
  const auto p99 = [&](std::string_view name,
                       const LatencyHistogram& histogram) {
    if (histogram.count() == 0) {
      json.Null(name);
    } else {
      json.Integer(name, histogram.Quantile(990));
    }
  };
  p99("flush_p99_ns", interval.flushes);
  p99("wait_p99_ns", interval.waits);
  return json.Integer("log_bytes", now.log_bytes).Line();
}

class Stat final : public Verb {
 public:
  void Declare(Arguments& arguments) override {
    arguments.Integer("-n,--count", "N", 1, std::numeric_limits<int64_t>::max(),
                      &count_, "end after N lines (default: never)");
    arguments.Duration("-i,--interval", milliseconds(1000), &interval_,
                       "the time between two lines; a number alone is in "
                       "seconds (default: 1s)");
  }

  Attempt<ExitCode> Run(Session& session) override {
    const milliseconds interval =
        std::max(interval_.value_or(milliseconds(1000)), kIntervalMin);
    KVD_TRY_ASSIGN(Sample before, TakeSample(session));
    for (int64_t line = 0; !count_ || line < *count_; ++line) {
      std::this_thread::sleep_for(interval);
      KVD_TRY_ASSIGN(Sample now, TakeSample(session));
      const Interval between(before, now);
      if (session.json()) {
        session.output().Write(JsonRow(now, between));
      } else {
        if (line % kLinesPerHeader == 0) session.output().Write(Header());
        session.output().Write(Row(now, between));
      }
      // A person watches, or a program reads line by line.
      KVD_TRY(session.output().Flush());
      before = std::move(now);
    }
    return ExitCode::kOk;
  }

 private:
  std::optional<int64_t> count_;
  std::optional<milliseconds> interval_;
};

}  // namespace

std::unique_ptr<Verb> MakeStat() { return std::make_unique<Stat>(); }

}  // namespace kvctl
