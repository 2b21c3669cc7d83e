// SPDX-License-Identifier: MIT
#include "daemon/host/memory_share.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>

namespace kvd {
namespace {

// Where distributions and containers mount them.
constexpr std::string_view kUnifiedMount = "/sys/fs/cgroup";
constexpr std::string_view kMemoryMount = "/sys/fs/cgroup/memory";

// Values in memory get this much at least …
constexpr uint64_t kValueCacheBytesMin = uint64_t{1} << 20;
// … and leave this part of the limit to keys.
constexpr uint64_t kKeysPart = 4;

// Takes what is in front of `separator`, or all, out of `rest`.
std::string_view TakeUntil(char separator, std::string_view* rest) {
  const size_t end = std::min(rest->find(separator), rest->size());
  const std::string_view taken = rest->substr(0, end);
  rest->remove_prefix(std::min(end + 1, rest->size()));
  return taken;
}

bool HasController(std::string_view list, std::string_view wanted) {
  while (!list.empty()) {
    if (TakeUntil(',', &list) == wanted) return true;
  }
  return false;
}

// The file in `group` and in each group above it, up to the root's. In a
// container the path may be the host's, and only the root be there; a group
// outside of the namespace's root reads "/../…" and is not reachable by name.
void AddGroups(std::string_view mount, std::string_view group,
               std::string_view file, std::vector<std::string>* files) {
  if (group.starts_with("/../")) group = "";
  while (true) {
    while (group.ends_with('/')) group.remove_suffix(1);
    files->push_back(std::string(mount).append(group).append(file));
    if (group.empty()) return;
    group = group.substr(0, group.rfind('/'));
  }
}

std::string ReadAll(const std::string& path) {
  std::ifstream stream(path);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// Not from /proc/meminfo, which the sandbox of kvd.service hides.
}  // namespace

uint64_t PhysicalMemory() {
  const int64_t pages = sysconf(_SC_PHYS_PAGES);
  const int64_t page_bytes = sysconf(_SC_PAGESIZE);
  return static_cast<uint64_t>(pages) * static_cast<uint64_t>(page_bytes);
}

// Source of the format: cgroups(7). A line reads "number:controllers:path", and
// "0::path" in version 2.
std::vector<std::string> CgroupLimitFiles(std::string_view proc_self_cgroup) {
  std::vector<std::string> files;
  while (!proc_self_cgroup.empty()) {
    std::string_view path = TakeUntil('\n', &proc_self_cgroup);
    const std::string_view number = TakeUntil(':', &path);
    const std::string_view controllers = TakeUntil(':', &path);
    if (!path.starts_with('/')) continue;
    if (number == "0" && controllers.empty()) {
      AddGroups(kUnifiedMount, path, "/memory.max", &files);
    } else if (HasController(controllers, "memory")) {
      AddGroups(kMemoryMount, path, "/memory.limit_in_bytes", &files);
    }
  }
  return files;
}

std::optional<uint64_t> ParseCgroupLimit(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  uint64_t bytes = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, bytes);
  if (error != std::errc() || rest != end) return std::nullopt;
  // Version 1 has no word for "no limit" but the largest multiple of a page.
  constexpr uint64_t kNoLimit = uint64_t{1} << 62;
  if (bytes >= kNoLimit) return std::nullopt;
  return bytes;
}

std::optional<uint64_t> CgroupMemoryLimit(const std::string& root) {
  std::optional<uint64_t> lowest;
  const std::string groups = ReadAll(root + "/proc/self/cgroup");
  for (const std::string& file : CgroupLimitFiles(groups)) {
    const auto limit = ParseCgroupLimit(ReadAll(root + file));
    if (limit) lowest = std::min(lowest.value_or(*limit), *limit);
  }
  return lowest;
}

uint64_t AvailableMemory() {
  const uint64_t physical = PhysicalMemory();
  return std::min(physical, CgroupMemoryLimit().value_or(physical));
}

MemoryBounds BoundsOf(const Config::Memory& settings, uint64_t available) {
  MemoryBounds bounds;
  bounds.value_cache =
      std::max(settings.value_cache.Resolve(available), kValueCacheBytesMin);
  bounds.limit = settings.limit.Resolve(available);
  if (settings.limit.is_none()) return bounds;
  const uint64_t most = bounds.limit - bounds.limit / kKeysPart;
  bounds.capped = bounds.value_cache > most;
  bounds.value_cache = std::min(bounds.value_cache, most);
  return bounds;
}

}  // namespace kvd
