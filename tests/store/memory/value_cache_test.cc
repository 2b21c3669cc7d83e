// SPDX-License-Identifier: MIT
//
// Which values stay in memory.
#include "store/memory/value_cache.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "store/operation.h"
#include "tests/support/manual_clock.h"
#include "tests/support/manual_executor.h"
#include "tests/support/sim_file_system.h"

namespace kvd {
namespace {

constexpr uint64_t kValueBytes = 100;

class ValueCacheTest : public testing::Test {
 protected:
  ~ValueCacheTest() override {
    disk_.SetWriteMode(SimFileSystem::WriteMode::kAtPoll);
  }

  // Room for `values` values of kValueBytes.
  void Open(uint64_t values, SyncMode sync = SyncMode::kAlways) {
    directory_ = disk_.OpenDirectory();
    StoreOptions options;
    options.sync = sync;
    options.segment_bytes = 4 << 20;
    options.value_cache_bytes = bound_ = values * kValueBytes;
    options.compaction.interval_ms = 0;
    auto store = Store::Open(*directory_, options,
                             {executor_, executor_, executor_}, clock_, [] {});
    KVD_CHECK(store.ok());
    store_ = std::move(*store);
    for (int i = 0; i < 8; ++i) Settle();  // The first segment becomes ready.
  }

  static std::string Key(int i) { return fmt::format("key{}", i); }
  static std::string ValueOf(int i) {
    return fmt::format("{:-<{}}", i, kValueBytes);
  }

  // A change that may not be on disk yet.
  void PutUnwritten(std::string_view key, std::string_view value,
                    int database = 0, int64_t deadline_ms = 0) {
    ColdValues cold;
    Operation operation(*store_, database, &cold);
    KVD_CHECK(operation.Reserve(Operation::PutBytes(key.size(), value.size()),
                                Purpose::kWrite) == Room::kReady);
    operation.Put(key, value, deadline_ms, KeyEvent::kSet);
  }
  void Put(std::string_view key, std::string_view value, int database = 0,
           int64_t deadline_ms = 0) {
    PutUnwritten(key, value, database, deadline_ms);
    Settle();
  }
  void PutMany(int first, int end) {
    for (int i = first; i < end; ++i) Put(Key(i), ValueOf(i));
  }
  void Settle() {
    do {
      store_->Pump();
      store_->Poll();
    } while (store_->MustWait(store_->last_seq()));
    store_->Pump();
  }

  std::string Get(std::string_view key, int database = 0) {
    ColdValues cold;
    while (true) {
      Operation operation(*store_, database, &cold);
      const Entry* entry = operation.Find(key);
      if (entry == nullptr) return "(none)";
      std::string value(operation.Value(*entry));
      if (!cold.wanted()) {
        operation.KeepValues();
        store_->Pump();
        return value;
      }
      store_->Read(&cold, [] {});
      store_->Poll();
    }
  }
  // Whether a value is in memory; no use of it.
  bool IsWarm(std::string_view key, int database = 0) {
    ColdValues cold;
    const Entry* entry = Operation(*store_, database, &cold).Find(key);
    KVD_CHECK(entry != nullptr);
    return !entry->is_cold();
  }
  int WarmOf(int first, int end) {
    int warm = 0;
    for (int i = first; i < end; ++i) warm += IsWarm(Key(i)) ? 1 : 0;
    return warm;
  }

  uint64_t bytes() { return store_->Stats().value_bytes; }
  uint64_t evicted() { return store_->Stats().values_evicted; }

