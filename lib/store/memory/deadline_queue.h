// SPDX-License-Identifier: MIT
//
// The entries that have a deadline, earliest first: a 4-ary heap of pointers in
// which every entry knows its own position, so that any of them can leave. Four
// children share a cache line's worth of slots and halve the levels of a binary
// heap. Slots live in chunks of fixed size: growth never moves them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "store/memory/entry.h"

namespace kvd {

// Holds entries without owning them: remove an entry before destroying it.
// Thread: the one that owns the index.
class DeadlineQueue {
 public:
  static constexpr size_t kChunkSlots = 4096;

  DeadlineQueue() = default;
  DeadlineQueue(const DeadlineQueue&) = delete;
  DeadlineQueue& operator=(const DeadlineQueue&) = delete;

  // `entry` has a deadline and is in no queue.
  void Add(Entry* entry);

  // Entries without a deadline are accepted and ignored, as are those in no
  // queue; one that is in another queue must not be given.
  void Remove(Entry* entry);

  // `replacement` takes over from `old`, either of which may lack a deadline.
  // Call before `old` is destroyed.
  void Update(Entry* old, Entry* replacement);

  // The entry with the least deadline, or null if there is none. Entries with
  // equal deadlines come in any order.
  Entry* Earliest() const { return size_ == 0 ? nullptr : At(0); }

  // Up to `count` entries whose deadline is that or before it, in any order.
  std::vector<const Entry*> Due(uint64_t deadline_ms, size_t count) const;

  // Calls `each` with `count` entries of all over the queue, or with all if
  // there are no more.
  template <typename Each>
  void Sample(size_t count, Each each) const {
    const size_t taken = count < size_ ? count : size_;
    for (size_t i = 0; i < taken; ++i) each(*At(i * size_ / taken));
  }

  size_t size() const { return size_; }
  // Bytes that the slots take.
  size_t memory_bytes() const;

 private:
  using Chunk = std::unique_ptr<Entry*[]>;

  Entry*& At(size_t position) const {
    return chunks_[position / kChunkSlots][position % kChunkSlots];
  }
  void Put(size_t position, Entry* entry);
  // Both find the place for `entry`, starting from the hole at `position`.
  void SiftUp(size_t position, Entry* entry);
  void SiftDown(size_t position, Entry* entry);
  size_t EarliestChild(size_t position) const;

  std::vector<Chunk> chunks_;
  size_t size_ = 0;
};

}  // namespace kvd
