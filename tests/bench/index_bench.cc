// SPDX-License-Identifier: MIT
//
// What one operation on the index costs, with keys in random order, at a size
// that fits the caches and one that does not.
#include <benchmark/benchmark.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "store/memory/index.h"

namespace kvd {
namespace {

constexpr uint64_t kSeed = 0x5eed;
// An odd multiplier visits all numbers below a power of two in no order that a
// prefetcher knows.
constexpr uint64_t kStride = 0x9e3779b97f4a7c15;

std::string Key(uint64_t number) {
  std::string digits = std::to_string(number);
  return "key:" + std::string(11 - digits.size(), '0') + digits;
}

EntryPtr MakeEntry(const std::string& key) {
  return Entry::Create(key, std::string(100, 'v'), 1, {});
}

std::unique_ptr<Index> MakeIndex(uint64_t keys) {
  auto index = std::make_unique<Index>(kSeed);
  for (uint64_t i = 0; i < keys; ++i) index->Insert(MakeEntry(Key(i)));
  return index;
}

// Keys to look up, made beforehand and few enough to stay in the cache while
// the index does not.
std::vector<std::string> Sample(uint64_t keys, uint64_t offset) {
  std::vector<std::string> sample;
  for (uint64_t i = 0; i < 1 << 16; ++i) {
    sample.push_back(Key(offset + (i * kStride >> 20) % keys));
  }
  return sample;
}

void Find(benchmark::State& state, uint64_t offset) {
  const uint64_t keys = state.range(0);
  const auto index = MakeIndex(keys);
  const std::vector<std::string> sample = Sample(keys, offset);
  size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(index->Find(sample[i++ % sample.size()]));
  }
  state.counters["slot_bytes_per_key"] =
      static_cast<double>(index->memory_bytes()) / keys;
}

void BM_FindHit(benchmark::State& state) { Find(state, 0); }
void BM_FindMiss(benchmark::State& state) { Find(state, state.range(0)); }

// Sixteen at once, as a batch of commands does it.
void BM_FindHitInBatches(benchmark::State& state) {
  constexpr size_t kBatch = 16;
  const uint64_t keys = state.range(0);
  const auto index = MakeIndex(keys);
  const std::vector<std::string> sample = Sample(keys, 0);
  std::array<uint64_t, kBatch> hashes;
  size_t first = 0;
  for (auto _ : state) {
    for (size_t i = 0; i < kBatch; ++i) {
      hashes[i] = index->Hash(sample[first + i]);
      index->PrefetchSlot(hashes[i]);
    }
    for (const uint64_t hash : hashes) index->PrefetchEntry(hash);
    for (size_t i = 0; i < kBatch; ++i) {
      benchmark::DoNotOptimize(index->Find(hashes[i], sample[first + i]));
    }
    first = (first + kBatch) % sample.size();
  }
  state.counters["per_key"] = benchmark::Counter(
      kBatch * state.iterations(),
      benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

// From nothing to so many keys, without the cost of making the entries.
void BM_Insert(benchmark::State& state) {
  const uint64_t keys = state.range(0);
  for (auto _ : state) {
    state.PauseTiming();
    std::vector<EntryPtr> entries;
    for (uint64_t i = 0; i < keys; ++i) entries.push_back(MakeEntry(Key(i)));
    auto index = std::make_unique<Index>(kSeed);
    state.ResumeTiming();
    for (EntryPtr& entry : entries) index->Insert(std::move(entry));
    state.PauseTiming();
    index.reset();
    state.ResumeTiming();
  }
  state.counters["per_key"] = benchmark::Counter(
      keys * state.iterations(),
      benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

BENCHMARK(BM_FindHit)->Arg(100'000)->Arg(5'000'000);
BENCHMARK(BM_FindMiss)->Arg(100'000)->Arg(5'000'000);
BENCHMARK(BM_FindHitInBatches)->Arg(100'000)->Arg(5'000'000);
BENCHMARK(BM_Insert)->Arg(100'000)->Arg(5'000'000)->Unit(
    benchmark::kMillisecond);

}  // namespace
}  // namespace kvd
