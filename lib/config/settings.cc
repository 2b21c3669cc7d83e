// SPDX-License-Identifier: MIT
#include "config/settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "config/units.h"

namespace kvd {
namespace {

constexpr uint64_t kKiB = uint64_t{1} << 10;
constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr int64_t kSecond = 1000;
constexpr int64_t kHour = 60 * 60 * kSecond;
constexpr uint32_t kModeMax = 0777;

// What at_run_time is for those that CONFIG SET changes.
constexpr bool kRunning = true;

// Each of kvd's keys begins with it.
constexpr size_t kPrefixBytesMax = 255;

Result<void> CheckBackend(std::string_view text) {
  if (text == kLocalBackend || text == kEtcdBackend) return {};
  return Fail(ErrorCode::kInvalid, "\"{}\" is not \"{}\" or \"{}\"", text,
              kLocalBackend, kEtcdBackend);
}

Result<void> CheckReads(std::string_view text) {
  if (text == kLinearizableReads || text == kLocalReads) return {};
  return Fail(ErrorCode::kInvalid, "\"{}\" is not \"{}\" or \"{}\"", text,
              kLinearizableReads, kLocalReads);
}

// What stands behind the scheme is for those who connect to it.
Result<void> CheckEndpoints(std::string_view text) {
  for (const std::string& endpoint : SplitList(text)) {
    if (endpoint.starts_with("http://") || IsHttps(endpoint)) continue;
    return Fail(ErrorCode::kInvalid,
                "\"{}\" does not begin with http:// or https://; write it as "
                "in \"http://127.0.0.1:2379\"",
                endpoint);
  }
  return {};
}

Result<void> CheckPrefix(std::string_view text) {
  if (!text.ends_with('/')) {
    return Fail(ErrorCode::kInvalid,
                "\"{0}\" does not end with \"/\", so that keys of others that "
                "begin so would be among kvd's; write \"{0}/\"",
                text);
  }
  if (text.find_first_not_of('/') == text.npos) {
    return Fail(ErrorCode::kInvalid,
                "\"{}\" would hold keys of others; write a name before the "
                "\"/\", as in \"kvd/\"",
                text);
  }
  if (text.size() > kPrefixBytesMax) {
    return Fail(ErrorCode::kInvalid,
                "has {} bytes; at most {}, as it is in front of each key",
                text.size(), kPrefixBytesMax);
  }
  return {};
}

// Shorthand for the accessor of a member.
#define KVD_FIELD(member) \
  [](Config & c) -> auto& { return c.member; }

constexpr Setting kSettings[] = {
    {"data_dir", TextKind{KVD_FIELD(data_dir), false}},

    {"socket.path", TextKind{KVD_FIELD(socket.path), false}},
    {"socket.mode", ModeKind{KVD_FIELD(socket.mode)}},
    {"socket.group", TextKind{KVD_FIELD(socket.group), true}},

    {"durability.sync", SyncKind{KVD_FIELD(durability.sync)}},
    {"durability.interval",
     DurationKind{KVD_FIELD(durability.interval_ms), 10, kHour}},
    {"durability.declare_after",
     DurationKind{KVD_FIELD(durability.declare_after_ms), 10, kHour}},
    {"durability.look_interval",
     DurationKind{KVD_FIELD(durability.look_interval_ms), 10, kHour}},
    {"durability.reads_after_loss",
     DurationKind{KVD_FIELD(durability.reads_after_loss_ms), 0, 24 * kHour},
     kRunning},

    {"log.segment_size",
     SizeKind{KVD_FIELD(log.segment_bytes), 64 * kKiB, kGiB, 4 * kKiB}},
    {"log.device", DeviceKind{KVD_FIELD(log.device)}},
    {"log.busy_poll", FineDurationKind{KVD_FIELD(log.busy_poll_us), 0, 10'000}},

    {"compaction.interval",
     DurationKind{KVD_FIELD(compaction.interval_ms), 0, 24 * kHour}, kRunning},
    {"compaction.min_dead_ratio",
     RatioKind{KVD_FIELD(compaction.min_dead_ratio), 0.05, 1.0}, kRunning},
    {"compaction.rate",
     SizeKind{KVD_FIELD(compaction.rate_bytes), 0, 64 * kGiB}, kRunning},
    {"compaction.history",
     SizeKind{KVD_FIELD(compaction.history_bytes), 0, 1024 * kGiB}, kRunning},

    {"scrub.interval",
     DurationKind{KVD_FIELD(scrub.interval_ms), 0, 366 * 24 * kHour}, kRunning},
    {"scrub.rate", SizeKind{KVD_FIELD(scrub.rate_bytes), 0, 64 * kGiB},
     kRunning},

    {"backup.rate", SizeKind{KVD_FIELD(backup.rate_bytes), 0, 64 * kGiB},
     kRunning},
    {"backup.stall_timeout",
     DurationKind{KVD_FIELD(backup.stall_timeout_ms), 100, 24 * kHour},
     kRunning},

    {"memory.value_cache",
     MemoryKind{KVD_FIELD(memory.value_cache), kMiB, 1024 * 1024 * kGiB, false},
     kRunning},
    {"memory.limit",
     MemoryKind{KVD_FIELD(memory.limit), 1, 1024 * 1024 * kGiB, true},
     kRunning},

    {"limits.connections",
     CountKind{KVD_FIELD(limits.connections), 1, 1'000'000}, kRunning},
    {"limits.reserved_connections",
     CountKind{KVD_FIELD(limits.reserved_connections), 0, 1024}},
    {"limits.value_size",
     SizeKind{KVD_FIELD(limits.value_bytes), kKiB, kValueBytesMax}, kRunning},
    {"limits.arguments",
     CountKind{KVD_FIELD(limits.arguments), 64, 16'777'216}},
    {"limits.input_bytes",
     SizeKind{KVD_FIELD(limits.input_bytes), kMiB, 4 * kGiB}},
    {"limits.output_bytes",
     SizeKind{KVD_FIELD(limits.output_bytes), kMiB, 16 * kGiB}, kRunning},
    {"limits.subscriber_bytes",
     SizeKind{KVD_FIELD(limits.subscriber_bytes), 64 * kKiB, 16 * kGiB},
     kRunning},
    {"limits.transaction_bytes",
     SizeKind{KVD_FIELD(limits.transaction_bytes), kMiB, 16 * kGiB}, kRunning},
    {"limits.half_command_timeout",
     DurationKind{KVD_FIELD(limits.half_command_timeout_ms), 100, kHour}},
    {"limits.open_group",
     SizeKind{KVD_FIELD(limits.open_group_bytes), 64 * kKiB, 256 * kMiB}},
    {"limits.reserved_descriptors",
     CountKind{KVD_FIELD(limits.reserved_descriptors), 16, 4096}},

    {"pubsub.keyspace_events", EventsKind{KVD_FIELD(pubsub.keyspace_events)},
     kRunning},

    {"script.memory_limit",
     SizeKind{KVD_FIELD(script.memory_bytes), kMiB, 4 * kGiB}},
    {"script.time_limit",
     DurationKind{KVD_FIELD(script.time_ms), 1, 10 * kSecond}},

    {"storage.backend",
     TextKind{KVD_FIELD(storage.backend), false, false, CheckBackend}},

    {"etcd.endpoints",
     TextKind{KVD_FIELD(etcd.endpoints), false, true, CheckEndpoints}},
    {"etcd.prefix",
     TextKind{KVD_FIELD(etcd.prefix), false, false, CheckPrefix}},
    {"etcd.timeout", DurationKind{KVD_FIELD(etcd.timeout_ms), 100, kHour}},
    {"etcd.reads", TextKind{KVD_FIELD(etcd.reads), false, false, CheckReads}},
    {"etcd.max_clock_skew",
     DurationKind{KVD_FIELD(etcd.max_clock_skew_ms), 1, kHour}},
    {"etcd.ca_file", TextKind{KVD_FIELD(etcd.ca_file), true}},
    {"etcd.cert_file", TextKind{KVD_FIELD(etcd.cert_file), true}},
    {"etcd.key_file", TextKind{KVD_FIELD(etcd.key_file), true}},

    {"slowlog.threshold",
     FineDurationKind{KVD_FIELD(slowlog.threshold_us), 0, kHour * 1000, true},
     kRunning},
    {"slowlog.length", CountKind{KVD_FIELD(slowlog.length), 0, 100'000},
     kRunning},

    {"logging.level", LevelKind{KVD_FIELD(logging.level)}, kRunning},

    {"debug.commands", FlagKind{KVD_FIELD(debug.commands)}},
};

#undef KVD_FIELD

constexpr std::pair<std::string_view, SyncMode> kSyncModes[] = {
    {"always", SyncMode::kAlways},
    {"interval", SyncMode::kInterval},
    {"never", SyncMode::kNever}};

constexpr std::pair<std::string_view, WriteDevice> kDevices[] = {
    {"auto", WriteDevice::kAuto},
    {"io_uring", WriteDevice::kRing},
    {"thread", WriteDevice::kThread}};

constexpr std::pair<std::string_view, LogLevel> kLogLevels[] = {
    {"error", LogLevel::kError},
    {"warning", LogLevel::kWarning},
    {"info", LogLevel::kInfo}};

template <typename T, size_t N>
std::string_view NameOf(const std::pair<std::string_view, T> (&names)[N],
                        T value) {
  for (const auto& [name, candidate] : names) {
    if (candidate == value) return name;
  }
  return "?";
}

// `"always", "interval" or "never"`.
template <typename T, size_t N>
std::string Choices(const std::pair<std::string_view, T> (&names)[N]) {
  std::string out;
  for (size_t i = 0; i < N; ++i) {
    out += i == 0 ? "" : i + 1 == N ? " or " : ", ";
    out += fmt::format("\"{}\"", names[i].first);
  }
  return out;
}

template <typename T, size_t N>
Result<T> Choose(const std::pair<std::string_view, T> (&names)[N],
                 std::string_view text) {
  for (const auto& [name, value] : names) {
    if (name == text) return value;
  }
  return Fail(ErrorCode::kInvalid, "\"{}\" is not {}", text, Choices(names));
}

Result<int64_t> ParseCount(std::string_view text) {
  int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end) {
    return Fail(ErrorCode::kInvalid, "\"{}\" is not a whole number", text);
  }
  return value;
}

Result<double> ParseRatio(std::string_view text) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end) {
    return Fail(ErrorCode::kInvalid, "\"{}\" is not a number", text);
  }
  return value;
}

Result<uint32_t> ParseMode(std::string_view text) {
  uint32_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value, 8);
  if (error != std::errc() || rest != end || value > kModeMax) {
    return Fail(ErrorCode::kInvalid,
                "\"{}\" is not octal permission bits between \"0000\" and "
                "\"0777\"",
                text);
  }
  return value;
}

template <typename T>
Result<void> CheckBounds(std::string_view text, T value, T min, T max,
                         std::string (*format)(T)) {
  if (value >= min && value <= max) return {};
  return Fail(ErrorCode::kInvalid, "{} is out of bounds; between {} and {}",
              text, format(min), format(max));
}

std::string FormatCount(int64_t value) { return fmt::format("{}", value); }
std::string FormatRatio(double value) { return fmt::format("{}", value); }

Result<void> Set(const TextKind& kind, std::string_view text, Config* config) {
  if (text.empty() && !kind.may_be_empty) {
    return Fail(ErrorCode::kInvalid, "must not be empty");
  }
  // The kernel would take the name only up to the zero.
  if (text.find('\0') != text.npos) {
    return Fail(ErrorCode::kInvalid, "must not contain a zero byte");
  }
  if (kind.check != nullptr) KVD_TRY(kind.check(text));
  kind.field(*config) = text;
  return {};
}

Result<void> Set(const SizeKind& kind, std::string_view text, Config* config) {
  KVD_TRY_ASSIGN(const uint64_t bytes, ParseSize(text));
  KVD_TRY(CheckBounds(text, bytes, kind.min, kind.max, FormatSize));
  if (bytes % kind.multiple_of != 0) {
    return Fail(ErrorCode::kInvalid, "{} is not a multiple of {}", text,
                FormatSize(kind.multiple_of));
  }
  kind.field(*config) = bytes;
  return {};
}

Result<MemoryAmount> ParseMemoryAmount(std::string_view text) {
  if (text.ends_with('%')) {
    KVD_TRY_ASSIGN(const uint64_t percent, ParsePercent(text));
    return MemoryAmount{.percent = percent};
  }
  const Result<uint64_t> bytes = ParseSize(text);
  if (bytes) return MemoryAmount{.bytes = *bytes};
  return Fail(ErrorCode::kInvalid,
              "{}; a share of memory, such as \"25%\", would do, too",
              bytes.error().message());
}

Result<void> Set(const MemoryKind& kind, std::string_view text,
                 Config* config) {
  if (text.empty() && kind.may_be_empty) {
    kind.field(*config) = {};
    return {};
  }
  KVD_TRY_ASSIGN(const MemoryAmount amount, ParseMemoryAmount(text));
  if (text.ends_with('%')) {
    KVD_TRY(CheckBounds<uint64_t>(text, amount.percent, 1, 100, FormatPercent));
  } else {
    KVD_TRY(CheckBounds(text, amount.bytes, kind.min, kind.max, FormatSize));
  }
  kind.field(*config) = amount;
  return {};
}

Result<void> Set(const DurationKind& kind, std::string_view text,
                 Config* config) {
  KVD_TRY_ASSIGN(const int64_t ms, ParseDuration(text));
  KVD_TRY(CheckBounds(text, ms, kind.min_ms, kind.max_ms, FormatDuration));
  kind.field(*config) = ms;
  return {};
}

Result<void> Set(const FineDurationKind& kind, std::string_view text,
                 Config* config) {
  if (text.empty() && kind.may_be_empty) {
    kind.field(*config) = INT64_MAX;
    return {};
  }
  KVD_TRY_ASSIGN(const int64_t us, ParseFineDuration(text));
  KVD_TRY(CheckBounds(text, us, kind.min_us, kind.max_us, FormatFineDuration));
  kind.field(*config) = us;
  return {};
}

Result<void> Set(const CountKind& kind, std::string_view text, Config* config) {
  KVD_TRY_ASSIGN(const int64_t count, ParseCount(text));
  KVD_TRY(CheckBounds(text, count, kind.min, kind.max, FormatCount));
  kind.field(*config) = count;
  return {};
}

Result<void> Set(const RatioKind& kind, std::string_view text, Config* config) {
  KVD_TRY_ASSIGN(const double ratio, ParseRatio(text));
  KVD_TRY(CheckBounds(text, ratio, kind.min, kind.max, FormatRatio));
  kind.field(*config) = ratio;
  return {};
}

Result<void> Set(const ModeKind& kind, std::string_view text, Config* config) {
  KVD_TRY_ASSIGN(kind.field(*config), ParseMode(text));
  return {};
}

Result<void> Set(const SyncKind& kind, std::string_view text, Config* config) {
  KVD_TRY_ASSIGN(kind.field(*config), Choose(kSyncModes, text));
  return {};
}

Result<void> Set(const DeviceKind& kind, std::string_view text,
                 Config* config) {
  KVD_TRY_ASSIGN(kind.field(*config), Choose(kDevices, text));
  return {};
}

Result<void> Set(const LevelKind& kind, std::string_view text, Config* config) {
  KVD_TRY_ASSIGN(kind.field(*config), Choose(kLogLevels, text));
  return {};
}

// In the order in which Redis writes them, each once, A for those that it
// includes.
Result<void> Set(const EventsKind& kind, std::string_view text,
                 Config* config) {
  constexpr std::string_view kClasses = "g$lshzxetd";  // All of A.
  constexpr std::string_view kOthers = "nKEm";
  for (const char letter : text) {
    if (letter == 'A' || kClasses.find(letter) != kClasses.npos ||
        kOthers.find(letter) != kOthers.npos) {
      continue;
    }
    return Fail(ErrorCode::kInvalid,
                "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
  }
  std::string classes;
  std::string others;
  for (const char letter : kClasses) {
    if (text.find(letter) != text.npos) classes += letter;
  }
  for (const char letter : kOthers) {
    if (text.find(letter) != text.npos) others += letter;
  }
  const bool all = text.find('A') != text.npos || classes == kClasses;
  kind.field(*config) = (all ? "A" : classes) + others;
  return {};
}

Result<void> Set(const FlagKind& kind, std::string_view text, Config* config) {
  if (text != "true" && text != "false") {
    return Fail(ErrorCode::kInvalid, "\"{}\" is not true or false", text);
  }
  kind.field(*config) = text == "true";
  return {};
}

std::string Get(const TextKind& kind, Config& config) {
  return kind.field(config);
}
std::string Get(const SizeKind& kind, Config& config) {
  return FormatSize(kind.field(config));
}
std::string Get(const MemoryKind& kind, Config& config) {
  const MemoryAmount& amount = kind.field(config);
  if (amount.is_none()) return "";
  return amount.percent != 0 ? FormatPercent(amount.percent)
                             : FormatSize(amount.bytes);
}
std::string Get(const DurationKind& kind, Config& config) {
  return FormatDuration(kind.field(config));
}
std::string Get(const FineDurationKind& kind, Config& config) {
  const int64_t us = kind.field(config);
  return us == INT64_MAX ? "" : FormatFineDuration(us);
}
std::string Get(const CountKind& kind, Config& config) {
  return FormatCount(kind.field(config));
}
std::string Get(const RatioKind& kind, Config& config) {
  return FormatRatio(kind.field(config));
}
std::string Get(const ModeKind& kind, Config& config) {
  return fmt::format("{:04o}", kind.field(config));
}
std::string Get(const SyncKind& kind, Config& config) {
  return std::string(ToString(kind.field(config)));
}
std::string Get(const DeviceKind& kind, Config& config) {
  return std::string(NameOf(kDevices, kind.field(config)));
}
std::string Get(const LevelKind& kind, Config& config) {
  return std::string(ToString(kind.field(config)));
}

std::string Get(const EventsKind& kind, Config& config) {
  return kind.field(config);
}
std::string Get(const FlagKind& kind, Config& config) {
  return kind.field(config) ? "true" : "false";
}

std::string_view LastWord(std::string_view name) {
  return name.substr(name.rfind('.') + 1);
}

// Levenshtein's distance: how many letters to add, drop or replace.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::span<const Setting> AllSettings() { return kSettings; }

const Setting* FindSetting(std::string_view name) {
  const auto* const found = std::ranges::find(kSettings, name, &Setting::name);
  return found == std::end(kSettings) ? nullptr : found;
}

bool IsSection(std::string_view name) {
  return std::ranges::any_of(kSettings, [name](const Setting& setting) {
    return setting.name.size() > name.size() &&
           setting.name.starts_with(name) && setting.name[name.size()] == '.';
  });
}

std::string_view NearestSetting(std::string_view name) {
  // Longer names are no misspelling of a setting, and comparing them would take
  // long.
  constexpr size_t kNameBytesMax = 64;
  if (name.size() > kNameBytesMax) return {};
  std::string_view nearest;
  size_t nearest_distance = std::max<size_t>(2, name.size() / 3) + 1;
  for (const Setting& setting : kSettings) {
    // The right word in the wrong section is nearer than any misspelling.
    const size_t distance = LastWord(setting.name) == LastWord(name)
                                ? 1
                                : EditDistance(setting.name, name);
    if (distance < nearest_distance) {
      nearest = setting.name;
      nearest_distance = distance;
    }
  }
  return nearest;
}

TomlType TypeOf(const Setting& setting) {
  if (std::holds_alternative<CountKind>(setting.kind)) {
    return TomlType::kInteger;
  }
  if (std::holds_alternative<RatioKind>(setting.kind)) return TomlType::kFloat;
  if (std::holds_alternative<FlagKind>(setting.kind)) {
    return TomlType::kBoolean;
  }
  return TomlType::kString;
}

std::string ExampleOf(const Setting& setting) {
  if (std::holds_alternative<MemoryKind>(setting.kind)) {
    return "a string such as \"2GiB\" or \"25%\"";
  }
  const std::string value = GetAsText(setting, Config());
  switch (TypeOf(setting)) {
    case TomlType::kInteger:
      return fmt::format("a whole number such as {}", value);
    case TomlType::kFloat:
      return fmt::format("a number such as {}", value);
    case TomlType::kBoolean:
      return "true or false";
    case TomlType::kString:
      break;
  }
  const auto* text = std::get_if<TextKind>(&setting.kind);
  if (text != nullptr && text->is_list) {
    return fmt::format("a list of strings such as [\"{}\"]", value);
  }
  return fmt::format("a string such as \"{}\"", value);
}

Result<void> SetFromText(const Setting& setting, std::string_view text,
                         Config* config) {
  return std::visit([&](const auto& kind) { return Set(kind, text, config); },
                    setting.kind);
}

std::string GetAsText(const Setting& setting, const Config& config) {
  // The accessor of a member is for writing, too, so it gets a copy.
  Config copy = config;
  return std::visit([&](const auto& kind) { return Get(kind, copy); },
                    setting.kind);
}

std::string_view ToString(SyncMode mode) { return NameOf(kSyncModes, mode); }
std::string_view ToString(LogLevel level) { return NameOf(kLogLevels, level); }

}  // namespace kvd
