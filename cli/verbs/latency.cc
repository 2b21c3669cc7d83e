// SPDX-License-Identifier: MIT
#include <algorithm>
#include <bit>
#include <map>

#include "cli/command_line.h"
#include "cli/json.h"
#include "cli/session.h"
#include "cli/text.h"
#include "cli/verbs/latency_reply.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

constexpr size_t kBarWidth = 40;

struct Row {
  std::string name;
  int64_t calls;
  LatencyHistogram run;
  LatencyHistogram reply;
};

std::vector<Row> RowsOf(const kvd::Reply& reply) {
  std::vector<Row> rows;
  for (size_t i = 0; i + 1 < reply.elements.size(); i += 2) {
    const kvd::Reply& fields = reply.elements[i + 1];
    rows.push_back({reply.elements[i].text, FieldOf(fields, "calls").integer,
                    LatencyHistogram(FieldOf(fields, "run")),
                    LatencyHistogram(FieldOf(fields, "reply"))});
  }
  std::ranges::stable_sort(rows, std::greater<>(), &Row::calls);
  return rows;
}

// "p50", "p99", "p99.9" and the longest, as text.
std::vector<std::string> Figures(const LatencyHistogram& histogram) {
  if (histogram.count() == 0) return {"-", "-", "-", "-"};
  return {FormatNs(histogram.Quantile(500)), FormatNs(histogram.Quantile(990)),
          FormatNs(histogram.Quantile(999)), FormatNs(histogram.max_ns())};
}

std::string Table(const std::vector<Row>& rows) {
  size_t width = 7;
  for (const Row& row : rows) width = std::max(width, row.name.size());
  const auto line = [&](const std::string& name, const std::string& calls,
                        const std::vector<std::string>& reply,
                        const std::vector<std::string>& run) {
    std::string text = fmt::format("{:<{}} {:>13}", name, width, calls);
    for (const auto* figures : {&reply, &run}) {
      text += "  ";
      for (const std::string& figure : *figures) {
        text += fmt::format(" {:>7}", figure);
      }
    }
    return text + "\n";
  };
  const std::vector<std::string> names = {"p50", "p99", "p99.9", "max"};
  std::string text =
      fmt::format("{:<{}} {:>13}   {:<31}   {}\n", "", width, "",
                  "until the reply, with all waits", "running, on kvd's loop");
  text += line("command", "calls", names, names);
  for (const Row& row : rows) {
    text += line(Escape(row.name), Grouped(row.calls), Figures(row.reply),
                 Figures(row.run));
  }
  return text;
}

// A line for each power of two between the shortest and the longest.
std::string Bars(const LatencyHistogram& histogram) {
  std::map<int, int64_t> counts;
  for (const auto& [last, count] : histogram.buckets()) {
    counts[std::bit_width(static_cast<uint64_t>(last))] += count;
  }
  if (counts.empty()) return "";
  int64_t most = 0;
  for (const auto& [bits, count] : counts) most = std::max(most, count);
  std::string text;
  for (int bits = counts.begin()->first; bits <= counts.rbegin()->first;
       ++bits) {
    const auto found = counts.find(bits);
    const int64_t count = found == counts.end() ? 0 : found->second;
    const auto length =
        static_cast<size_t>((static_cast<double>(count) * kBarWidth +
                             static_cast<double>(most) - 1) /
                            static_cast<double>(most));
    text += fmt::format("  < {:>6}  {:<{}}  {}\n", FormatNs(int64_t{1} << bits),
                        std::string(length, '#'), kBarWidth, Grouped(count));
  }
  return text;
}

class Latency final : public Verb {
 public:
  void Declare(Arguments& arguments) override {
    arguments.Words("COMMAND", &commands_, /*required=*/false,
                    "the commands (default: all that were called); for a "
                    "single one also the distribution of its times");
  }

  Attempt<ExitCode> Run(Session& session) override {
    std::vector<std::string_view> words = {"KV.LATENCY", "COMMANDS"};
    words.insert(words.end(), commands_.begin(), commands_.end());
    KVD_TRY_ASSIGN(kvd::Reply reply, session.Call(words));
    if (!reply.is_aggregate()) return UnforeseenReply("KV.LATENCY");
    const std::vector<Row> rows = RowsOf(reply);
    if (rows.empty()) {
      return Refuse(
          ExitCode::kNegative, "{}",
          commands_.empty()
              ? "no command was called yet"
              : "not called yet, or not a command: " +
                    Escape(fmt::format("{}", fmt::join(commands_, ", "))));
    }
    if (session.json()) {
      for (const Row& row : rows) PrintJson(session, row);
      return ExitCode::kOk;
    }
    session.output().Write(Table(rows));
    if (commands_.size() == 1 && rows.size() == 1) {
      session.output().Write("\nreply\n" + Bars(rows[0].reply) + "run\n" +
                             Bars(rows[0].run));
    }
    return ExitCode::kOk;
  }

 private:
  static void PrintJson(Session& session, const Row& row) {
    JsonObject json;
    json.Bytes("command", row.name).Integer("calls", row.calls);
    const auto add = [&](const std::string& name,
                         const LatencyHistogram& histogram) {
      json.Integer(name + "_p50_ns", histogram.Quantile(500))
          .Integer(name + "_p99_ns", histogram.Quantile(990))
          .Integer(name + "_p999_ns", histogram.Quantile(999))
          .Integer(name + "_max_ns", histogram.max_ns());
    };
    add("reply", row.reply);
    add("run", row.run);
    session.output().Write(json.Line());
  }

  std::vector<std::string> commands_;
};

}  // namespace

std::unique_ptr<Verb> MakeLatency() { return std::make_unique<Latency>(); }

}  // namespace kvctl
