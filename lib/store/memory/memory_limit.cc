// SPDX-License-Identifier: MIT
#include "store/memory/memory_limit.h"

#include <utility>

namespace kvd {
namespace {

// Memory has room again, as far as people are told, when this part of the limit
// is free; else a store at its limit would fill the log with it.
constexpr uint64_t kRoomPart = 16;

}  // namespace

MemoryLimit::MemoryLimit(uint64_t bytes, const MemoryUse& memory,
                         const ClearedTables& cleared, LogSink log)
    : bytes_(bytes), memory_(memory), cleared_(cleared), log_(std::move(log)) {}

Room MemoryLimit::Refuse() {
  if (IsFullForGood()) {
    NoteFull();
    return Room::kMemoryFull;
  }
  awaited_ = true;
  return Room::kWait;
}

bool MemoryLimit::TakeNews() {
  if (!HasNews()) return false;
  awaited_ = false;
  return true;
}

void MemoryLimit::NoteFull() {
  if (std::exchange(full_noted_, true)) return;
  log_(Severity::kWarning,
       "keys and tables have reached memory.limit: writes that add a key "
       "or make a value larger are refused until there is room");
}

void MemoryLimit::NoteRoom() {
  if (!full_noted_ || StayingBytes() > bytes_ - bytes_ / kRoomPart) {
    return;
  }
  full_noted_ = false;
  log_(Severity::kInfo, "there is room below memory.limit again");
}

}  // namespace kvd