  SimFileSystem disk_;
  ManualClock clock_;
  ManualExecutor executor_{/*auto_run=*/true};
  std::unique_ptr<Directory> directory_;
  std::unique_ptr<Store> store_;
  uint64_t bound_ = 0;
};

TEST_F(ValueCacheTest, EvictsNothingWithinItsBound) {
  Open(50);
  PutMany(0, 50);
  EXPECT_EQ(evicted(), 0u);
  EXPECT_EQ(bytes(), bound_);
  EXPECT_EQ(WarmOf(0, 50), 50);
}

TEST_F(ValueCacheTest, KeepsToItsBoundAndLosesNoValue) {
  Open(50);
  for (int i = 0; i < 400; ++i) {
    Put(Key(i), ValueOf(i));
    ASSERT_LE(bytes(), bound_);
  }
  EXPECT_EQ(WarmOf(0, 400), 50);  // Nor does it evict more than it must.
  EXPECT_EQ(evicted(), 350u);
  for (int i = 0; i < 400; ++i) {
    ASSERT_EQ(Get(Key(i)), ValueOf(i));
    ASSERT_LE(bytes(), bound_);
  }
}

TEST_F(ValueCacheTest, CountsWhatOverwritesAndRemovalsFree) {
  Open(50);
  PutMany(0, 50);
  for (int i = 0; i < 40; ++i) Put(Key(i), "");
  EXPECT_EQ(bytes(), 10 * kValueBytes);
  PutMany(50, 90);
  EXPECT_EQ(evicted(), 0u);
  PutMany(90, 100);
  EXPECT_EQ(evicted(), 10u);
}

TEST_F(ValueCacheTest, WithoutAnyRoomEveryValueIsOnDisk) {
  Open(0);
  PutMany(0, 20);
  Put("empty", "");
  EXPECT_EQ(WarmOf(0, 20), 0);
  EXPECT_EQ(bytes(), 0u);
  EXPECT_EQ(Get("key3"), ValueOf(3));
  EXPECT_EQ(Get("empty"), "");
  EXPECT_EQ(bytes(), 0u);
}

TEST_F(ValueCacheTest, WhatIsNotOnDiskStays) {
  for (const SyncMode sync : {SyncMode::kAlways, SyncMode::kNever}) {
    store_.reset();
    Open(10, sync);
    disk_.SetWriteMode(SimFileSystem::WriteMode::kManual);
    for (int i = 0; i < 40; ++i) PutUnwritten(Key(i), ValueOf(i));
    store_->Pump();  // The group is being written now.
    for (int i = 0; i < 5; ++i) {
      store_->Tick();
      store_->Poll();
      EXPECT_EQ(WarmOf(0, 40), 40);
    }
    while (disk_.pending_writes() > 0) disk_.CompleteWrite();
    store_->Poll();
    store_->Pump();
    EXPECT_EQ(WarmOf(0, 40), 10);
    disk_.SetWriteMode(SimFileSystem::WriteMode::kAtPoll);
  }
}

TEST_F(ValueCacheTest, WhatWasReadSurvivesOneRoundAndNoSecond) {
  Open(40);
  PutMany(0, 40);
  for (int i = 0; i < 20; ++i) Get(Key(i));
  // Less than a round: that many are without a mark.
  PutMany(40, 60);
  EXPECT_EQ(WarmOf(0, 20), 20);
  EXPECT_EQ(WarmOf(20, 60), 20);
  // Not read since: they go with the others.
  PutMany(60, 400);
  EXPECT_EQ(WarmOf(0, 20), 0);
}

TEST_F(ValueCacheTest, ManyColdReadsDoNotPushOutWhatIsReadOftener) {
  constexpr int kHot = 20;
  Open(200);
  PutMany(0, 3000);
  // The first read brings it in, the second one says that it is worth it.
  for (int i = 0; i < 2 * kHot; ++i) Get(Key(i % kHot));
  int misses = 0;
  for (int i = kHot; i < 3000; ++i) {
    ASSERT_EQ(Get(Key(i)), ValueOf(i));
    if (i % 50 != 0) continue;
    misses += kHot - WarmOf(0, kHot);
    for (int hot = 0; hot < kHot; ++hot) Get(Key(hot));
  }
  EXPECT_EQ(misses, 0);
}

TEST_F(ValueCacheTest, AReadBringsASmallValueBackAndALargeOneNot) {
  Open(80);
  const std::string large(kValueBytes * 80 / kLargestKeptShare + 1, 'x');
  const std::string small = large.substr(1);
  PutUnwritten("large", large);
  PutUnwritten("small", small);
  PutMany(0, 80);
  for (int i = 0; i < 80; ++i) Get(Key(i));
  PutMany(80, 160);
  ASSERT_FALSE(IsWarm("large"));
  ASSERT_FALSE(IsWarm("small"));
  EXPECT_EQ(Get("large"), large);
  EXPECT_FALSE(IsWarm("large"));
  const uint64_t before = evicted();
  EXPECT_EQ(Get("small"), small);
  // It may be the next to go, since nobody has read it again.
  EXPECT_GE(evicted() - before, IsWarm("small") ? 10u : 1u);
}

TEST_F(ValueCacheTest, TheHandVisitsAllDatabases) {
  Open(8);
  for (int database = 0; database < kDatabases; ++database) {
    for (int i = 0; i < 4; ++i) Put(Key(i), ValueOf(i), database);
  }
  EXPECT_EQ(bytes(), bound_);
  // Whatever is old goes, wherever it is.
  for (int i = 4; i < 100; ++i) Put(Key(i), ValueOf(i), 7);
  for (int database = 0; database < kDatabases; ++database) {
    for (int i = 0; i < 4; ++i) {
      EXPECT_FALSE(IsWarm(Key(i), database)) << database;
      EXPECT_EQ(Get(Key(i), database), ValueOf(i));
    }
  }
}

TEST_F(ValueCacheTest, ADeadlineHoldsWhetherTheValueIsThereOrNot) {
  Open(4);
  const int64_t now = clock_.WallMs();
  for (int i = 0; i < 20; ++i) {
    Put(Key(i), ValueOf(i), 0, now + 1000 + i);
  }
  EXPECT_EQ(WarmOf(0, 20), 4);
  EXPECT_EQ(store_->Stats().keys_with_deadline[0], 20u);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Get(Key(i)), ValueOf(i));
  clock_.AdvanceMs(1009);
  store_->Tick();
  Settle();
  EXPECT_EQ(store_->Stats().keys[0], 10u);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(Get(Key(i)), i < 10 ? "(none)" : ValueOf(i));
  }
}

