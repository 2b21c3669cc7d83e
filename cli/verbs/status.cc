// SPDX-License-Identifier: MIT
#include <algorithm>
#include <charconv>
#include <chrono>

#include "cli/command_line.h"
#include "cli/duration.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/session.h"
#include "cli/text.h"
#include "cli/verbs/verb.h"

namespace kvd {
namespace {

constexpr const char* kRed = "\x1b[31m";
constexpr const char* kPlain = "\x1b[0m";

// KV.STATUS's names and values. Each is taken once, and what is left is shown
// as it is: a newer kvd may say more than this kvctl knows.
class Fields {
 public:
  explicit Fields(const Reply& reply) {
    for (size_t i = 0; i + 1 < reply.elements.size(); i += 2) {
      fields_.emplace_back(reply.elements[i].text, reply.elements[i + 1]);
    }
  }

  std::optional<std::string> Text(std::string_view name) {
    const std::optional<Reply> value = Take(name);
    if (!value) return {};
    return Shown(*value);
  }

  std::optional<int64_t> Integer(std::string_view name) {
    const std::optional<Reply> value = Take(name);
    if (!value) return {};
    if (value->type == ReplyType::kInteger) return value->integer;
    int64_t number = 0;
    const char* last = value->text.data() + value->text.size();
    const auto [end, fault] = std::from_chars(value->text.data(), last, number);
    if (fault != std::errc() || end != last) return {};
    return number;
  }

  std::string Rest() const {
    std::string lines;
    for (const auto& [name, value] : fields_) {
      lines += fmt::format("{} {}\n", Escape(name), Shown(value));
    }
    return lines;
  }

 private:
  static std::string Shown(const Reply& value) {
    if (value.is_text()) return Escape(value.text);
    return value.is_null() ? "-" : ToJson(value);
  }

  std::optional<Reply> Take(std::string_view name) {
    const auto found =
        std::find_if(fields_.begin(), fields_.end(),
                     [&](const auto& field) { return field.first == name; });
    if (found == fields_.end()) return {};
    Reply value = std::move(found->second);
    fields_.erase(found);
    return value;
  }

  std::vector<std::pair<std::string, Reply>> fields_;
};

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

std::string StateText(Fields& fields, bool color) {
  const std::optional<std::string> state = fields.Text("state");
  const std::optional<std::string> reason = fields.Text("state_reason");
  if (!state || *state == "ok") return "";
  const std::string why = reason && !reason->empty() ? ": " + *reason : "";
  if (*state == "loading") color = false;  // Nothing is wrong.
  return fmt::format("{}{}{}{}\n", color ? kRed : "", *state, why,
                     color ? kPlain : "");
}

std::optional<std::string> LoadedText(std::optional<int64_t> loaded,
                                      std::optional<int64_t> all) {
  if (!loaded || !all) return {};
  return fmt::format("{} of {}", HumanBytes(*loaded), HumanBytes(*all));
}

std::string StatusText(Fields& fields, bool color) {
  const std::optional<int64_t> live = fields.Integer("live_bytes");
  const std::optional<int64_t> dead = fields.Integer("dead_bytes");
  const std::optional<int64_t> loaded = fields.Integer("loaded_bytes");
  const std::optional<int64_t> loading = fields.Integer("loading_bytes");
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
              .Add("loaded", LoadedText(loaded, loading))
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
              .Add("compaction", fields.Text("compaction"))
              .Add("errors", Format(fields.Integer("errors"), &Grouped))
              .Take();
  return text + fields.Rest();
}

class Status final : public Verb {
 public:
  void Declare(Arguments&) override {}

  Attempt<ExitCode> Run(Session& session) override {
    KVD_TRY_ASSIGN(Reply reply, session.Call({"KV.STATUS"}));
    if (!reply.is_aggregate()) return UnforeseenReply("KV.STATUS");
    if (session.json()) {
      reply.type = ReplyType::kMap;  // Version 2 has no maps.
      session.output().Write(ToJson(reply) + "\n");
      return ExitCode::kOk;
    }
    Fields fields(reply);
    session.output().Write(StatusText(fields, session.color()));
    return ExitCode::kOk;
  }
};

}  // namespace

std::unique_ptr<Verb> MakeStatus() { return std::make_unique<Status>(); }

}  // namespace kvd
