// SPDX-License-Identifier: MIT
//
// kvd's log: one line a message on stderr. Under systemd each line carries its
// priority for the journal; elsewhere it carries the time, in colour on a
// terminal. A message that repeats is counted instead of written again.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string_view>
#include <utility>

#include "base/log_sink.h"
#include "config/config.h"

namespace kvd {

// Before the first Log(); without it everything from kInfo on is written.
void SetUpLogging(LogLevel level);

// Thread: any.
void Log(Severity severity, std::string_view message);

template <typename... Args>
void LogInfo(fmt::format_string<Args...> format, Args&&... args) {
  Log(Severity::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogWarning(fmt::format_string<Args...> format, Args&&... args) {
  Log(Severity::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogError(fmt::format_string<Args...> format, Args&&... args) {
  Log(Severity::kError, fmt::format(format, std::forward<Args>(args)...));
}

// Lets a burst of messages through and then few a minute: for messages that a
// client can cause, each with another text. Thread: one.
class LogRate {
 public:
  // Whether to write a message now; `now_ms` is monotonic.
  bool Allow(int64_t now_ms);

 private:
  static constexpr int kBurst = 20;
  static constexpr int64_t kRefillMs = 5000;  // For one more message.

  int tokens_ = kBurst;
  int64_t refilled_ms_ = 0;
};

}  // namespace kvd
