// SPDX-License-Identifier: MIT
#include "store/memory/index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace kvd {
namespace {

constexpr uint64_t kSeed = 0x5eed;

std::string Key(uint64_t number) { return "key:" + std::to_string(number); }

EntryPtr MakeEntry(std::string_view key, std::string_view value = "") {
  return Entry::Create(key, value, 1, {});
}

void InsertRange(Index* index, uint64_t first, uint64_t end) {
  for (uint64_t i = first; i < end; ++i) index->Insert(MakeEntry(Key(i)));
}

void EraseRange(Index* index, uint64_t first, uint64_t end) {
  for (uint64_t i = first; i < end; ++i) {
    ASSERT_NE(index->Erase(Key(i)), nullptr) << Key(i);
  }
}

// Hashes on purpose as bad as can be; a seed changes nothing.
uint64_t AllEqual(std::string_view, uint64_t) { return 0x123456789abcdef0; }
uint64_t AllZero(std::string_view, uint64_t) { return 0; }
uint64_t AllOnes(std::string_view, uint64_t) { return UINT64_MAX; }
// Seven values that share their first bits, and seven at the far end.
uint64_t FewValues(std::string_view key, uint64_t seed) {
  const uint64_t hash = Index::DefaultHash(key, seed);
  return (hash & 1 ? 0xffff'ffff'ffff'0000 : 0) + hash % 7;
}
// Differs only beneath all bits that place a key.
uint64_t LowBitsOnly(std::string_view key, uint64_t seed) {
  return Index::DefaultHash(key, seed) >> 48;
}
// An even spread over a 256th of all positions.
uint64_t OneCorner(std::string_view key, uint64_t seed) {
  return 0xabull << 56 | Index::DefaultHash(key, seed) >> 8;
}
// A crowd in one place among keys that are spread evenly.
uint64_t Crowded(std::string_view key, uint64_t seed) {
  const uint64_t hash = Index::DefaultHash(key, seed);
  return hash % 16 == 0 ? 0xabcdefull << 40 | hash % 65536 : hash;
}

TEST(Index, FindsNothingWhenEmpty) {
  Index index(kSeed);
  EXPECT_EQ(index.size(), 0u);
  EXPECT_EQ(index.Find("a"), nullptr);
  EXPECT_EQ(index.Erase("a"), nullptr);
  EXPECT_EQ(index.Random(1), nullptr);
}

TEST(Index, FindsWhatWasInserted) {
  Index index(kSeed);
  Entry* inserted = index.Insert(MakeEntry("a", "1"));
  EXPECT_EQ(index.Find("a"), inserted);
  EXPECT_EQ(index.Find("a")->value(), "1");
  EXPECT_EQ(index.Find("b"), nullptr);
  EXPECT_EQ(index.size(), 1u);
}

TEST(Index, HoldsTheEmptyKey) {
  Index index(kSeed);
  Entry* inserted = index.Insert(MakeEntry(""));
  EXPECT_EQ(index.Find(""), inserted);
}

TEST(Index, ReplaceGivesTheOldEntryBack) {
  Index index(kSeed);
  Entry* old = index.Insert(MakeEntry("a", "1"));
  const EntryPtr returned = index.Replace(index.Hash("a"), MakeEntry("a", "2"));
  EXPECT_EQ(returned.get(), old);
  EXPECT_EQ(index.Find("a")->value(), "2");
  EXPECT_EQ(index.size(), 1u);
}

TEST(Index, FindOrInsertTakesOnlyWhatIsAbsent) {
  Index index(kSeed);
  const uint64_t hash = index.Hash("a");
  EntryPtr first = MakeEntry("a", "1");
  const Entry* inserted = first.get();
  EXPECT_EQ(index.FindOrInsert(hash, &first), nullptr);
  EXPECT_EQ(first, nullptr);
  EntryPtr second = MakeEntry("a", "2");
  EXPECT_EQ(index.FindOrInsert(hash, &second), inserted);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->value(), "2");
  EXPECT_EQ(index.Find("a"), inserted);
  EXPECT_EQ(index.size(), 1u);
}

TEST(Index, ErasesByKeyAndByEntry) {
  Index index(kSeed);
  Entry* a = index.Insert(MakeEntry("a"));
  Entry* b = index.Insert(MakeEntry("b"));
  EXPECT_EQ(index.Erase("a").get(), a);
  EXPECT_EQ(index.Find("a"), nullptr);
  EXPECT_EQ(index.Erase(b).get(), b);
  EXPECT_EQ(index.size(), 0u);
}

TEST(Index, SeedChangesTheOrder) {
  Index one(1);
  Index two(2);
  EXPECT_NE(one.Hash("a"), two.Hash("a"));
}

TEST(IndexDeathTest, RefusesToHoldAKeyTwice) {
  Index index(kSeed);
  index.Insert(MakeEntry("a"));
  EXPECT_DEATH(index.Insert(MakeEntry("a")), "present");
}

TEST(Index, PrefetchTouchesNothingThatIsNotThere) {
  Index index(kSeed);
  InsertRange(&index, 0, 5000);
  for (uint64_t i = 0; i < 10'000; ++i) {
    index.PrefetchSlot(index.Hash(Key(i)));
    index.PrefetchEntry(index.Hash(Key(i)));
  }
  EXPECT_EQ(index.size(), 5000u);
}

// Random operations against a standard map, with phases of growth and of
// decline so that buckets and directory go both ways.
struct ModelCase {
  const char* name;
  Index::HashFunction hash;
  uint64_t seed;
  uint64_t keys;
  int steps;
};

class IndexModel : public ::testing::TestWithParam<ModelCase> {
 protected:
  IndexModel()
      : random_(GetParam().seed), index_(GetParam().seed, GetParam().hash) {}

