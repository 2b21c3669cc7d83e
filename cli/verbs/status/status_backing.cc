// SPDX-License-Identifier: MIT
#include "cli/verbs/status/status_backing.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string_view>

#include "cli/duration.h"
#include "cli/text.h"

namespace kvctl {
namespace {

constexpr const char* kYellow = "\x1b[33m";
constexpr const char* kPlain = "\x1b[0m";

// What only a log on this machine has.
constexpr const char* kOfTheLog[] = {"loaded_bytes",
                                     "loading_bytes",
                                     "live_bytes",
                                     "dead_bytes",
                                     "segments",
                                     "durable_seq",
                                     "sync",
                                     "compaction",
                                     "compaction_runs",
                                     "compaction_done_bytes",
                                     "compaction_all_bytes",
                                     "compaction_last_ended_ms",
                                     "compaction_last_reclaimed_bytes",
                                     "compaction_last_error",
                                     "scrub",
                                     "scrub_done_bytes",
                                     "scrub_all_bytes"};

// "endpoint=http://a,version=3.4": of "error" the rest is the value.
class Parts {
 public:
  explicit Parts(std::string_view text) {
    while (!text.empty()) {
      const std::string_view name = text.substr(0, text.find('='));
      text.remove_prefix(std::min(text.size(), name.size() + 1));
      const std::string_view value =
          name == "error" ? text : text.substr(0, text.find(','));
      text.remove_prefix(std::min(text.size(), value.size() + 1));
      parts_[std::string(name)] = value;
    }
  }

  std::string Text(const std::string& name) const {
    const auto found = parts_.find(name);
    return found == parts_.end() ? "" : found->second;
  }
  int64_t Number(const std::string& name) const {
    const std::string text = Text(name);
    int64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
  }

 private:
  std::map<std::string, std::string> parts_;
};

std::string MemberLine(std::string_view text) {
  const Parts parts(text);
  const std::string endpoint = parts.Text("endpoint");
  const std::string error = parts.Text("error");
  if (!error.empty()) return fmt::format("  {}  {}\n", endpoint, error);
  std::string line =
      fmt::format("  {}  etcd {}  {}  db {}", endpoint, parts.Text("version"),
                  parts.Text("role"), HumanBytes(parts.Number("db_bytes")));
  if (parts.Number("quota_bytes") > 0) {
    line += " of " + HumanBytes(parts.Number("quota_bytes"));
  }
  const std::string alarms = parts.Text("alarms");
  if (!alarms.empty()) line += "  " + alarms;
  return line + "\n";
}

std::string KvdLine(std::string_view text) {
  const Parts parts(text);
  if (parts.Number("self") == 1) {
    return fmt::format("  kvd {}  this one\n", parts.Text("id"));
  }
  const auto heard = std::chrono::duration_cast<std::chrono::seconds>(
      std::chrono::milliseconds(parts.Number("heard_ms_ago")));
  return fmt::format("  kvd {}  last heard of {} ago\n", parts.Text("id"),
                     FormatDuration(heard));
}

// A line for each of etcd_endpoint0, etcd_endpoint1, …
std::string EachLine(StatusFields& fields, const char* name,
                     const std::function<std::string(std::string_view)>& line) {
  std::string lines;
  for (int i = 0;; ++i) {
    const auto text = fields.Text(fmt::format("{}{}", name, i));
    if (!text) return lines;
    lines += line(*text);
  }
}

std::string Summary(StatusFields& fields) {
  std::string line = "etcd";
  const auto add = [&line](std::string_view name, const std::string& text) {
    line += fmt::format("{}{} {}", line == "etcd" ? " " : "   ", name, text);
  };
  if (const auto leader = fields.Text("etcd_leader")) add("leader", *leader);
  if (const auto revision = fields.Integer("etcd_revision")) {
    add("rev", Grouped(*revision));
  }
  const auto lag = fields.Integer("etcd_lag_revisions");
  const auto lag_ms = fields.Integer("etcd_lag_ms");
  if (lag && lag_ms) {
    add("behind", *lag == 0 ? "0"
                            : fmt::format("{} since {} ms", Grouped(*lag),
                                          Grouped(*lag_ms)));
  }
  const auto size = fields.Integer("etcd_db_bytes");
  const auto quota = fields.Integer("etcd_quota_bytes");
  if (size) {
    add("db", quota.value_or(0) > 0 ? fmt::format("{} of {}", HumanBytes(*size),
                                                  HumanBytes(*quota))
                                    : HumanBytes(*size));
  }
  if (const auto history = fields.Integer("etcd_history_revisions")) {
    add("history", Grouped(*history));
  }
  const auto alarms = fields.Text("etcd_alarms");
  if (alarms && !alarms->empty()) add("alarms", *alarms);
  return line == "etcd" ? "etcd not asked yet\n" : line + "\n";
}

}  // namespace

std::string BackingText(StatusFields& fields, bool color) {
  const std::string backend = fields.Text("backend").value_or("local");
  if (backend == "local") return "";
  std::string text = Summary(fields);
  text += EachLine(fields, "etcd_endpoint", MemberLine);
  text += EachLine(fields, "etcd_kvd", KvdLine);
  text += EachLine(fields, "etcd_warning", [color](std::string_view warning) {
    return fmt::format("{}warning: {}{}\n", color ? kYellow : "", warning,
                       color ? kPlain : "");
  });
  for (const char* name : kOfTheLog) (void)fields.Text(name);
  // Shown above in another form, or for programs only.
  for (const char* name :
       {"etcd_index_revision", "etcd_asked_ms_ago", "etcd_endpoints",
        "etcd_endpoints_answering", "etcd_db_in_use_bytes",
        "etcd_oldest_revision", "etcd_kvds"}) {
    (void)fields.Text(name);
  }
  return text;
}

}  // namespace kvctl
