// SPDX-License-Identifier: MIT
//
// One key in memory. Millions of entries live at once, so an entry is one
// allocation (entry_heap.h) with nothing in it that could be left out:
//
//   header 24 bytes | deadline 16 bytes, if it has one | key | value
//
// The value is left out of an entry that is cold: it is on disk alone, where
// place() says. The key, the presence of a deadline and whether the value is
// there are fixed at creation; an entry that needs another size, gains or loses
// its deadline or its value is replaced by a new one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/check.h"
#include "log/format/place.h"
#include "store/memory/entry_heap.h"

namespace kvd {

class Entry;

struct EntryDeleter {
  void operator()(Entry* entry) const;
};
using EntryPtr = std::unique_ptr<Entry, EntryDeleter>;

// Owner: an EntryPtr, or the Index that took it over.
// Thread: the one that owns the index.
class Entry {
 public:
  static constexpr size_t kHeaderBytes = 24;
  static constexpr size_t kDeadlineBytes = 16;
  // Every entry's address is a multiple of this.
  static constexpr size_t kAlignment = EntryHeap::kGranularity;
  // The queue position of an entry that is in no DeadlineQueue.
  static constexpr uint32_t kNotQueued = UINT32_MAX;

  // Copies key and value, whose sizes must be within base/limits.h.
  // `deadline_ms` is in milliseconds since 1970; 0 means none. Another thread
  // than the index's makes entries in a nursery.
  static EntryPtr Create(std::string_view key, std::string_view value,
                         uint64_t seq, Place place, uint64_t deadline_ms = 0,
                         EntryHeap::Nursery* nursery = nullptr);

  // A key whose value of `value_size` bytes is on disk alone.
  static EntryPtr CreateCold(std::string_view key, size_t value_size,
                             uint64_t seq, Place place,
                             uint64_t deadline_ms = 0,
                             EntryHeap::Nursery* nursery = nullptr);

  // A key whose removal is executed but not yet durable: no value, no deadline.
  static EntryPtr CreateGhost(std::string_view key, uint64_t seq, Place place);

  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  // Both views are valid until the entry is destroyed or overwritten. The value
  // must be there.
  std::string_view key() const { return {key_data(), key_size_}; }
  std::string_view value() const {
    KVD_CHECK(!is_cold());
    return {key_data() + key_size_, value_size_};
  }
  // Also of a cold one.
  size_t value_size() const { return value_size_; }
  uint64_t seq() const { return seq_; }
  Place place() const { return place_; }
  bool is_ghost() const { return (flags_ & kGhost) != 0; }
  bool is_cold() const { return (flags_ & kCold) != 0; }
  // Whether there is a value in memory that takes any.
  bool holds_value() const { return value_bytes() != 0; }
  size_t value_bytes() const { return is_cold() ? 0 : value_size_; }
  // Memory that it would not take without its value.
  size_t evictable_bytes() const {
    const size_t bytes = object_bytes();
    return EntryHeap::Footprint(bytes) -
           EntryHeap::Footprint(bytes - value_bytes());
  }
  bool has_deadline() const { return (flags_ & kHasDeadline) != 0; }
  // Milliseconds since 1970, or 0 for none.
  uint64_t deadline_ms() const {
    return has_deadline() ? deadline()->deadline_ms : 0;
  }
  // What it takes of memory.
  size_t allocation_bytes() const {
    return EntryHeap::Footprint(object_bytes());
  }

  void set_place(Place place) { place_ = place; }
  // For a store whose journal numbers a change only when it is durable.
  void set_seq(uint64_t seq) { seq_ = seq; }

  // For the value cache: whether the value was asked for since the mark was
  // taken away. Reading a value does not change the entry otherwise.
  bool visited() const { return visited_; }
  void set_visited(bool visited) const {
    // A line of memory that is only read stays with every core.
    if (visited_ != visited) visited_ = visited;
  }

  // For operations and watches: somebody was told that the deadline has passed,
  // so it stays so whatever the wall clock says later.
  bool judged_expired() const { return judged_expired_; }
  void set_judged_expired() const { judged_expired_ = true; }
  // Whether it has passed by then, or somebody was told so.
  bool IsExpiredAt(int64_t now_ms) const {
    return has_deadline() &&
           (judged_expired() || static_cast<int64_t>(deadline_ms()) <= now_ms);
  }

  // For ValuePin alone: somebody reads the value, whatever becomes of the key.
  void set_pinned(bool pinned) const { pinned_ = pinned; }

  // True if Overwrite() could turn this entry into one with such a value and
  // deadline, without a new allocation.
  bool Fits(size_t value_size, uint64_t deadline_ms) const;
  // Takes a new value in place. Fits() must hold, and an entry whose deadline
  // changes must be in no DeadlineQueue. `value` may point into the entry.
  void Overwrite(std::string_view value, uint64_t seq, Place place,
                 uint64_t deadline_ms = 0);

  // For DeadlineQueue alone. Only for entries with a deadline.
  uint32_t queue_position() const { return deadline()->queue_position; }
  void set_queue_position(uint32_t position) {
    deadline()->queue_position = position;
  }

 private:
  friend struct EntryDeleter;

  enum Flags : uint8_t { kGhost = 1, kHasDeadline = 2, kCold = 4 };

  struct Deadline {
    uint64_t deadline_ms;
    uint32_t queue_position;
    uint32_t unused;
  };
  static_assert(sizeof(Deadline) == kDeadlineBytes);

  Entry(std::string_view key, std::string_view value, size_t value_size,
        uint64_t seq, Place place, uint64_t deadline_ms, uint8_t flags);
  ~Entry() = default;

  static EntryPtr Allocate(std::string_view key, std::string_view value,
                           size_t value_size, uint64_t seq, Place place,
                           uint64_t deadline_ms, uint8_t flags,
                           EntryHeap::Nursery* nursery);

  size_t object_bytes() const {
    return kHeaderBytes + (has_deadline() ? kDeadlineBytes : 0) + key_size_ +
           (is_cold() ? 0 : value_size_);
  }
  char* tail() { return reinterpret_cast<char*>(this) + kHeaderBytes; }
  const char* tail() const {
    return reinterpret_cast<const char*>(this) + kHeaderBytes;
  }
  Deadline* deadline() { return reinterpret_cast<Deadline*>(tail()); }
  const Deadline* deadline() const {
    return reinterpret_cast<const Deadline*>(tail());
  }
  const char* key_data() const {
    return tail() + (has_deadline() ? kDeadlineBytes : 0);
  }

  uint64_t seq_;
  Place place_;
  uint32_t value_size_;
  uint16_t key_size_;
  uint8_t flags_;
  mutable bool visited_ : 1 = false;
  mutable bool pinned_ : 1 = false;
  mutable bool judged_expired_ : 1 = false;
};
static_assert(sizeof(Entry) == Entry::kHeaderBytes);

}  // namespace kvd
