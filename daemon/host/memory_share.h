// SPDX-License-Identifier: MIT
//
// How much memory is kvd's to use: that of the machine, or less when a control
// group says so. Shares in the settings are shares of this.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace kvd {

// Where limits may stand for the process whose /proc/self/cgroup reads so:
// paths from the root directory on, of its groups and of all above them, in
// both versions of control groups.
std::vector<std::string> CgroupLimitFiles(std::string_view proc_self_cgroup);

// What such a file says, in bytes; nothing for "no limit" and for nonsense.
std::optional<uint64_t> ParseCgroupLimit(std::string_view text);

// The lowest limit that control groups set, in bytes; nothing when none does. A
// file that cannot be read sets none. `root` is put before all paths.
std::optional<uint64_t> CgroupMemoryLimit(const std::string& root = "");

// Of the machine, in bytes.
uint64_t PhysicalMemory();

// What this process may use, in bytes: physical memory or the limit of its
// control groups, whichever is less.
uint64_t AvailableMemory();

// What the store may take, in bytes.
struct MemoryBounds {
  uint64_t value_cache = 0;
  uint64_t limit = 0;   // Of all; 0 for none.
  bool capped = false;  // The limit left values less than the settings say.
};

// The settings' meaning where so many bytes are there.
MemoryBounds BoundsOf(const Config::Memory& settings, uint64_t available);

}  // namespace kvd
