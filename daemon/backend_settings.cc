// SPDX-License-Identifier: MIT
#include "daemon/backend_settings.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "config/units.h"

namespace kvd {
namespace {

// Of the log and of values on disk.
constexpr std::string_view kLocalSections[] = {
    "durability.", "log.", "compaction.", "scrub.", "backup."};

bool IsLocal(std::string_view name) {
  return std::ranges::any_of(kLocalSections, [name](std::string_view section) {
    return name.starts_with(section);
  });
}

// The names of what was not as it is by default.
std::vector<std::string> ResetLocalSettings(Config* config) {
  std::vector<std::string> reset;
  for (const auto& [name, value] : DescribeSettings(Config())) {
    if (!IsLocal(name) || GetSetting(*config, name) == value) continue;
    KVD_CHECK(SetSetting(config, name, value).ok());
    reset.push_back(name);
  }
  return reset;
}

}  // namespace

std::vector<std::string> AdaptToBackend(Config* config) {
  std::vector<std::string> lines;
  if (config->storage.backend != kEtcdBackend) return lines;
  if (const auto reset = ResetLocalSettings(config); !reset.empty()) {
    lines.push_back(
        fmt::format("of no meaning with storage.backend = \"{}\": {}",
                    config->storage.backend, fmt::join(reset, ", ")));
  }
  uint64_t& value_bytes = config->limits.value_bytes;
  if (value_bytes > kEtcdValueBytesMax) {
    lines.push_back(fmt::format(
        "limits.value_size is {} instead of {}: etcd takes no larger values",
        FormatSize(kEtcdValueBytesMax), FormatSize(value_bytes)));
    value_bytes = kEtcdValueBytesMax;
  }
  return lines;
}

}  // namespace kvd
