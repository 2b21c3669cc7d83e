// SPDX-License-Identifier: MIT
//
// What one script may use: memory, by its allocator, and time on the loop. An
// interpreter's instructions are counted by a hook, and the allocator counts
// bytes; functions that do more than a few instructions' work for one call
// charge it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "daemon/script/script_host.h"

namespace kvd {

// Why a script ends before it has come to its end.
enum class ScriptStop : uint8_t {
  kNone,
  kHost,    // ScriptHost::RunCommand() said so.
  kTime,    // It has used up its time.
  kMemory,  // It needs more memory than it may have.
};

// Once it has stopped a script it stays so until the next Begin(): the script
// cannot catch that. Thread: loop.
class Meter {
 public:
  // `host` outlives the run.
  void Begin(ScriptHost& host, int64_t time_ns, size_t memory_bytes);
  // From here on nothing is bounded.
  void End();

  ScriptStop stop() const { return stop_; }
  bool stopped() const { return stop_ != ScriptStop::kNone; }
  void Stop(ScriptStop why) {
    if (!stopped()) stop_ = why;
  }

  // Counts work of about so many nanoseconds. False when the script has to end.
  bool Charge(uint64_t ns) {
    charged_ns_ += ns;
    return charged_ns_ < kNsPerLook ? !stopped() : Look();
  }
  // The same of work that is still to be done, all at once: false, too, if
  // there is not enough time for it.
  bool Afford(uint64_t ns);
  // Looks at the clock.
  bool Look();
  // The CPU time that the run has taken.
  int64_t spent_ns() const;

  // realloc() for Lua: null when there is no more to be had.
  void* Resize(void* block, size_t old_size, size_t new_size);
  // While it must, Resize() gives what is asked for, and a stop is only noted:
  // for little, where Lua could raise no error.
  void set_must_give(bool must) { must_give_ = must; }
  size_t used_bytes() const { return used_bytes_; }
  // What a run may still take.
  size_t free_bytes() const {
    return used_bytes_ < limit_bytes_ ? limit_bytes_ - used_bytes_ : 0;
  }

  // Whether garbage may take much of what the run may have: it should be
  // collected at the next instruction. Lua's own pace is one for small values.
  bool wants_collection() const {
    return used_bytes_ > collected_bytes_ && host_ != nullptr &&
           used_bytes_ - collected_bytes_ > memory_bytes_ / 4;
  }
  void Collected() { collected_bytes_ = used_bytes_; }

  // What a look at all places of a table takes at the most, empty ones
  // included: no table is larger than the largest block.
  uint64_t ns_per_table() const { return largest_block_ / kTableBytesPerNs; }

  // After how many instructions to look at the clock. Few when there are large
  // blocks: one instruction may compare two texts of many megabytes.
  int instructions_per_look() const;

 private:
  static constexpr uint64_t kNsPerLook = 50'000;
  static constexpr size_t kTableBytesPerNs = 32;

  ScriptHost* host_ = nullptr;  // Null between runs.
  ScriptStop stop_ = ScriptStop::kNone;
  bool must_give_ = false;
  int64_t start_ns_ = 0;
  int64_t time_ns_ = 0;
  uint64_t charged_ns_ = 0;
  size_t used_bytes_ = 0;
  size_t limit_bytes_ = SIZE_MAX;
  size_t memory_bytes_ = 0;     // What the run may have beside what was there.
  size_t collected_bytes_ = 0;  // What was left by the last collection.
  size_t largest_block_ = 0;    // Of this run.
};

}  // namespace kvd
