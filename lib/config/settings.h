// SPDX-License-Identifier: MIT
//
// The table of settings: one row each. The file's keys, --set, CONFIG GET, the
// bounds and the suggestions for misspelt names all come from it. Private to
// lib/config.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "base/error.h"
#include "config/config.h"

namespace kvd {

// How a setting is written in a TOML file.
enum class TomlType { kString = 1, kInteger, kFloat, kBoolean };

// The kinds of value. `field` gives the member that a setting lives in; bounds
// are inclusive.
struct TextKind {
  std::string& (*field)(Config&);
  bool may_be_empty;
  bool is_list = false;  // In a file an array; else with commas between.
  // What else there is to say against it; errors do not repeat the name.
  Result<void> (*check)(std::string_view text) = nullptr;
};
struct SizeKind {
  uint64_t& (*field)(Config&);
  uint64_t min, max;
  uint64_t multiple_of = 1;
};
// A size or a share of memory; the bounds are those of a size, a share lies
// between 1% and 100%.
struct MemoryKind {
  MemoryAmount& (*field)(Config&);
  uint64_t min, max;
  bool may_be_empty;
};
struct DurationKind {
  int64_t& (*field)(Config&);
  int64_t min_ms, max_ms;
};
// For durations below a millisecond. An empty one, where there may be such, is
// longer than all others: INT64_MAX.
struct FineDurationKind {
  int64_t& (*field)(Config&);
  int64_t min_us, max_us;
  bool may_be_empty = false;
};
struct CountKind {
  int64_t& (*field)(Config&);
  int64_t min, max;
};
struct RatioKind {
  double& (*field)(Config&);
  double min, max;
};
struct ModeKind {
  uint32_t& (*field)(Config&);
};
struct SyncKind {
  SyncMode& (*field)(Config&);
};
struct DeviceKind {
  WriteDevice& (*field)(Config&);
};
struct LevelKind {
  LogLevel& (*field)(Config&);
};
// The letters of notify-keyspace-events. Source: Redis.
struct EventsKind {
  std::string& (*field)(Config&);
};
struct FlagKind {
  bool& (*field)(Config&);
};

struct Setting {
  std::string_view name;  // Dotted, as in "limits.value_size".
  std::variant<TextKind, SizeKind, MemoryKind, DurationKind, FineDurationKind,
               CountKind, RatioKind, ModeKind, SyncKind, DeviceKind, LevelKind,
               EventsKind, FlagKind>
      kind;
  bool at_run_time = false;  // Whether CONFIG SET changes it.
};

// In the order of etc/kvd.toml. Lives for ever.
std::span<const Setting> AllSettings();

// nullptr when there is none.
const Setting* FindSetting(std::string_view name);

// Whether `name` is a table that holds settings, such as "limits".
bool IsSection(std::string_view name);

// The setting that somebody who wrote `name` may have meant, or nothing.
std::string_view NearestSetting(std::string_view name);

TomlType TypeOf(const Setting& setting);
// What to write there, for messages: `a string such as "64MiB"`.
std::string ExampleOf(const Setting& setting);

Result<void> SetFromText(const Setting& setting, std::string_view text,
                         Config* config);
std::string GetAsText(const Setting& setting, const Config& config);

}  // namespace kvd
