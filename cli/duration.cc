// SPDX-License-Identifier: MIT
#include "cli/duration.h"

#include <fmt/format.h>

#include <charconv>

namespace kvctl {
namespace {

using std::chrono::milliseconds;

constexpr int64_t kSecond = 1000;
constexpr int64_t kMinute = 60 * kSecond;
constexpr int64_t kHour = 60 * kMinute;
constexpr int64_t kDay = 24 * kHour;
constexpr double kDurationMax = 100.0 * 366 * kDay;

// Takes a unit's name off `text`; 0 when there is none.
int64_t TakeUnit(std::string_view* text) {
  constexpr struct {
    std::string_view name;
    int64_t ms;
  } kUnits[] = {
      {"ms", 1}, {"s", kSecond}, {"m", kMinute}, {"h", kHour}, {"d", kDay}};
  for (const auto& unit : kUnits) {
    if (text->starts_with(unit.name)) {
      text->remove_prefix(unit.name.size());
      return unit.ms;
    }
  }
  return 0;
}

std::string TwoUnits(int64_t ms, int64_t large, char large_name, int64_t small,
                     char small_name) {
  const int64_t rest = ms % large / small;
  if (rest == 0) return fmt::format("{}{}", ms / large, large_name);
  return fmt::format("{}{}{}{}", ms / large, large_name, rest, small_name);
}

}  // namespace

std::optional<milliseconds> ParseDuration(std::string_view text,
                                          milliseconds bare_unit) {
  if (text.empty()) return {};
  double total = 0;
  bool first = true;
  while (!text.empty()) {
    // from_chars would take "inf" and a sign.
    if (text[0] < '0' || text[0] > '9') return {};
    double number = 0;
    const auto [end, fault] =
        std::from_chars(text.data(), text.data() + text.size(), number,
                        std::chars_format::fixed);
    if (fault != std::errc()) return {};
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    const bool bare = first && text.empty();
    const int64_t unit = bare ? bare_unit.count() : TakeUnit(&text);
    if (unit == 0) return {};
    total += number * static_cast<double>(unit);
    if (total > kDurationMax) return {};
    first = false;
  }
  return milliseconds(static_cast<int64_t>(total + 0.5));
}

std::string FormatDuration(milliseconds duration) {
  const int64_t ms = duration.count();
  if (ms < kSecond) return fmt::format("{}ms", ms);
  if (ms < kMinute) {
    // Not rounded up: 59.99 s is less than a minute.
    const int64_t tenths = ms / 100;
    if (tenths % 10 == 0) return fmt::format("{}s", tenths / 10);
    return fmt::format("{}.{}s", tenths / 10, tenths % 10);
  }
  if (ms < kHour) return TwoUnits(ms, kMinute, 'm', kSecond, 's');
  if (ms < kDay) return TwoUnits(ms, kHour, 'h', kMinute, 'm');
  return TwoUnits(ms, kDay, 'd', kHour, 'h');
}

}  // namespace kvctl
