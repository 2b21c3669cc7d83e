// SPDX-License-Identifier: MIT
//
// Durations, sizes and shares as people write them: a whole number with its
// unit, so that nobody has to guess whether 30 means seconds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace kvd {

// "4096B", "64KiB", "64MiB", "1GiB", "2TiB" → bytes. No sign, space or
// fraction; what exceeds 64 bits is an error.
Result<uint64_t> ParseSize(std::string_view text);

// "250ms", "30s", "5m", "2h", "7d" → milliseconds, with the same rules.
Result<int64_t> ParseDuration(std::string_view text);

// "250us" and all of the above → microseconds, with the same rules.
Result<int64_t> ParseFineDuration(std::string_view text);

// "25%" → 25, with the same rules. What exceeds the whole is not refused here.
Result<uint64_t> ParsePercent(std::string_view text);

// The inverses: exact, in the largest unit that divides the value.
std::string FormatSize(uint64_t bytes);
std::string FormatDuration(int64_t ms);
std::string FormatFineDuration(int64_t us);
std::string FormatPercent(uint64_t percent);

}  // namespace kvd
