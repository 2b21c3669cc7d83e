// SPDX-License-Identifier: MIT
#include "store/memory/entry_heap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/mailbox.h"

namespace kvd {
namespace {

struct Object {
  char* memory;
  size_t bytes;
  char filling;
};

Object Fill(void* memory, size_t bytes, char filling) {
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % EntryHeap::kGranularity, 0u);
  std::memset(memory, filling, bytes);
  return {static_cast<char*>(memory), bytes, filling};
}

bool IsIntact(const Object& object) {
  for (size_t i = 0; i < object.bytes; ++i) {
    if (object.memory[i] != object.filling) return false;
  }
  return true;
}

// Of the kernel's, how many hold one of the objects.
int Mappings(std::vector<void*> objects) {
  std::sort(objects.begin(), objects.end());
  std::ifstream maps("/proc/self/maps");
  int mappings = 0;
  for (std::string line; std::getline(maps, line);) {
    uintptr_t begin = 0;
    uintptr_t end = 0;
    KVD_CHECK(
        std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR, &begin, &end) == 2);
    const auto first = std::lower_bound(objects.begin(), objects.end(),
                                        reinterpret_cast<void*>(begin));
    const bool holds =
        first != objects.end() && reinterpret_cast<uintptr_t>(*first) < end;
    mappings += holds ? 1 : 0;
  }
  return mappings;
}

TEST(EntryHeap, ObjectsOfAnySizeDoNotTouchEachOther) {
  EntryHeap heap;
  std::mt19937_64 random(1);
  std::vector<Object> objects;
  for (int round = 0; round < 100'000; ++round) {
    if (objects.empty() || random() % 5 < 3) {
      const size_t bytes = 24 + random() % (random() % 8 == 0 ? 5000 : 300);
      objects.push_back(
          Fill(heap.Allocate(bytes), bytes, static_cast<char>(random() % 256)));
    } else {
      std::swap(objects[random() % objects.size()], objects.back());
      ASSERT_TRUE(IsIntact(objects.back()));
      heap.Free(objects.back().memory, objects.back().bytes);
      objects.pop_back();
    }
  }
  for (const Object& object : objects) {
    ASSERT_TRUE(IsIntact(object));
    heap.Free(object.memory, object.bytes);
  }
}

TEST(EntryHeap, WastesLittle) {
  EntryHeap heap;
  const size_t bytes = 24 + 15 + 100;
  constexpr size_t kObjects = 100'000;
  std::vector<void*> objects;
  for (size_t i = 0; i < kObjects; ++i) {
    objects.push_back(heap.Allocate(bytes));
  }
  EXPECT_LE(heap.slab_bytes(), kObjects * 144 * 101 / 100);
  EXPECT_EQ(EntryHeap::Footprint(bytes), 144u);
  for (void* object : objects) heap.Free(object, bytes);
}

// Half of a heap's objects are freed in order of age, as a flush or the removal
// of a prefix does: their memory serves other sizes, or nobody.
TEST(EntryHeap, GivesMemoryBack) {
  EntryHeap heap;
  std::vector<void*> objects;
  for (int i = 0; i < 100'000; ++i) objects.push_back(heap.Allocate(100));
  const uint64_t full_bytes = heap.slab_bytes();
  for (void* object : objects) heap.Free(object, 100);
  EXPECT_LE(heap.slab_bytes(),
            (EntryHeap::kEmptySlabsKept + 1) * EntryHeap::kSlabBytes);
  objects.clear();
  for (int i = 0; i < 100'000; ++i) objects.push_back(heap.Allocate(50));
  EXPECT_LE(heap.slab_bytes(), full_bytes * 6 / 10);
  for (void* object : objects) heap.Free(object, 50);
}

// The system lets a process have 65,530 mappings: with one for each mebibyte of
// entries 64 GiB would be the most.
TEST(EntryHeap, ItsAddressesAreFewMappings) {
  constexpr size_t kChunks = 40;
  EntryHeap heap;
  std::vector<void*> objects(kChunks * EntryHeap::kSlabsPerChunk *
                             EntryHeap::kSlabBytes / EntryHeap::kSmallBytesMax);
  for (void*& object : objects) {
    object = heap.Allocate(EntryHeap::kSmallBytesMax);
  }
  EXPECT_LT(Mappings(objects), 10);
  for (void* object : objects) {
    heap.Free(object, EntryHeap::kSmallBytesMax);
  }
}

// As loading does: several threads make entries, one frees some of them while
// they go on, and all the others later.
TEST(EntryHeap, AdoptsWhatOtherThreadsMade) {
  constexpr int kThreads = 2;
  constexpr int kObjects = 20'000;
  EntryHeap heap;
  Mailbox<Object> made;
  std::vector<EntryHeap::Nursery> nurseries(kThreads);
  std::vector<std::thread> threads;
  for (EntryHeap::Nursery& nursery : nurseries) {
    threads.emplace_back([&made, &nursery] {
      for (int i = 0; i < kObjects; ++i) {
        const size_t bytes = 24 + static_cast<size_t>(i) % 200;
        made.Put(Fill(nursery.Allocate(bytes), bytes,
                      static_cast<char>('a' + i % 26)));
      }
    });
  }
  std::vector<Object> kept;
  for (int i = 0; i < kThreads * kObjects; ++i) {
    const Object object = *made.Wait();
    ASSERT_TRUE(IsIntact(object));
    if (i % 2 == 0) {
      heap.Free(object.memory, object.bytes);
    } else {
      kept.push_back(object);
    }
  }
  for (std::thread& thread : threads) thread.join();
  for (EntryHeap::Nursery& nursery : nurseries) heap.Adopt(&nursery);
  std::vector<Object> fresh;
  for (size_t i = 0; i < kept.size(); ++i) {
    fresh.push_back(Fill(heap.Allocate(100), 100, 'x'));
  }
  for (const std::vector<Object>& objects : {kept, fresh}) {
    for (const Object& object : objects) {
      ASSERT_TRUE(IsIntact(object));
      heap.Free(object.memory, object.bytes);
    }
  }
}

}  // namespace
}  // namespace kvd