  void Put(const std::string& key) {
    const std::string value = std::to_string(random_() % 1000);
    EntryPtr entry = MakeEntry(key, value);
    if (model_.contains(key)) {
      const EntryPtr old = index_.Replace(index_.Hash(key), std::move(entry));
      ASSERT_EQ(old->value(), model_[key]);
    } else {
      index_.Insert(std::move(entry));
    }
    model_[key] = value;
  }

  void Remove(const std::string& key) {
    Entry* entry = index_.Find(key);
    ASSERT_EQ(entry != nullptr, model_.contains(key)) << key;
    const EntryPtr erased = entry != nullptr && random_() % 2 == 0
                                ? index_.Erase(entry)
                                : index_.Erase(key);
    ASSERT_EQ(erased.get(), entry);
    model_.erase(key);
  }

  void Look(const std::string& key) {
    const Entry* entry = index_.Find(key);
    const auto expected = model_.find(key);
    ASSERT_EQ(entry != nullptr, expected != model_.end()) << key;
    if (entry != nullptr) {
      ASSERT_EQ(entry->value(), expected->second);
    }
  }

  void ExpectEqual() {
    ASSERT_EQ(index_.size(), model_.size());
    for (const auto& [key, value] : model_) {
      const Entry* entry = index_.Find(key);
      ASSERT_NE(entry, nullptr) << key;
      ASSERT_EQ(entry->value(), value);
    }
    size_t scanned = 0;
    uint64_t cursor = 0;
    do {
      cursor = index_.Scan(cursor, 100, [&](Entry& entry) {
        ++scanned;
        EXPECT_TRUE(model_.contains(std::string(entry.key())));
      });
    } while (cursor != 0);
    ASSERT_EQ(scanned, model_.size());
  }

