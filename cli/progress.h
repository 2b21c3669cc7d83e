// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace kvctl {

// A progress bar: one line on standard error, if that is a terminal. It goes
// away at its end.
class ProgressBar {
 public:
  ProgressBar();
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Whether to draw now: on a terminal, ten times a second. Cheap.
  bool IsDue();
  // With `all` at 0, which means that nobody knows it, only the text.
  void Draw(int64_t done, int64_t all, std::string_view text);

 private:
  const bool is_terminal_;
  bool drawn_ = false;
  std::optional<std::chrono::steady_clock::time_point> next_;
};

}  // namespace kvctl
