// SPDX-License-Identifier: MIT
//
// Durations as people write and read them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kvctl {

// Reads "250ms", "10s", "5m", "1h30m", "2d", "1.5s"; a number alone counts
// `bare_unit`. Nothing for other text and for more than a hundred years.
std::optional<std::chrono::milliseconds> ParseDuration(
    std::string_view text, std::chrono::milliseconds bare_unit);

// The two largest units that matter: "350ms", "9.8s", "1m12s", "3h12m", "2d4h".
std::string FormatDuration(std::chrono::milliseconds duration);

}  // namespace kvctl
