// SPDX-License-Identifier: MIT
//
// The memory of entries. There are millions of them, of few sizes, made and
// freed by one thread, so a heap of their own is both smaller and faster than
// malloc, which adds 8 bytes to each before it rounds up: an entry of 15 + 100
// bytes takes 144 bytes here and 160 there.
//
//   slab     := header of 64 bytes | objects of one size, a multiple of 16
//   address  → slab: slabs are 64 KiB and aligned to that
//
// An entry above kSmallBytesMax comes from malloc, whose overhead it does not
// feel; who frees it knows its size. Slabs that run empty give their memory
// back to the system and their addresses to the next slab.
//
// AddressSanitizer gets malloc for everything, and figures as if it did not: it
// knows more about memory than a heap of ours tells it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kvd {

// Thread: that of the index.
class EntryHeap {
 public:
  static constexpr size_t kGranularity = 16;
  static constexpr size_t kSmallBytesMax = 1024;
  static constexpr size_t kSlabBytes = size_t{64} << 10;
  // Addresses are taken from the system for so many slabs at once.
  static constexpr size_t kSlabsPerChunk = 16;
  // What malloc adds to an object before it rounds the sum up.
  static constexpr size_t kMallocHeaderBytes = 8;
  // Empty slabs that keep their memory.
  static constexpr size_t kEmptySlabsKept = 16;

  // The process has one: an entry does not say where it came from.
  static EntryHeap& Instance();

  EntryHeap() = default;
  EntryHeap(const EntryHeap&) = delete;
  EntryHeap& operator=(const EntryHeap&) = delete;
  // Nothing may be left in it.
  ~EntryHeap();

  // Memory aligned to kGranularity; never null.
  void* Allocate(size_t bytes);
  void Free(void* memory, size_t bytes);

  // What an object of that size takes, what the allocator adds included.
  static constexpr size_t Footprint(size_t bytes) {
    if (bytes > kSmallBytesMax) bytes += kMallocHeaderBytes;
    return (bytes + kGranularity - 1) / kGranularity * kGranularity;
  }

  // Of slabs with memory: what the system lent.
  uint64_t slab_bytes() const {
    return (slabs_ - released_.size()) * kSlabBytes;
  }

 private:
  struct Slab;

 public:
  // Where another thread makes entries that the heap's thread then owns, and
  // may free, while the first one goes on. Only ever new slabs are filled; they
  // become the heap's with Adopt(). Thread: one at a time.
  class Nursery {
   public:
    Nursery() = default;
    Nursery(const Nursery&) = delete;
    Nursery& operator=(const Nursery&) = delete;
    // Requires that it was adopted.
    ~Nursery();
    void* Allocate(size_t bytes);

   private:
    friend class EntryHeap;
    std::array<Slab*, kSmallBytesMax / kGranularity> filling_ = {};
    std::vector<Slab*> slabs_;
    std::vector<Slab*> fresh_;
  };

  // Takes a nursery's slabs over; its thread has ended.
  void Adopt(Nursery* nursery);

 private:
  static std::vector<Slab*> NewChunk();
  Slab* NewSlab(size_t object_class);
  void Release(Slab* slab);
  void Link(Slab* slab);
  void Unlink(Slab* slab);

  // By class: slabs that have room, in no order.
  std::array<Slab*, kSmallBytesMax / kGranularity> with_room_ = {};
  std::vector<Slab*> empty_;     // With their memory, …
  std::vector<Slab*> released_;  // … and without.
  size_t slabs_ = 0;
};

}  // namespace kvd
