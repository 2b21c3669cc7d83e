// SPDX-License-Identifier: MIT
#include "store/memory/entry.h"

#include <cstring>
#include <new>

#include "base/check.h"
#include "base/limits.h"
#include "store/memory/value_pin.h"

namespace kvd {
namespace {

// Not memcpy: an entry may get a part of itself as its new value. And no
// pointer may be null, but that of an empty view is.
void CopyTo(char* to, std::string_view bytes) {
  if (!bytes.empty()) std::memmove(to, bytes.data(), bytes.size());
}

}  // namespace

static_assert(alignof(std::max_align_t) % Entry::kAlignment == 0);

void EntryDeleter::operator()(Entry* entry) const {
  if (entry->pinned_) return ValuePin::LeaveToPins(entry);
  const size_t bytes = entry->object_bytes();
  entry->~Entry();
  EntryHeap::Instance().Free(entry, bytes);
}

EntryPtr Entry::Create(std::string_view key, std::string_view value,
                       uint64_t seq, Place place, uint64_t deadline_ms,
                       EntryHeap::Nursery* nursery) {
  const uint8_t flags = deadline_ms != 0 ? kHasDeadline : 0;
  return Allocate(key, value, value.size(), seq, place, deadline_ms, flags,
                  nursery);
}

EntryPtr Entry::CreateCold(std::string_view key, size_t value_size,
                           uint64_t seq, Place place, uint64_t deadline_ms,
                           EntryHeap::Nursery* nursery) {
  // There is nothing to read of an empty value.
  if (value_size == 0) return Create(key, {}, seq, place, deadline_ms, nursery);
  const uint8_t flags = kCold | (deadline_ms != 0 ? kHasDeadline : 0);
  return Allocate(key, {}, value_size, seq, place, deadline_ms, flags, nursery);
}

EntryPtr Entry::CreateGhost(std::string_view key, uint64_t seq, Place place) {
  return Allocate(key, {}, 0, seq, place, 0, kGhost, nullptr);
}

EntryPtr Entry::Allocate(std::string_view key, std::string_view value,
                         size_t value_size, uint64_t seq, Place place,
                         uint64_t deadline_ms, uint8_t flags,
                         EntryHeap::Nursery* nursery) {
  KVD_CHECK(key.size() <= kKeyBytesMax);
  KVD_CHECK(value_size <= kValueBytesMax);
  const size_t deadline_bytes = deadline_ms != 0 ? kDeadlineBytes : 0;
  const size_t bytes =
      kHeaderBytes + deadline_bytes + key.size() + value.size();
  void* memory = nursery != nullptr ? nursery->Allocate(bytes)
                                    : EntryHeap::Instance().Allocate(bytes);
  return EntryPtr(new (memory) Entry(key, value, value_size, seq, place,
                                     deadline_ms, flags));
}

Entry::Entry(std::string_view key, std::string_view value, size_t value_size,
             uint64_t seq, Place place, uint64_t deadline_ms, uint8_t flags)
    : seq_(seq),
      place_(place),
      value_size_(static_cast<uint32_t>(value_size)),
      key_size_(static_cast<uint16_t>(key.size())),
      flags_(flags) {
  char* to = tail();
  if (has_deadline()) {
    new (to) Deadline{deadline_ms, kNotQueued, 0};
    to += kDeadlineBytes;
  }
  CopyTo(to, key);
  CopyTo(to + key.size(), value);
}

bool Entry::Fits(size_t value_size, uint64_t deadline_ms) const {
  return !is_ghost() && !is_cold() && !pinned_ && value_size == value_size_ &&
         (deadline_ms != 0) == has_deadline();
}

void Entry::Overwrite(std::string_view value, uint64_t seq, Place place,
                      uint64_t deadline_ms) {
  KVD_CHECK(Fits(value.size(), deadline_ms));
  if (has_deadline() && deadline_ms != this->deadline_ms()) {
    KVD_CHECK(queue_position() == kNotQueued);
    deadline()->deadline_ms = deadline_ms;
  }
  seq_ = seq;
  place_ = place;
  judged_expired_ = false;
  CopyTo(const_cast<char*>(key_data()) + key_size_, value);
}

}  // namespace kvd
