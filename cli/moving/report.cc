// SPDX-License-Identifier: MIT
#include "cli/moving/report.h"

#include <fmt/format.h>

#include <string>

#include "cli/json.h"
#include "cli/text.h"

namespace kvctl {
namespace {

std::string Json(const ServerReport& report) {
  JsonObject json = SummaryJson(report.moved);
  if (report.existing != Existing::kReplace) {
    json.Integer("existing", report.existing_count);
  }
  json.Integer("other_types", report.others.count());
  if (report.verified) {
    json.Integer("equal", report.verified->equal)
        .Integer("different", report.verified->different);
  }
  if (report.extra) json.Integer("extra", report.extra->count);
  return json.Line();
}

std::string Text(const ServerReport& report) {
  std::string text = Summary(report.moved, report.done_word);
  const std::string count = Grouped(report.existing_count);
  if (report.existing == Existing::kSkip) {
    text += fmt::format("; {} were there already and stay as they are", count);
  } else if (report.existing == Existing::kCount) {
    text += fmt::format("; {} are there already; nothing was written", count);
  }
  text += "\n" + report.others.Report("not copied");
  if (report.verified) text += report.verified->Report();
  if (report.extra) text += report.extra->Report(report.target);
  return text;
}

}  // namespace

ExitCode PrintReport(Session& session, const ServerReport& report) {
  session.output().Write(session.json() ? Json(report) : Text(report));
  const bool all =
      (report.others.count() == 0 || report.others.is_listed()) &&
      (!report.verified || report.verified->different == 0) &&
      (!report.extra || report.extra->count == 0 || report.extra_may_be);
  return all ? ExitCode::kOk : ExitCode::kNegative;
}

}  // namespace kvctl
