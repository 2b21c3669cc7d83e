// SPDX-License-Identifier: MIT
#include "daemon/host/logging.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/dup_filter_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>

namespace kvd {
namespace {

constexpr std::chrono::seconds kRepeatSilence(10);

// The priorities of sd-daemon(3).
class PriorityFlag final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    std::string_view priority = "<6>";
    if (message.level == spdlog::level::warn) priority = "<4>";
    if (message.level >= spdlog::level::err) priority = "<3>";
    if (message.level <= spdlog::level::debug) priority = "<7>";
    out.append(priority.data(), priority.data() + priority.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return spdlog::details::make_unique<PriorityFlag>();
  }
};

// $JOURNAL_STREAM names the journal's end by device and inode: when stderr is
// redirected elsewhere it is inherited all the same.
bool StderrIsJournal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat stderr_stat;
  if (stream == nullptr || fstat(STDERR_FILENO, &stderr_stat) != 0) {
    return false;
  }
  return fmt::format("{}:{}", stderr_stat.st_dev, stderr_stat.st_ino) == stream;
}

spdlog::sink_ptr MakeOutput() {
  spdlog::sink_ptr output;
  if (StderrIsJournal()) {
    auto formatter = std::make_unique<spdlog::pattern_formatter>();
    formatter->add_flag<PriorityFlag>('*').set_pattern("%*%v");
    output = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    output->set_formatter(std::move(formatter));
    return output;
  }
  if (std::getenv("NO_COLOR") != nullptr) {
    output = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  } else {
    output = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  }
  output->set_pattern("%Y-%m-%d %H:%M:%S.%e %^%l%$ %v");
  return output;
}

spdlog::logger& Logger() {
  static spdlog::logger* const logger = [] {
    auto repeats =
        std::make_shared<spdlog::sinks::dup_filter_sink_mt>(kRepeatSilence);
    repeats->add_sink(MakeOutput());
    // The filter must not format for itself: its sink does.
    auto* made = new spdlog::logger("kvd");
    made->sinks().push_back(std::move(repeats));
    made->flush_on(spdlog::level::info);
    return made;
  }();
  return *logger;
}

spdlog::level::level_enum LevelOf(LogLevel level) {
  switch (level) {
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kInfo:
      return spdlog::level::info;
  }
  return spdlog::level::info;
}

spdlog::level::level_enum LevelOf(Severity severity) {
  switch (severity) {
    case Severity::kInfo:
      return spdlog::level::info;
    case Severity::kWarning:
      return spdlog::level::warn;
    case Severity::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

}  // namespace

void SetUpLogging(LogLevel level) { Logger().set_level(LevelOf(level)); }

void Log(Severity severity, std::string_view message) {
  // A line a record: a message of several lines would lose its priority.
  for (size_t start = 0; start <= message.size();) {
    const size_t end = std::min(message.find('\n', start), message.size());
    const std::string_view line = message.substr(start, end - start);
    Logger().log(LevelOf(severity),
                 spdlog::string_view_t(line.data(), line.size()));
    start = end + 1;
  }
}

bool LogRate::Allow(int64_t now_ms) {
  const int64_t refill = (now_ms - refilled_ms_) / kRefillMs;
  if (refill > 0) {
    tokens_ = static_cast<int>(
        std::min<int64_t>(kBurst, tokens_ + std::min<int64_t>(refill, kBurst)));
    refilled_ms_ = now_ms;
  }
  if (tokens_ == 0) return false;
  --tokens_;
  return true;
}

}  // namespace kvd
