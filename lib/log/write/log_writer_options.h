// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/durability.h"
#include "base/log_sink.h"

namespace kvd {

struct LogWriterOptions {
  SyncMode sync = SyncMode::kAlways;
  int64_t sync_interval_ms = 1000;
  WriteDevice device = WriteDevice::kAuto;
  bool gathers = false;  // If the loop looks at Gathers().
  uint64_t segment_bytes = 64ull << 20;
  // Of the first one, if that is less: it is written with zeros while the first
  // writers wait.
  uint64_t first_segment_bytes = 4 << 20;
  uint64_t open_group_bytes_max = 8 << 20;
  int64_t idle_declare_ms = 100;
  // Slow work that frees space of older segments; none if empty. It goes ahead
  // of the second segment, or of what comes first where room is not ample.
  std::function<void()> give_space_back;
  LogSink log = [](Severity, const std::string&) {};
};

}  // namespace kvd
