// SPDX-License-Identifier: MIT
#include "store/memory/entry_heap.h"

#include <sys/mman.h>

#include <cstdlib>
#include <new>

#include "base/check.h"
#include "base/memory_hints.h"

#if defined(__SANITIZE_ADDRESS__)
#define KVD_ENTRIES_FROM_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KVD_ENTRIES_FROM_MALLOC 1
#endif
#endif
#ifndef KVD_ENTRIES_FROM_MALLOC
#define KVD_ENTRIES_FROM_MALLOC 0
#endif

namespace kvd {
namespace {

constexpr size_t kHeaderBytes = 64;

bool IsSmall(size_t bytes) {
  return KVD_ENTRIES_FROM_MALLOC == 0 && bytes <= EntryHeap::kSmallBytesMax;
}

size_t ClassOf(size_t bytes) {
  return bytes == 0 ? 0 : (bytes - 1) / EntryHeap::kGranularity;
}

size_t ObjectBytes(size_t object_class) {
  return (object_class + 1) * EntryHeap::kGranularity;
}

// An entry of this size and more has its pages before it is written: a fault
// for each would hold up other clients.
constexpr size_t kPopulatedBytesMin = size_t{1} << 20;

void* Large(size_t bytes) {
  void* memory = std::malloc(bytes);
  KVD_CHECK(memory != nullptr);
  if (bytes >= kPopulatedBytesMin) Populate(memory, bytes);
  return memory;
}

char* Map(size_t bytes) {
  void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  KVD_CHECK(mapped != MAP_FAILED);
  return static_cast<char*>(mapped);
}

// Address space aligned to slabs. The system puts a mapping next to the one
// before, so that after an aligned one the next is aligned, too, and it makes
// one of both; it lets a process have so many only (vm.max_map_count: 65,530).
char* MapAligned(size_t bytes) {
  constexpr size_t kAlignment = EntryHeap::kSlabBytes;
  char* const first = Map(bytes);
  if (reinterpret_cast<uintptr_t>(first) % kAlignment == 0) return first;
  munmap(first, bytes);
  char* const wide = Map(bytes + kAlignment);
  const size_t before =
      kAlignment - reinterpret_cast<uintptr_t>(wide) % kAlignment;
  munmap(wide, before);
  if (before < kAlignment) munmap(wide + before + bytes, kAlignment - before);
  return wide + before;
}

}  // namespace

// While a nursery fills it, `carved` is the nursery's thread's and the rest the
// heap's; its list and `used` are of use afterwards.
struct EntryHeap::Slab {
  struct Free {
    Free* next;
  };

  Slab* next = nullptr;
  Slab* previous = nullptr;
  Free* free = nullptr;
  uint32_t object_class = 0;
  uint32_t capacity = 0;
  uint32_t carved = 0;  // Objects that were ever given out.
  uint32_t used = 0;
  uint32_t freed = 0;  // While in a nursery.
  bool in_nursery = false;

  explicit Slab(size_t of_class)
      : object_class(static_cast<uint32_t>(of_class)),
        capacity(static_cast<uint32_t>((kSlabBytes - kHeaderBytes) /
                                       ObjectBytes(of_class))) {}

