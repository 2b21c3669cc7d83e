// SPDX-License-Identifier: MIT
#include <algorithm>
#include <chrono>

#include "cli/command_line.h"
#include "cli/duration.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/text.h"
#include "cli/verbs/status/status_backing.h"
#include "cli/verbs/status/status_fields.h"
#include "cli/verbs/verb.h"

namespace kvctl {
namespace {

constexpr const char* kRed = "\x1b[31m";
constexpr const char* kPlain = "\x1b[0m";

// A line of parts, without those whose value is missing.
class Line {
 public:
  explicit Line(const char* gap) : gap_(gap) {}

  Line& Add(const char* name, const std::optional<std::string>& value) {
    if (!value || value->empty()) return *this;
    if (!text_.empty()) text_ += gap_;
    text_ += fmt::format("{} {}", name, *value);
    return *this;
  }

  std::string Take() { return text_.empty() ? "" : text_ + "\n"; }

 private:
  const char* gap_;
  std::string text_;
};

template <typename T>
std::optional<std::string> Format(std::optional<T> value,
                                  std::string (*format)(T)) {
  if (!value) return {};
  return format(*value);
}

std::string FormatSeconds(int64_t seconds) {
  return FormatDuration(std::chrono::seconds(seconds));
}

// "0.4 GiB (16%)": dead bytes and their share of all.
std::optional<std::string> DeadText(std::optional<int64_t> dead,
                                    std::optional<int64_t> live) {
  if (!dead) return {};
  const std::string bytes = HumanBytes(*dead);
  if (!live || *live + *dead <= 0) return bytes;
  const double share =
      static_cast<double>(*dead) / static_cast<double>(*live + *dead);
  return fmt::format("{} ({:.0f}%)", bytes, share * 100);
}

std::optional<std::string> RevisionText(std::optional<int64_t> last,
                                        std::optional<int64_t> durable) {
  if (!last) return {};
  if (!durable || *durable == *last) return Grouped(*last);
  return fmt::format("{} (on disk: {})", Grouped(*last), Grouped(*durable));
}

std::string StateText(StatusFields& fields, bool color) {
  const std::optional<std::string> state = fields.Text("state");
  const std::optional<std::string> reason = fields.Text("state_reason");
  if (!state || *state == "ok") return "";
  const std::string why = reason && !reason->empty() ? ": " + *reason : "";
  if (*state == "loading") color = false;  // Nothing is wrong.
  return fmt::format("{}{}{}{}\n", color ? kRed : "", *state, why,
                     color ? kPlain : "");
}

// "310 MiB of 512 MiB"; what has no bound is alone.
std::optional<std::string> OfText(std::optional<int64_t> used,
                                  std::optional<int64_t> bound) {
  if (!used || !bound || *bound <= 0) return Format(used, &HumanBytes);
  return fmt::format("{} of {}", HumanBytes(*used), HumanBytes(*bound));
}

// "idle, last 14m ago (reclaimed 312 MiB)", "running 43%".
std::optional<std::string> CompactionText(StatusFields& fields) {
  const std::optional<std::string> state = fields.Text("compaction");
  const int64_t runs = fields.Integer("compaction_runs").value_or(0);
  const int64_t done = fields.Integer("compaction_done_bytes").value_or(0);
  const int64_t all = fields.Integer("compaction_all_bytes").value_or(0);
  const int64_t ended = fields.Integer("compaction_last_ended_ms").value_or(0);
  const int64_t reclaimed =
      fields.Integer("compaction_last_reclaimed_bytes").value_or(0);
  const std::string error = fields.Text("compaction_last_error").value_or("");
  if (!state) return {};
  if (*state == "running" && all > 0) {
    return fmt::format("running {}%", std::min<int64_t>(100 * done / all, 100));
  }
  if (*state != "idle" || runs == 0) return state;
  using std::chrono::milliseconds;
  const auto now = std::chrono::duration_cast<milliseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  const auto ago = std::max(now - milliseconds(ended), milliseconds(1000));
  const std::string when =
      FormatDuration(std::chrono::duration_cast<std::chrono::seconds>(ago));
  if (!error.empty()) {
    return fmt::format("idle, gave up {} ago: {}", when, error);
  }
  return fmt::format("idle, last {} ago (reclaimed {})", when,
                     HumanBytes(reclaimed));
}

// Nothing unless a scrub runs.
std::optional<std::string> ScrubText(StatusFields& fields) {
  const std::optional<std::string> state = fields.Text("scrub");
  const int64_t done = fields.Integer("scrub_done_bytes").value_or(0);
  const int64_t all = fields.Integer("scrub_all_bytes").value_or(0);
  if (!state || *state != "running" || all <= 0) return {};
  return fmt::format("{}%", std::min<int64_t>(100 * done / all, 100));
}

std::string StatusText(StatusFields& fields, bool color) {
  const std::string backing = BackingText(fields, color);
  const std::optional<int64_t> live = fields.Integer("live_bytes");
  const std::optional<int64_t> dead = fields.Integer("dead_bytes");
  const std::optional<int64_t> loaded = fields.Integer("loaded_bytes");
  const std::optional<int64_t> loading = fields.Integer("loading_bytes");
  const std::optional<int64_t> memory = fields.Integer("memory_bytes");
  const std::optional<int64_t> limit = fields.Integer("memory_limit_bytes");
  const std::optional<int64_t> values = fields.Integer("value_bytes");
  const std::optional<int64_t> cache = fields.Integer("value_cache_bytes");
  const std::optional<int64_t> last = fields.Integer("last_seq");
  const std::optional<int64_t> durable = fields.Integer("durable_seq");
  std::string text =
      Line("  ")
          .Add("kvd", fields.Text("version"))
          .Add("up", Format(fields.Integer("uptime_s"), &FormatSeconds))
          .Add("pid", fields.Text("pid"))
          .Add("socket", fields.Text("socket"))
          .Take();
  text += StateText(fields, color);
  text += Line("   ")
              .Add("loaded", OfText(loaded, loading))
              .Add("keys", Format(fields.Integer("keys"), &Grouped))
              .Add("live", Format(live, &HumanBytes))
              .Add("dead", DeadText(dead, live))
              .Add("sync", fields.Text("sync"))
              .Take();
  text += Line("   ")
              .Add("data", fields.Text("data_dir"))
              .Add("segments", Format(fields.Integer("segments"), &Grouped))
              .Add("rev", RevisionText(last, durable))
              .Take();
  text += Line("   ")
              .Add("memory", OfText(memory, limit))
              .Add("values", OfText(values, cache))
              .Take();
  text += Line("   ")
              .Add("compaction", CompactionText(fields))
              .Add("scrub", ScrubText(fields))
              .Add("errors", Format(fields.Integer("errors"), &Grouped))
              .Take();
  // Shown above in another form, or for programs only.
  for (const char* name :
       {"value_bytes_max", "sealed_bytes", "reclaimable_bytes",
        "compaction_last_took_ms", "compaction_reclaimed_bytes",
        "damaged_segments", "damaged_values", "scrub_rounds",
        "scrub_last_ended_ms", "scrub_errors"}) {
    (void)fields.Text(name);
  }
  return text + backing + fields.Rest();
}

class Status final : public Verb {
 public:
  void Declare(Arguments&) override {}

  Attempt<ExitCode> Run(Session& session) override {
    KVD_TRY_ASSIGN(kvd::Reply reply, session.Call({"KV.STATUS"}));
    if (!reply.is_aggregate()) return UnforeseenReply("KV.STATUS");
    if (session.json()) {
      reply.type = kvd::ReplyType::kMap;  // Version 2 has no maps.
      session.output().Write(ToJson(reply) + "\n");
      return ExitCode::kOk;
    }
    StatusFields fields(reply);
    session.output().Write(StatusText(fields, session.color()));
    return ExitCode::kOk;
  }
};

}  // namespace

std::unique_ptr<Verb> MakeStatus() { return std::make_unique<Status>(); }

}  // namespace kvctl