TEST_F(ValueCacheTest, AFlushFreesWhatItsValuesTook) {
  Open(50);
  PutMany(0, 100);
  {
    ColdValues cold;
    Operation operation(*store_, 0, &cold);
    ASSERT_EQ(operation.Reserve(Operation::RemoveBytes(0), Purpose::kRemoval),
              Room::kReady);
    operation.FlushDatabase();
  }
  Settle();
  store_->Tick();
  EXPECT_EQ(bytes(), 0u);
  PutMany(0, 50);
  EXPECT_EQ(WarmOf(0, 50), 50);
}

// Much may have to go at once, when a large group reaches the disk.
TEST_F(ValueCacheTest, OneCallsWorkIsBounded) {
  constexpr uint64_t kBucketSlots = 1'100;
  constexpr int kKeys = 40'000;
  Open(0);
  disk_.SetWriteMode(SimFileSystem::WriteMode::kManual);
  for (int i = 0; i < kKeys; ++i) PutUnwritten(Key(i), "v");
  store_->Pump();
  while (disk_.pending_writes() > 0) disk_.CompleteWrite();
  store_->Poll();
  ASSERT_EQ(evicted(), 0u);
  for (int calls = 1; evicted() < kKeys; ++calls) {
    ASSERT_LE(calls, 10);
    const uint64_t before = evicted();
    const std::optional<int64_t> again_ms = store_->Tick();
    EXPECT_LE(evicted() - before, kSweepSlotsMax + kBucketSlots);
    if (evicted() < kKeys) {
      EXPECT_EQ(again_ms, 1);  // Soon.
    }
  }
  EXPECT_EQ(bytes(), 0u);
}

}  // namespace
}  // namespace kvd
