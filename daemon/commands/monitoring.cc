// SPDX-License-Identifier: MIT
#include "daemon/commands/monitoring.h"

#include <fmt/format.h>

#include "daemon/commands/text.h"

namespace kvd {

std::string MonitorLine(const Call& call, const Command& command, By by) {
  const bool may_hide = (command.flags & kNoAuth) != 0;
  const int64_t now_us = call.service.clock.WallMs() * 1000;
  std::string line = fmt::format(
      "+{}.{:06} [{} {}]", now_us / 1'000'000, now_us % 1'000'000,
      call.session.database,
      by == By::kScript ? "lua" : "unix:" + call.service.socket_path);
  // Of HELLO user and password are secret, of AUTH all there is.
  const size_t secret_words = command.name == "HELLO" ? 2 : call.args.size();
  size_t hidden = 0;
  // No monitor is shown a longer one.
  const uint64_t limit = call.service.config.limits.output_bytes;
  for (const std::string_view word : call.args) {
    if (line.size() > limit) break;
    line +=
        hidden > 0 ? " \"(redacted)\"" : " " + Escaped(word.substr(0, limit));
    if (hidden > 0) --hidden;
    if (may_hide && IsWord(word, "AUTH")) hidden = secret_words;
  }
  return line + "\r\n";
}

void ShowMonitors(Call& call, const Command& command, By by, Seq seen) {
  if (command.access == Access::kAdmin || call.shown) return;
  // The text is made at once, even if it may never be certain: the words of a
  // script's command are gone by then, and to copy them costs as much.
  call.WhenCertain(
      [&service = call.service, line = MonitorLine(call, command, by), seen] {
        if (service.monitor != nullptr) service.monitor(line, seen);
      });
}

}  // namespace kvd
