// SPDX-License-Identifier: MIT
#include "daemon/script/meter.h"

#include <algorithm>
#include <cstdlib>

namespace kvd {
namespace {

constexpr int kInstructionsPerLook = 1000;
// Work on a block of this size is no more than an instruction's.
constexpr size_t kSmallBlockBytes = 64 << 10;
// An allocator's work for a byte, with that of who fills it, is less than this.
constexpr uint64_t kBytesPerNs = 4;

}  // namespace

void Meter::Begin(ScriptHost& host, int64_t time_ns, size_t memory_bytes) {
  host_ = &host;
  stop_ = ScriptStop::kNone;
  start_ns_ = host.CpuNs();
  time_ns_ = time_ns;
  charged_ns_ = 0;
  limit_bytes_ = used_bytes_ + memory_bytes;
  memory_bytes_ = memory_bytes;
  collected_bytes_ = used_bytes_;
  largest_block_ = 0;
}

void Meter::End() {
  host_ = nullptr;
  limit_bytes_ = SIZE_MAX;
}

bool Meter::Afford(uint64_t ns) {
  if (!Charge(ns)) return false;
  if (ns < kNsPerLook || host_ == nullptr) return true;
  const int64_t left = time_ns_ - spent_ns();
  if (left < 0 || static_cast<uint64_t>(left) < ns) Stop(ScriptStop::kTime);
  return !stopped();
}

bool Meter::Look() {
  charged_ns_ = 0;
  if (host_ != nullptr && !stopped() && spent_ns() > time_ns_) {
    Stop(ScriptStop::kTime);
  }
  return !stopped();
}

int64_t Meter::spent_ns() const {
  return host_ == nullptr ? 0 : host_->CpuNs() - start_ns_;
}

void* Meter::Resize(void* block, size_t old_size, size_t new_size) {
  // Lua says 0 for what is new.
  if (block == nullptr) old_size = 0;
  if (new_size == 0) {
    std::free(block);
    used_bytes_ -= old_size;
    return nullptr;
  }
  if (new_size > old_size) {
    if (new_size - old_size > free_bytes()) Stop(ScriptStop::kMemory);
    const bool stops = host_ != nullptr && !Charge(new_size / kBytesPerNs);
    if (stops && !must_give_) return nullptr;
    largest_block_ = std::max(largest_block_, new_size);
  }
  void* const moved = std::realloc(block, new_size);
  if (moved == nullptr) {
    // What becomes smaller must not fail.
    if (new_size <= old_size) return block;
    Stop(ScriptStop::kMemory);
    return nullptr;
  }
  used_bytes_ += new_size - old_size;
  return moved;
}

int Meter::instructions_per_look() const {
  if (wants_collection()) return 1;
  const size_t times = largest_block_ / kSmallBlockBytes;
  if (times <= 1) return kInstructionsPerLook;
  return std::max(1, static_cast<int>(kInstructionsPerLook / times));
}

}  // namespace kvd