  std::mt19937_64 random_;
  Index index_;
  std::unordered_map<std::string, std::string> model_;
};

TEST_P(IndexModel, AgreesWithAMap) {
  SCOPED_TRACE("seed " + std::to_string(GetParam().seed));
  constexpr int kPhases = 6;
  for (int phase = 0; phase < kPhases; ++phase) {
    const uint64_t puts_percent = phase % 2 == 0 ? 70 : 10;
    for (int step = 0; step < GetParam().steps / kPhases; ++step) {
      const std::string key = Key(random_() % GetParam().keys);
      const uint64_t dice = random_() % 100;
      if (dice < puts_percent) {
        Put(key);
      } else if (dice < 85) {
        Remove(key);
      } else {
        Look(key);
      }
      if (HasFatalFailure()) return;
    }
    ExpectEqual();
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, IndexModel,
    ::testing::Values(ModelCase{"Few", &Index::DefaultHash, 1, 100, 50'000},
                      ModelCase{"Some", &Index::DefaultHash, 2, 5'000, 200'000},
                      ModelCase{"Many", &Index::DefaultHash, 3, 300'000,
                                1'500'000},
                      ModelCase{"OneCorner", &OneCorner, 4, 20'000, 200'000},
                      ModelCase{"Crowded", &Crowded, 10, 60'000, 300'000},
                      ModelCase{"AllEqual", &AllEqual, 5, 1'500, 12'000},
                      ModelCase{"AllZero", &AllZero, 6, 1'500, 12'000},
                      ModelCase{"AllOnes", &AllOnes, 7, 1'500, 12'000},
                      ModelCase{"FewValues", &FewValues, 8, 4'000, 30'000},
                      ModelCase{"LowBitsOnly", &LowBitsOnly, 9, 4'000, 30'000}),
    [](const auto& info) { return std::string(info.param.name); });

// One full iteration of SCAN, with a change between its calls.
struct ScanResult {
  std::unordered_set<std::string> seen;
  size_t visits = 0;
  size_t calls = 0;
};

template <typename Between>
ScanResult ScanAll(const Index& index, size_t count, Between between) {
  ScanResult result;
  uint64_t cursor = 0;
  do {
    const uint64_t before = cursor;
    cursor = index.Scan(cursor, count, [&](Entry& entry) {
      result.seen.insert(std::string(entry.key()));
      ++result.visits;
    });
    EXPECT_TRUE(cursor == 0 || cursor > before);
    ++result.calls;
    between();
  } while (cursor != 0 && !::testing::Test::HasFailure());
  return result;
}

void ExpectSeen(const ScanResult& result, uint64_t first, uint64_t end) {
  for (uint64_t i = first; i < end; ++i) {
    ASSERT_TRUE(result.seen.contains(Key(i))) << Key(i);
  }
}

TEST(IndexScan, VisitsEachKeyOnceWhenNothingChanges) {
  for (const uint64_t keys : {0, 1, 10, 900, 20'000}) {
    SCOPED_TRACE(keys);
    Index index(kSeed);
    InsertRange(&index, 0, keys);
    const ScanResult result = ScanAll(index, 10, [] {});
    EXPECT_EQ(result.visits, keys);
    EXPECT_EQ(result.seen.size(), keys);
    EXPECT_LE(result.calls, keys / 5 + 1);
  }
}

TEST(IndexScan, KeepsToTheCount) {
  Index index(kSeed);
  InsertRange(&index, 0, 10'000);
  for (const size_t count : {1, 10, 1000}) {
    uint64_t cursor = 0;
    do {
      size_t visits = 0;
      cursor = index.Scan(cursor, count, [&](Entry&) { ++visits; });
      ASSERT_LE(visits, count + 4);
    } while (cursor != 0);
  }
}

TEST(IndexScan, AcceptsAnyCursorAndCount) {
  Index index(kSeed);
  InsertRange(&index, 0, 3000);
  const auto ignore = [](Entry&) {};
  std::mt19937_64 random(kSeed);
  for (int i = 0; i < 10'000; ++i) {
    const uint64_t cursor = random() >> random() % 64;
    EXPECT_LT(index.Scan(cursor, 1, ignore), uint64_t{1} << 48);
  }
  EXPECT_EQ(index.Scan(UINT64_MAX, 10, ignore), 0u);
  size_t visits = 0;
  EXPECT_EQ(index.Scan(0, SIZE_MAX, [&](Entry&) { ++visits; }), 0u);
  EXPECT_EQ(visits, 3000u);
  EXPECT_NE(index.Scan(0, 0, ignore), 0u);
}

TEST(IndexScan, MissesNothingWhileTheIndexGrows) {
  Index index(kSeed);
  InsertRange(&index, 0, 2'000);
  uint64_t next = 2'000;
  const ScanResult result = ScanAll(index, 10, [&] {
    if (next > 400'000) return;
    InsertRange(&index, next, next + 1'000);
    next += 1'000;
  });
  ExpectSeen(result, 0, 2'000);
}

TEST(IndexScan, MissesNothingWhileTheIndexShrinks) {
  Index index(kSeed);
  InsertRange(&index, 0, 200'000);
  uint64_t next = 2'000;
  const ScanResult result = ScanAll(index, 10, [&] {
    const uint64_t end = std::min<uint64_t>(next + 1'000, 200'000);
    EraseRange(&index, next, end);
    next = end;
  });
  EXPECT_EQ(index.size(), 2'000u);
  ExpectSeen(result, 0, 2'000);
}

TEST(IndexScan, MissesNothingWhateverHappens) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    Index index(seed);
    InsertRange(&index, 0, 1'000);
    uint64_t low = 1'000;  // Keys from low to high come and go.
    uint64_t high = 1'000;
    const ScanResult result = ScanAll(index, 1 + random() % 20, [&] {
      const uint64_t changes = random() % 5'000;
      if (random() % 2 == 0 && high - low < 50'000) {
        InsertRange(&index, high, high + changes);
        high += changes;
      } else {
        const uint64_t end = std::min(low + 4 * changes, high);
        EraseRange(&index, low, end);
        low = end;
      }
    });
    ExpectSeen(result, 0, 1'000);
  }
}

TEST(IndexScan, MissesNothingAmongCollisions) {
  for (const Index::HashFunction hash : {&AllOnes, &AllZero, &FewValues}) {
    Index index(kSeed, hash);
    InsertRange(&index, 0, 1'000);
    uint64_t next = 1'000;
    const ScanResult result = ScanAll(index, 10, [&] {
      InsertRange(&index, next, next + 100);
      next += 100;
    });
    ExpectSeen(result, 0, 1'000);
  }
}

TEST(IndexScan, FindsAFewKeysAfterMassDeletionInFewCalls) {
  Index index(kSeed);
  InsertRange(&index, 0, 200'000);
  EraseRange(&index, 10, 200'000);
  const ScanResult result = ScanAll(index, 10, [] {});
  EXPECT_EQ(result.visits, 10u);
  EXPECT_LE(result.calls, 4u);
}

struct Sweep {
  std::unordered_set<std::string> seen;
  size_t visits = 0;
  size_t calls = 0;
  size_t slots = 0;
};

// A whole round. Each call takes up to `values_max` values that no call took
// before; then `between` is called.
template <typename Between>
Sweep SweepAll(const Index& index, size_t slots_max, size_t values_max,
               Between between) {
  Sweep sweep;
  uint64_t cursor = 0;
  do {
    size_t taken = 0;
    cursor =
        index.SweepValues(cursor, slots_max, &sweep.slots, [&](Entry& entry) {
          if (sweep.seen.contains(std::string(entry.key()))) return true;
          if (taken == values_max) return false;
          EXPECT_TRUE(entry.holds_value()) << entry.key();
          sweep.seen.emplace(entry.key());
          ++sweep.visits;
          ++taken;
          return true;
        });
    ++sweep.calls;
    between();
  } while (cursor != 0);
  return sweep;
}

EntryPtr MakeCold(std::string_view key) {
  return Entry::CreateCold(key, 5, 1, {});
}

// Of four keys one has its value in memory: the others have it on disk, are
// ghosts, or have an empty one.
void InsertMixed(Index* index, uint64_t first, uint64_t end) {
  for (uint64_t i = first; i < end; ++i) {
    switch (i % 4) {
      case 0:
        index->Insert(MakeEntry(Key(i), "value"));
        break;
      case 1:
        index->Insert(MakeCold(Key(i)));
        break;
      case 2:
        index->Insert(Entry::CreateGhost(Key(i), 1, {}));
        break;
      case 3:
        index->Insert(MakeEntry(Key(i)));
        break;
    }
  }
}

void ExpectSwept(const Sweep& sweep, uint64_t first, uint64_t end) {
  for (uint64_t i = first; i < end; i += 4) {
    ASSERT_TRUE(sweep.seen.contains(Key(i))) << Key(i);
  }
}

TEST(IndexSweep, MeetsEachValueOnceWhereverItStops) {
  for (const uint64_t keys : {0, 4, 1'000, 20'000}) {
    for (const size_t slots_max : {1, 5'000, 1'000'000}) {
      for (const size_t values_max : {1, 7, 1'000'000}) {
        SCOPED_TRACE(testing::Message() << keys << " keys, " << slots_max
                                        << " slots, " << values_max);
        Index index(kSeed);
        InsertMixed(&index, 0, keys);
        const Sweep sweep = SweepAll(index, slots_max, values_max, [] {});
        EXPECT_EQ(sweep.visits, keys / 4);
        EXPECT_LE(sweep.calls, keys / 4 / values_max + keys / 100 + 1);
        ExpectSwept(sweep, 0, keys);
      }
    }
  }
}

TEST(IndexSweep, FollowsValuesThatComeAndGo) {
  Index index(kSeed);
  InsertMixed(&index, 0, 10'000);
  for (uint64_t i = 0; i < 10'000; i += 4) {
    index.Replace(index.Hash(Key(i)), MakeCold(Key(i)));
    index.Replace(index.Hash(Key(i + 1)), MakeEntry(Key(i + 1), "value"));
  }
  const auto nothing = [] {};
  const Sweep before = SweepAll(index, 1'000, 10, nothing);
  EXPECT_EQ(before.visits, 2'500u);
  ExpectSwept(before, 1, 10'000);
  // Slots know it through splits and merges, too.
  InsertRange(&index, 10'000, 300'000);
  const Sweep large = SweepAll(index, 1'000, 10, nothing);
  EXPECT_EQ(large.seen, before.seen);
  EraseRange(&index, 10'000, 300'000);
  const Sweep after = SweepAll(index, 1'000, 10, nothing);
  EXPECT_EQ(after.seen, before.seen);
}

TEST(IndexSweep, MissesNothingWhileTheIndexGrows) {
  Index index(kSeed);
  InsertMixed(&index, 0, 2'000);
  uint64_t next = 2'000;
  const Sweep sweep = SweepAll(index, 1'000, 3, [&] {
    if (next > 200'000) return;
    InsertMixed(&index, next, next + 1'000);
    next += 1'000;
  });
  ExpectSwept(sweep, 0, 2'000);
}

TEST(IndexSweep, MissesNothingWhileTheIndexShrinks) {
  Index index(kSeed);
  InsertMixed(&index, 0, 200'000);
  uint64_t next = 2'000;
  const Sweep sweep = SweepAll(index, 1'000, 3, [&] {
    const uint64_t end = std::min<uint64_t>(next + 1'000, 200'000);
    EraseRange(&index, next, end);
    next = end;
  });
  ExpectSwept(sweep, 0, 2'000);
}

TEST(IndexSweep, MissesNothingAmongCollisions) {
  for (const Index::HashFunction hash :
       {&AllOnes, &AllZero, &AllEqual, &FewValues}) {
    Index index(kSeed, hash);
    InsertMixed(&index, 0, 400);
    uint64_t next = 400;
    // Also when it stops between values of one place.
    const Sweep sweep = SweepAll(index, 100, 1, [&] {
      if (next < 2'000) InsertMixed(&index, next, next + 4);
      next += 4;
    });
    ExpectSwept(sweep, 0, 400);
  }
}

// A call's work is bounded: a bucket more than asked for at the most.
TEST(IndexSweep, KeepsToTheSlots) {
  constexpr size_t kBucketSlots = 1'100;
  Index index(kSeed);
  InsertMixed(&index, 0, 100'000);
  const auto everything = [](Entry&) { return true; };
  for (const size_t slots_max : {1, 1'000, 20'000}) {
    uint64_t cursor = 0;
    size_t sum = 0;
    do {
      size_t slots = 0;
      cursor = index.SweepValues(cursor, slots_max, &slots, everything);
      ASSERT_GT(slots, 0u);
      ASSERT_LT(slots, slots_max + kBucketSlots);
      sum += slots;
    } while (cursor != 0);
    EXPECT_GT(sum, 100'000u);
  }
  // Few values among many keys cost slots alone, not calls.
  Index cold(kSeed);
  for (uint64_t i = 0; i < 100'000; ++i) cold.Insert(MakeCold(Key(i)));
  const Sweep sweep = SweepAll(cold, 20'000, 1, [] {});
  EXPECT_EQ(sweep.visits, 0u);
  EXPECT_LE(sweep.calls, 10u);
}

// The work of the costliest change among those that `change` makes.
class WorkMeter {
 public:
  explicit WorkMeter(const Index& index) : index_(index) {}

  template <typename Change>
  void Measure(Change change) {
    const uint64_t before = index_.work();
    change();
    const uint64_t work = index_.work() - before;
    max_ = std::max(max_, work);
  }
  uint64_t max() const { return max_; }

 private:
  const Index& index_;
  uint64_t max_ = 0;
};

TEST(IndexWork, IsBoundedForEachChangeFromNothingToAMillionKeysAndBack) {
  constexpr uint64_t kKeys = 1'000'000;
  Index index(kSeed);
  WorkMeter growth(index);
  for (uint64_t i = 0; i < kKeys; ++i) {
    growth.Measure([&] { index.Insert(MakeEntry(Key(i))); });
  }
  EXPECT_LE(growth.max(), Index::kWorkPerChangeMax);
  EXPECT_LE(index.work(), 20 * kKeys);
  const uint64_t full_bytes = index.memory_bytes();

  WorkMeter decline(index);
  for (uint64_t i = 0; i < kKeys; ++i) {
    decline.Measure([&] { index.Erase(Key(i)); });
  }
  EXPECT_LE(decline.max(), Index::kWorkPerChangeMax);
  EXPECT_LE(index.work(), 40 * kKeys);
  EXPECT_LE(index.memory_bytes(), full_bytes / 1000);
  RecordProperty("growth_work_max", std::to_string(growth.max()));
  RecordProperty("decline_work_max", std::to_string(decline.max()));
}

TEST(IndexWork, FindOrInsertOfWhatIsThereChangesNothing) {
  Index index(kSeed);
  for (uint64_t i = 0; i < 2'000; ++i) {
    index.Insert(MakeEntry(Key(i)));
    const uint64_t work = index.work();
    const size_t bytes = index.memory_bytes();
    EntryPtr again = MakeEntry(Key(i / 2));
    EXPECT_NE(index.FindOrInsert(index.Hash(Key(i / 2)), &again), nullptr);
    EXPECT_EQ(index.work(), work);
    EXPECT_EQ(index.memory_bytes(), bytes);
  }
}

// Half as much again, until the last keys come.
TEST(IndexWork, RoomForKeysToComeSparesWorkAndCostsNothingInTheEnd) {
  constexpr uint64_t kKeys = 500'000;
  Index slow(kSeed);
  InsertRange(&slow, 0, kKeys);
  Index index(kSeed);
  WorkMeter growth(index);
  for (uint64_t i = 0; i < kKeys; ++i) {
    index.set_room_percent(std::clamp<size_t>((kKeys - i) * 100 / (i + 1),
                                              Index::kRoomPercentMin, 50));
    growth.Measure([&] { index.Insert(MakeEntry(Key(i))); });
  }
  EXPECT_LE(growth.max(), Index::kWorkPerChangeMax);
  EXPECT_LE(index.work(), slow.work() * 7 / 10);
  EXPECT_LE(index.memory_bytes(), slow.memory_bytes() * 105 / 100);
}

TEST(IndexWork, MemoryGrowsInSmallSteps) {
  Index index(kSeed);
  size_t step_max = 0;
  for (uint64_t i = 0; i < 300'000; ++i) {
    const size_t before = index.memory_bytes();
    index.Insert(MakeEntry(Key(i)));
    const size_t after = index.memory_bytes();
    if (after > before) step_max = std::max(step_max, after - before);
  }
  // Two buckets and a directory of eight bytes for a few hundred keys.
  EXPECT_LE(step_max, 32u << 10);
}

TEST(IndexMemory, SlotsTakeAtMostSixteenBytesAKeyAtEverySize) {
  constexpr uint64_t kFirst = 100'000;
  constexpr uint64_t kLast = 2'000'000;
  Index index(kSeed);
  double worst = 0;
  double sum = 0;
  int samples = 0;
  uint64_t keys = 0;
  for (double size = kFirst; size <= kLast; size *= 1.02) {
    for (; keys < static_cast<uint64_t>(size); ++keys) {
      index.Insert(MakeEntry(Key(keys)));
    }
    const double bytes = static_cast<double>(index.memory_bytes()) / keys;
    EXPECT_LE(bytes, 16.0) << keys << " keys";
    worst = std::max(worst, bytes);
    sum += bytes;
    ++samples;
  }
  printf("slot bytes a key: average %.2f, worst %.2f, %d sizes\n",
         sum / samples, worst, samples);
  EXPECT_GE(worst, 8.0);
}

TEST(IndexMemory, IsGivenBackAfterMassDeletion) {
  constexpr uint64_t kKeys = 400'000;
  Index index(kSeed);
  InsertRange(&index, 0, kKeys);
  uint64_t erased = 0;
  for (const uint64_t left : {300'000, 200'000, 100'000, 50'000, 20'000}) {
    EraseRange(&index, erased, kKeys - left);
    erased = kKeys - left;
    EXPECT_LE(static_cast<double>(index.memory_bytes()) / left, 18.0) << left;
  }
}

TEST(IndexMemory, StaysInProportionWhenKeysCollide) {
  constexpr uint64_t kKeys = 3'000;
  Index index(kSeed, &LowBitsOnly);
  InsertRange(&index, 0, kKeys);
  EXPECT_LE(index.memory_bytes(), 16 * kKeys);
}

TEST(IndexFree, DropsATableInSlices) {
  constexpr uint64_t kKeys = 20'000;
  Index index(kSeed);
  InsertRange(&index, 0, kKeys);
  std::unordered_set<std::string> visited;
  size_t left = kKeys;
  while (left > 0) {
    const size_t before = visited.size();
    left = index.FreeSome(
        300, [&](Entry& entry) { visited.insert(std::string(entry.key())); });
    ASSERT_EQ(visited.size() - before, std::min<size_t>(300, kKeys - before));
    ASSERT_EQ(left, kKeys - visited.size());
    ASSERT_EQ(index.size(), left);
  }
  EXPECT_EQ(visited.size(), kKeys);
  EXPECT_EQ(index.FreeSome(300), 0u);
}

TEST(IndexFree, MayStopHalfway) {
  Index index(kSeed);
  InsertRange(&index, 0, 5'000);
  EXPECT_EQ(index.FreeSome(1'234), 5'000u - 1'234);
}  // The sanitizers see whether the rest is freed once.

TEST(IndexRandom, GivesEachKeyItsShare) {
  constexpr uint64_t kKeys = 3'000;
  constexpr uint64_t kDraws = kKeys * 200;
  Index index(kSeed);
  InsertRange(&index, 0, kKeys);
  std::unordered_map<Entry*, uint64_t> draws;
  std::mt19937_64 random(kSeed);
  for (uint64_t i = 0; i < kDraws; ++i) ++draws[index.Random(random())];
  EXPECT_EQ(draws.size(), kKeys);
  for (const auto& [entry, count] : draws) {
    ASSERT_GE(count, 200u / 3) << entry->key();
    ASSERT_LE(count, 200u * 3) << entry->key();
  }
}

TEST(IndexRandom, FindsTheOnlyKey) {
  Index index(kSeed);
  InsertRange(&index, 0, 2'000);
  EraseRange(&index, 1, 2'000);
  std::mt19937_64 random(kSeed);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(index.Random(random())->key(), Key(0));
  }
}

}  // namespace
}  // namespace kvd