  static Slab* Of(void* object) {
    return reinterpret_cast<Slab*>(reinterpret_cast<uintptr_t>(object) &
                                   ~(kSlabBytes - 1));
  }
  void* Carve() {
    return reinterpret_cast<char*>(this) + kHeaderBytes +
           carved++ * ObjectBytes(object_class);
  }
};

EntryHeap& EntryHeap::Instance() {
  // Entries may outlive every static object.
  static auto* heap = new EntryHeap;
  return *heap;
}

EntryHeap::~EntryHeap() {
  size_t unused = empty_.size() + released_.size();
  for (const Slab* slab : with_room_) {
    for (; slab != nullptr; slab = slab->next) unused += slab->used == 0;
  }
  KVD_CHECK(unused == slabs_);
}

// Address space for slabs, aligned to their size; memory comes when one is
// begun.
std::vector<EntryHeap::Slab*> EntryHeap::NewChunk() {
  static_assert(sizeof(Slab) <= kHeaderBytes);
  char* const start = MapAligned(kSlabsPerChunk * kSlabBytes);
  std::vector<Slab*> slabs;
  for (size_t i = kSlabsPerChunk; i-- > 0;) {
    slabs.push_back(reinterpret_cast<Slab*>(start + i * kSlabBytes));
  }
  return slabs;
}

EntryHeap::Slab* EntryHeap::NewSlab(size_t object_class) {
  if (empty_.empty() && released_.empty()) {
    released_ = NewChunk();
    slabs_ += released_.size();
  }
  std::vector<Slab*>& from = empty_.empty() ? released_ : empty_;
  if (empty_.empty()) Populate(from.back(), kSlabBytes);
  Slab* slab = new (from.back()) Slab(object_class);
  from.pop_back();
  Link(slab);
  return slab;
}

void EntryHeap::Release(Slab* slab) {
  if (empty_.size() < kEmptySlabsKept) {
    empty_.push_back(slab);
    return;
  }
  madvise(slab, kSlabBytes, MADV_DONTNEED);
  released_.push_back(slab);
}

void EntryHeap::Link(Slab* slab) {
  Slab*& first = with_room_[slab->object_class];
  slab->next = first;
  slab->previous = nullptr;
  if (first != nullptr) first->previous = slab;
  first = slab;
}

void EntryHeap::Unlink(Slab* slab) {
  if (slab->next != nullptr) slab->next->previous = slab->previous;
  if (slab->previous != nullptr) {
    slab->previous->next = slab->next;
  } else {
    with_room_[slab->object_class] = slab->next;
  }
}

void* EntryHeap::Allocate(size_t bytes) {
  if (!IsSmall(bytes)) return Large(bytes);
  const size_t object_class = ClassOf(bytes);
  Slab* slab = with_room_[object_class];
  if (slab == nullptr) slab = NewSlab(object_class);
  if (++slab->used == slab->capacity) Unlink(slab);
  if (slab->free == nullptr) return slab->Carve();
  void* object = slab->free;
  slab->free = slab->free->next;
  return object;
}

void EntryHeap::Free(void* memory, size_t bytes) {
  if (!IsSmall(bytes)) return std::free(memory);
  Slab* slab = Slab::Of(memory);
  KVD_CHECK(slab->object_class == ClassOf(bytes));
  slab->free = new (memory) Slab::Free{slab->free};
  if (slab->in_nursery) {
    ++slab->freed;
    return;
  }
  if (slab->used == slab->capacity) Link(slab);
  if (--slab->used > 0) return;
  // The last one with room stays: the next entry would need it again.
  if (slab->next == nullptr && slab->previous == nullptr) return;
  Unlink(slab);
  Release(slab);
}

EntryHeap::Nursery::~Nursery() { KVD_CHECK(slabs_.empty() && fresh_.empty()); }

void* EntryHeap::Nursery::Allocate(size_t bytes) {
  if (!IsSmall(bytes)) return Large(bytes);
  const size_t object_class = ClassOf(bytes);
  Slab*& slab = filling_[object_class];
  if (slab == nullptr || slab->carved == slab->capacity) {
    if (fresh_.empty()) fresh_ = NewChunk();
    Populate(fresh_.back(), kSlabBytes);
    slab = new (fresh_.back()) Slab(object_class);
    slab->in_nursery = true;
    fresh_.pop_back();
    slabs_.push_back(slab);
  }
  return slab->Carve();
}

void EntryHeap::Adopt(Nursery* nursery) {
  slabs_ += nursery->slabs_.size() + nursery->fresh_.size();
  for (Slab* slab : nursery->slabs_) {
    slab->in_nursery = false;
    slab->used = slab->carved - slab->freed;
    if (slab->used == 0) {
      Release(slab);
    } else if (slab->used < slab->capacity) {
      Link(slab);
    }
  }
  released_.insert(released_.end(), nursery->fresh_.begin(),
                   nursery->fresh_.end());
  nursery->slabs_.clear();
  nursery->fresh_.clear();
  nursery->filling_ = {};
}

}  // namespace kvd
