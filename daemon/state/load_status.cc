// SPDX-License-Identifier: MIT
#include "daemon/state/load_status.h"

#include <fmt/format.h>

#include <cmath>

namespace kvd {

double LoadStatus::PercentDone() const {
  if (progress.bytes_all == 0) return 0;
  return 100 * static_cast<double>(progress.bytes_done) /
         static_cast<double>(progress.bytes_all);
}

std::optional<int64_t> LoadStatus::SecondsLeft(int64_t now_ms) const {
  if (progress.bytes_done == 0) return std::nullopt;
  const auto done = static_cast<double>(progress.bytes_done);
  const double left = static_cast<double>(progress.bytes_all) - done;
  const auto spent_s = static_cast<double>(now_ms - started_ms) / 1000;
  return static_cast<int64_t>(std::ceil(spent_s * left / done));
}

std::string LoadStatus::Text(int64_t now_ms) const {
  if (!progress.words.empty()) return progress.words;
  // Rounded down: 100 % would be a promise.
  const std::string done =
      fmt::format("{}% done", static_cast<int>(PercentDone()));
  const std::optional<int64_t> left_s = SecondsLeft(now_ms);
  return left_s ? fmt::format("{}, about {} s left", done, *left_s) : done;
}

}  // namespace kvd
