// SPDX-License-Identifier: MIT
#include "config/units.h"

#include <charconv>
#include <limits>
#include <span>

namespace kvd {
namespace {

struct Unit {
  std::string_view name;
  uint64_t factor;
};

// Smallest first.
constexpr Unit kSizeUnits[] = {{"B", 1},
                               {"KiB", uint64_t{1} << 10},
                               {"MiB", uint64_t{1} << 20},
                               {"GiB", uint64_t{1} << 30},
                               {"TiB", uint64_t{1} << 40}};
constexpr Unit kDurationUnits[] = {{"ms", 1},
                                   {"s", 1000},
                                   {"m", 60 * 1000},
                                   {"h", 60 * 60 * 1000},
                                   {"d", 24 * 60 * 60 * 1000}};
constexpr Unit kFineDurationUnits[] = {
    {"us", 1},
    {"ms", 1000},
    {"s", 1000 * 1000},
    {"m", 60 * 1000 * 1000},
    {"h", uint64_t{60} * 60 * 1000 * 1000},
    {"d", uint64_t{24} * 60 * 60 * 1000 * 1000}};

constexpr Unit kPercent[] = {{"%", 1}};

// A number and a unit in units of the smallest, at most `max`.
Result<uint64_t> ParseQuantity(std::string_view text,
                               std::span<const Unit> units, uint64_t max,
                               std::string_view expected) {
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc::result_out_of_range) {
    return Fail(ErrorCode::kInvalid, "\"{}\" is too large", text);
  }
  const std::string_view suffix(rest, static_cast<size_t>(end - rest));
  for (const Unit& unit : units) {
    if (error != std::errc() || suffix != unit.name) continue;
    if (number > max / unit.factor) {
      return Fail(ErrorCode::kInvalid, "\"{}\" is too large", text);
    }
    return number * unit.factor;
  }
  return Fail(ErrorCode::kInvalid, "\"{}\" is not {}", text, expected);
}

std::string FormatQuantity(uint64_t value, std::span<const Unit> units) {
  const Unit* best = &units.front();
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0) best = &unit;
  }
  return fmt::format("{}{}", value / best->factor, best->name);
}

}  // namespace

Result<uint64_t> ParseSize(std::string_view text) {
  return ParseQuantity(text, kSizeUnits, std::numeric_limits<uint64_t>::max(),
                       "a size with its unit (B, KiB, MiB, GiB, TiB), such as "
                       "\"64MiB\"");
}

Result<int64_t> ParseDuration(std::string_view text) {
  KVD_TRY_ASSIGN(
      const uint64_t ms,
      ParseQuantity(text, kDurationUnits,
                    static_cast<uint64_t>(std::numeric_limits<int64_t>::max()),
                    "a duration with its unit (ms, s, m, h, d), such as "
                    "\"30s\""));
  return static_cast<int64_t>(ms);
}

Result<int64_t> ParseFineDuration(std::string_view text) {
  KVD_TRY_ASSIGN(
      const uint64_t us,
      ParseQuantity(text, kFineDurationUnits,
                    static_cast<uint64_t>(std::numeric_limits<int64_t>::max()),
                    "a duration with its unit (us, ms, s, m, h, d), such as "
                    "\"10ms\""));
  return static_cast<int64_t>(us);
}

Result<uint64_t> ParsePercent(std::string_view text) {
  return ParseQuantity(text, kPercent, std::numeric_limits<uint64_t>::max(),
                       "a whole number of percent, such as \"25%\"");
}

std::string FormatSize(uint64_t bytes) {
  return FormatQuantity(bytes, kSizeUnits);
}

std::string FormatDuration(int64_t ms) {
  return FormatQuantity(static_cast<uint64_t>(ms), kDurationUnits);
}

std::string FormatFineDuration(int64_t us) {
  return FormatQuantity(static_cast<uint64_t>(us), kFineDurationUnits);
}

std::string FormatPercent(uint64_t percent) {
  return FormatQuantity(percent, kPercent);
}

}  // namespace kvd
