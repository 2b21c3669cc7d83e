// SPDX-License-Identifier: MIT
//
// memory.limit: what keys, tables and values may take together. Values leave
// memory for keys, so there are two things to say no to: memory is over the
// limit until values have gone to disk, or it is full of what cannot go there.
#pragma once

#include <cstdint>

#include "base/log_sink.h"
#include "log/write/room.h"
#include "store/memory/cleared_tables.h"
#include "store/memory/keyspace.h"

namespace kvd {

// Thread: loop.
class MemoryLimit {
 public:
  // `bytes`: 0 for no limit. References outlive it.
  MemoryLimit(uint64_t bytes, const MemoryUse& memory,
              const ClearedTables& cleared, LogSink log);

  uint64_t bytes() const { return bytes_; }
  void set_bytes(uint64_t bytes) { bytes_ = bytes; }
  bool IsOver() const { return bytes_ != 0 && memory_.all() >= bytes_; }
  // Values have nothing to do with it, unless they stay.
  bool IsFull() const { return bytes_ != 0 && StayingBytes() >= bytes_; }
  // Nowhere else is a place for them.
  void ValuesStay() { values_stay_ = true; }

  // What a change hears that would add to memory which is over the limit:
  // kMemoryFull, or kWait, and then HasNews() becomes true.
  Room Refuse();
  // Whether those who wait should ask again.
  bool HasNews() const { return awaited_ && (!IsOver() || IsFullForGood()); }
  // The same, once.
  bool TakeNews();

  // Says so when there is room again after refusals.
  void NoteRoom();

 private:
  uint64_t StayingBytes() const {
    return values_stay_ ? memory_.all() : memory_.without_values();
  }
  // What a flushed database leaves is about to go.
  bool IsFullForGood() const { return IsFull() && cleared_.empty(); }
  // Once each time that it comes to refusals.
  void NoteFull();

  uint64_t bytes_;
  const MemoryUse& memory_;
  const ClearedTables& cleared_;
  LogSink log_;
  bool awaited_ = false;  // Some writer waits until values have gone.
  bool full_noted_ = false;
  bool values_stay_ = false;
};

}  // namespace kvd
