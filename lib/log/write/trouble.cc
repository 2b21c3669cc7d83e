// SPDX-License-Identifier: MIT
#include "log/write/trouble.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/planted_bug.h"
#include "log/write/prepare_segment.h"

namespace kvd {

void Trouble::Note(const Error& error) {
  if (!error_) {
    log_(Severity::kWarning,
         "writers wait, reads go on, and every second it is tried again: " +
             error.message());
  }
  error_ = error;
}

void Trouble::End() {
  if (Forget()) log_(Severity::kInfo, std::string(over_));
}

bool Trouble::Forget() {
  return std::exchange(error_, std::nullopt).has_value();
}

SupplyTrouble::SupplyTrouble(const LogSink& log)
    : log_(log),
      shortage_(log, "segments can be made again"),
      manifest_(log, "the MANIFEST is written again") {}

void SupplyTrouble::SegmentFailed(const Error& error, uint64_t bytes_min,
                                  int64_t now_ms) {
  if (!NeedsRoom(error)) {
    shortage_.Note(error);
    return RetryLater(now_ms);
  }
  shortage_.End();
  if (full_for_bytes_ == UINT64_MAX) {
    log_(Severity::kWarning,
         "no room for another log segment: " + error.message() +
             "; new data will be refused when the current one is full, deletes "
             "and reads go on");
  }
  NoRoomFor(bytes_min, now_ms);
}

void SupplyTrouble::NoRoomFor(uint64_t bytes, int64_t now_ms) {
  full_for_bytes_ = std::min(full_for_bytes_, bytes);
  RetryLater(now_ms);
}

void SupplyTrouble::FoundRoom() {
  if (std::exchange(full_for_bytes_, UINT64_MAX) == UINT64_MAX) return;
  log_(Severity::kInfo, "there is room for log segments again");
}

void SupplyTrouble::ManifestFailed(const Error& error, int64_t now_ms) {
  manifest_.Note(error);
  RetryLater(now_ms);
}

bool SupplyTrouble::WouldFit(uint64_t free_bytes) const {
  return free_bytes >= full_for_bytes_ + kDiskReserveBytes;
}

}  // namespace kvd
