// SPDX-License-Identifier: MIT
#include "store/memory/deadline_queue.h"

#include <algorithm>

#include "base/check.h"

namespace kvd {
namespace {

constexpr size_t kChildren = 4;

size_t Parent(size_t position) { return (position - 1) / kChildren; }

bool IsQueued(const Entry* entry) {
  return entry->has_deadline() && entry->queue_position() != Entry::kNotQueued;
}

}  // namespace

void DeadlineQueue::Add(Entry* entry) {
  KVD_CHECK(entry->has_deadline() && !IsQueued(entry));
  KVD_CHECK(size_ < Entry::kNotQueued);
  if (size_ == chunks_.size() * kChunkSlots) {
    chunks_.push_back(std::make_unique_for_overwrite<Entry*[]>(kChunkSlots));
  }
  SiftUp(size_++, entry);
}

void DeadlineQueue::Remove(Entry* entry) {
  if (!IsQueued(entry)) return;
  const size_t hole = entry->queue_position();
  KVD_CHECK(hole < size_ && At(hole) == entry);
  entry->set_queue_position(Entry::kNotQueued);

  Entry* last = At(--size_);
  if (last != entry) {
    SiftUp(hole, last);
    SiftDown(last->queue_position(), last);
  }
  // One empty chunk is kept, lest a queue that stays near a chunk's edge
  // allocates at every turn.
  if (chunks_.size() * kChunkSlots >= size_ + 2 * kChunkSlots) {
    chunks_.pop_back();
  }
}

void DeadlineQueue::Update(Entry* old, Entry* replacement) {
  if (!IsQueued(old) || !replacement->has_deadline()) {
    Remove(old);
    if (replacement->has_deadline()) Add(replacement);
    return;
  }
  KVD_CHECK(!IsQueued(replacement));
  const size_t position = old->queue_position();
  KVD_CHECK(position < size_ && At(position) == old);
  old->set_queue_position(Entry::kNotQueued);
  SiftUp(position, replacement);
  SiftDown(replacement->queue_position(), replacement);
}

std::vector<const Entry*> DeadlineQueue::Due(uint64_t deadline_ms,
                                             size_t count) const {
  std::vector<const Entry*> due;
  std::vector<size_t> positions;  // Of those in `due`.
  const auto look_at = [&](size_t position) {
    if (position >= size_ || due.size() == count) return;
    if (At(position)->deadline_ms() > deadline_ms) return;
    due.push_back(At(position));
    positions.push_back(position);
  };
  look_at(0);
  // Whoever is due has a parent that is.
  for (size_t i = 0; i < positions.size() && due.size() < count; ++i) {
    const size_t first = positions[i] * kChildren + 1;
    for (size_t child = 0; child < kChildren; ++child) look_at(first + child);
  }
  return due;
}

size_t DeadlineQueue::memory_bytes() const {
  return chunks_.size() * kChunkSlots * sizeof(Entry*) +
         chunks_.capacity() * sizeof(Chunk);
}

void DeadlineQueue::Put(size_t position, Entry* entry) {
  At(position) = entry;
  entry->set_queue_position(static_cast<uint32_t>(position));
}

void DeadlineQueue::SiftUp(size_t position, Entry* entry) {
  while (position > 0) {
    Entry* parent = At(Parent(position));
    if (parent->deadline_ms() <= entry->deadline_ms()) break;
    Put(position, parent);
    position = Parent(position);
  }
  Put(position, entry);
}

void DeadlineQueue::SiftDown(size_t position, Entry* entry) {
  while (kChildren * position + 1 < size_) {
    const size_t child = EarliestChild(position);
    if (entry->deadline_ms() <= At(child)->deadline_ms()) break;
    Put(position, At(child));
    position = child;
  }
  Put(position, entry);
}

size_t DeadlineQueue::EarliestChild(size_t position) const {
  const size_t first = kChildren * position + 1;
  const size_t end = std::min(first + kChildren, size_);
  size_t earliest = first;
  for (size_t child = first + 1; child < end; ++child) {
    if (At(child)->deadline_ms() < At(earliest)->deadline_ms()) {
      earliest = child;
    }
  }
  return earliest;
}

}  // namespace kvd
