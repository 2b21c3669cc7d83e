// SPDX-License-Identifier: MIT
#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "cli/output.h"

namespace kvctl {
namespace {

constexpr int kBarWidth = 40;
constexpr std::chrono::milliseconds kDrawEvery{100};

}  // namespace

ProgressBar::ProgressBar() : is_terminal_(::isatty(STDERR_FILENO) == 1) {}

ProgressBar::~ProgressBar() {
  if (drawn_) WriteError("\r\x1b[K");
}

bool ProgressBar::IsDue() {
  if (!is_terminal_) return false;
  const auto now = std::chrono::steady_clock::now();
  if (next_ && now < *next_) return false;
  next_ = now + kDrawEvery;
  return true;
}

void ProgressBar::Draw(int64_t done, int64_t all, std::string_view text) {
  if (!is_terminal_) return;
  drawn_ = true;
  if (all <= 0) {
    WriteError(fmt::format("\r{}\x1b[K", text));
    return;
  }
  const int64_t share =
      static_cast<int64_t>(100.0 * static_cast<double>(std::min(done, all)) /
                           static_cast<double>(all));
  const auto filled = static_cast<size_t>(share * kBarWidth / 100);
  std::string bar(kBarWidth, ' ');
  bar.replace(0, filled, filled, '#');
  WriteError(fmt::format("\r[{}] {:3}%  {}\x1b[K", bar, share, text));
}

}  // namespace kvctl
