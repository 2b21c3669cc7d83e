// SPDX-License-Identifier: MIT
//
// The store in life: who waits for what, room and its limits, deadlines,
// faults.
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "log/log_writer.h"
#include "tests/store/promises/machine.h"
#include "tests/store/promises/promises.h"

namespace kvd {
namespace {

class StoreTest : public testing::Test {
 protected:
  void Open(StoreOptions options = SmallStore()) {
    machine_ = std::make_unique<Machine>(&disk_, &history_, options);
    const Result<void> opened = machine_->Open();
    ASSERT_TRUE(opened) << opened.error().message();
  }
  Machine& machine() { return *machine_; }
  Store& store() { return machine_->store(); }

  // Whether a reply to a lookup would wait.
  bool LookupWaits(std::string_view key, int database = 0) {
    ColdValues cold;
    Operation operation(store(), database, &cold);
    operation.Find(key);
    return store().MustWait(operation.seen());
  }
  bool CountWaits(int database = 0) {
    ColdValues cold;
    Operation operation(store(), database, &cold);
    operation.Count();
    return store().MustWait(operation.seen());
  }

  SimFileSystem disk_;
  History history_;
  std::unique_ptr<Machine> machine_;
};

TEST_F(StoreTest, AReaderOfAnUndurableValueWaitsWithItsWriter) {
  Open();
  machine().Put("other", "1");
  machine().Settle();
  machine().Put("key", "value");
  EXPECT_TRUE(LookupWaits("key"));
  EXPECT_TRUE(CountWaits());
  EXPECT_FALSE(LookupWaits("other"));
  EXPECT_FALSE(LookupWaits("never there"));
  machine().Settle();
  EXPECT_FALSE(LookupWaits("key"));
  EXPECT_FALSE(CountWaits());
}

TEST_F(StoreTest, AnAbsenceWaits) { EXPECT_EQ(CheckAbsenceWaits(), ""); }
TEST_F(StoreTest, ACountWaits) { EXPECT_EQ(CheckCountWaits(), ""); }
TEST_F(StoreTest, WhatASwapShowsWaits) { EXPECT_EQ(CheckSwapWaits(), ""); }

TEST_F(StoreTest, WhoeverSeesAFlushedDatabaseWaits) {
  Open();
  machine().Put("key", "value");
  machine().Put("elsewhere", "value", 0, 1);
  machine().Settle();
  machine().Flush(0);
  EXPECT_TRUE(LookupWaits("key"));
  EXPECT_TRUE(LookupWaits("never there"));
  EXPECT_TRUE(CountWaits());
  EXPECT_FALSE(LookupWaits("elsewhere", 1));
  machine().Settle();
  EXPECT_FALSE(LookupWaits("key"));
}

TEST_F(StoreTest, SwappedDatabasesStaySwapped) {
  Open();
  machine().Put("key", "a", machine().clock().WallMs() + 10);
  machine().Put("key", "b", 0, 7);
  EXPECT_TRUE(machine().Swap(0, 7));
  machine().Put("later", "c");
  EXPECT_EQ(machine().Get("key"), "b");
  EXPECT_EQ(machine().Get("key", 7), "a");
  EXPECT_EQ(store().Stats().keys[0], 2u);
  machine().Settle();
  for (const bool stop : {false, true}) {
    if (stop) machine().Stop();
    machine_.reset();
    Open();
    EXPECT_EQ(machine().Dump(), history_.states.back());
  }
  EXPECT_TRUE(machine().Swap(7, 0));
  EXPECT_EQ(machine().Get("later", 7), "c");
  machine().AdvanceMs(10);
  machine().Tick();
  EXPECT_EQ(machine().Get("key"), std::nullopt);
  EXPECT_EQ(machine().Dump(), history_.states.back());
}

TEST_F(StoreTest, AKeyThatComesWithItsHashIsNotHashedAgain) {
  Open();
  machine().Put("key", "value");
  machine().Put("key", "value", 0, 7);
  const std::string_view key = "key";
  const std::string same_key(key);
  const uint64_t hash = store().PrefetchSlot(3, key);
  const auto finds = [&](int database, HashedKey hashed) {
    ColdValues cold;
    Operation operation(store(), database, &cold, nullptr, hashed);
    return operation.Find(key) != nullptr;
  };
  for (const int database : {0, 7}) {
    EXPECT_TRUE(finds(database, {key, hash}));
    EXPECT_FALSE(finds(database, {key, ~hash}));
    // Of another view, whatever it says, nothing is known.
    EXPECT_TRUE(finds(database, {same_key, ~hash}));
    EXPECT_TRUE(finds(database, {}));
  }
}

TEST_F(StoreTest, NobodyWaitsInTheLazyModes) {
  for (const SyncMode mode : {SyncMode::kInterval, SyncMode::kNever}) {
    machine_.reset();
    Open(SmallStore(mode));
    machine().Put("key", "value");
    EXPECT_FALSE(LookupWaits("key"));
    machine().Delete("key");
    EXPECT_FALSE(LookupWaits("key"));
    EXPECT_FALSE(CountWaits());
    machine().Swap(0, 1);
    EXPECT_FALSE(LookupWaits("key"));
    EXPECT_FALSE(CountWaits());
  }
}

TEST_F(StoreTest, TheIntervalMakesDurable) {
  Open(SmallStore(SyncMode::kInterval));
  machine().Put("key", "value");
  machine().Turn();
  EXPECT_LT(store().durable_seq(), store().last_seq());
  machine().AdvanceMs(1000);
  machine().Tick();
  machine().Turn();
  EXPECT_EQ(store().durable_seq(), store().last_seq());
}

TEST_F(StoreTest, ARevisionIsGivenToEveryChangeOnce) {
  Open();
  machine().Put("a", "1");
  machine().Put("a", "1");
  machine().Delete("a");
  machine().Flush();
  EXPECT_EQ(store().last_seq(), 4u);
}

TEST_F(StoreTest, TheOpenGroupIsCapped) {
  Open();
  machine().Settle();
  machine().Put("first", "on its way");
  disk_.SetWriteMode(SimFileSystem::WriteMode::kManual);
  machine().Pump();
  // The device is busy: the open group fills up to its cap of 8 KiB.
  int filled = 0;
  while (filled < 100) {
    ColdValues cold;
    Operation operation(store(), 0, &cold);
    if (operation.Reserve(Operation::PutBytes(1, 1000), Purpose::kWrite) !=
        Room::kReady) {
      break;
    }
    operation.Put("k", std::string(1000, 'x'), 0, KeyEvent::kSet);
    ++filled;
  }
  EXPECT_EQ(filled, 7);
  ColdValues reader_cold;
  Operation reader(store(), 0, &reader_cold);
  EXPECT_NE(reader.Find("first"), nullptr);
  disk_.CompleteWrite();
  disk_.SetWriteMode(SimFileSystem::WriteMode::kAtPoll);
  EXPECT_TRUE(machine().Put("k", std::string(1000, 'y')));
}

TEST_F(StoreTest, AGroupTooLargeForAnySegmentIsRefused) {
  Open();
  ColdValues cold;
  Operation operation(store(), 0, &cold);
  EXPECT_EQ(operation.Reserve(kGroupBodyBytesMax + 1, Purpose::kWrite),
            Room::kTooLarge);
}

// --- A full disk ------------------------------------------------------------

TEST_F(StoreTest, AFullDiskRefusesWritesBeforeTheyChangeAnything) {
  disk_.SetCapacity(kDiskReserveBytes + 150 * 1024);
  Open();
  int written = 0;
  while (written < 1000 && machine().Put("key" + std::to_string(written),
                                         std::string(1000, 'x'))) {
    ++written;
  }
  EXPECT_GT(written, 50);
  EXPECT_LT(written, 160);
  machine().Settle();
  EXPECT_TRUE(store().Stats().disk_full);
  EXPECT_FALSE(store().failure());
  EXPECT_EQ(machine().Get("key" + std::to_string(written)), std::nullopt);
  EXPECT_EQ(machine().Dump(), history_.states.back());

  // Reads and deletes go on.
  EXPECT_EQ(machine().Get("key0"), std::string(1000, 'x'));
  EXPECT_TRUE(machine().Delete("key0"));
  machine().Settle();
  EXPECT_EQ(store().durable_seq(), store().last_seq());
}

TEST_F(StoreTest, ServiceResumesByItselfWhenRoomAppears) {
  disk_.SetCapacity(kDiskReserveBytes + 100 * 1024);
  Open();
  while (machine().Put("key", std::string(1000, 'x'))) continue;
  disk_.SetCapacity(kDiskReserveBytes + 1000 * 1024);
  machine().AdvanceMs(2 * kDiskFullRetryMs);
  machine().Tick();
  machine().Turn();
  EXPECT_TRUE(machine().Put("key", std::string(1000, 'y')));
  EXPECT_FALSE(store().Stats().disk_full);
}

TEST_F(StoreTest, AFullDiskOpensAgainAndDeletes) {
  disk_.SetCapacity(kDiskReserveBytes + 100 * 1024);
  Open();
  int written = 0;
  while (
      machine().Put("key" + std::to_string(written), std::string(500, 'x'))) {
    ++written;
  }
  machine().Settle();
  machine_.reset();
  Open();
  EXPECT_EQ(machine().Dump(), history_.states.back());
  EXPECT_TRUE(machine().Delete("key0"));
  EXPECT_FALSE(machine().Put("new", "1"));
  machine().Settle();
  EXPECT_EQ(store().durable_seq(), store().last_seq());

  disk_.SetCapacity(kDiskReserveBytes + 1000 * 1024);
  machine().AdvanceMs(2 * kDiskFullRetryMs);
  machine().Tick();
  machine().Turn();
  EXPECT_TRUE(machine().Put("new", "1"));
}

TEST_F(StoreTest, ALargeValueThatFindsNoRoomLeavesTheRestAlone) {
  disk_.SetCapacity(kDiskReserveBytes + 200 * 1024);
  Open();
  EXPECT_TRUE(machine().Put("small", "1"));
  EXPECT_FALSE(machine().Put("large", std::string(500 * 1024, 'x')));
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(machine().Put("small", std::string(1000, 'y')));
  }
}

// Reads are answered whether there is room for the record of an expiry or not,
// and what they said holds.
TEST_F(StoreTest, AFullDiskAnswersReadsOfExpiredKeys) {
  EXPECT_EQ(CheckExpiryLeavesTheReserve(), "");
  disk_.SetCapacity(kDiskReserveBytes + 100 * 1024);
  Open();
  const int64_t start_ms = machine().clock().WallMs();
  machine().Put("expires", "value", start_ms + 100);
  machine().Put("later", "value", start_ms + 100);
  while (machine().Put("filler", std::string(500, 'x'))) continue;
  while (machine().Put("f", "")) continue;
  machine().Settle();
  machine().AdvanceMs(200);
  const Seq before = store().last_seq();
  EXPECT_EQ(machine().Get("expires"), std::nullopt);
  EXPECT_FALSE(machine().Delete("expires"));
  EXPECT_EQ(store().last_seq(), before);
  // The wall clock steps back: who was not told may see the key, no other.
  machine().clock().SetWallMs(start_ms);
  EXPECT_EQ(machine().Get("expires"), std::nullopt);
  EXPECT_EQ(machine().Get("later"), "value");
  EXPECT_FALSE(machine().Append("expires", "+"));

  // Set anew, it is a key like others.
  disk_.SetCapacity(kDiskReserveBytes + 1000 * 1024);
  machine().AdvanceMs(2 * kDiskFullRetryMs);
  machine().clock().SetWallMs(start_ms);
  machine().Tick();
  machine().Turn();
  EXPECT_TRUE(machine().Put("expires", "other", start_ms + 100));
  EXPECT_EQ(machine().Get("expires"), "other");
  machine().AdvanceMs(200);
  machine().Tick();
  machine().Settle();
  EXPECT_EQ(machine().Dump(), history_.states.back());
  EXPECT_EQ(machine().Get("expires"), std::nullopt);
}

TEST_F(StoreTest, WhatPassesEndsNothing) {
  EXPECT_EQ(CheckFullEnds(), "");
  EXPECT_EQ(CheckPassingErrorsPass(), "");
}

// --- Deadlines --------------------------------------------------------------

TEST_F(StoreTest, TheLookupThatFindsAKeyExpiredRemovesItAndWaits) {
  Open();
  machine().Put("key", "value", machine().clock().WallMs() + 10);
  machine().Settle();
  EXPECT_EQ(machine().Get("key"), "value");
  machine().AdvanceMs(10);
  const Seq before = store().last_seq();
  EXPECT_EQ(machine().Get("key"), std::nullopt);
  EXPECT_EQ(store().last_seq(), before + 1);
  EXPECT_TRUE(LookupWaits("key"));
  EXPECT_EQ(store().Stats().expired_keys, 1u);
}

TEST_F(StoreTest, NobodyHasToLookForAnExpiredKeyToGo) {
  Open();
  for (int i = 0; i < 100; ++i) {
    machine().Put("key" + std::to_string(i), "value",
                  machine().clock().WallMs() + 10 + i);
  }
  machine().Put("stays", "value");
  machine().Settle();
  machine().AdvanceMs(1000);
  for (int i = 0; i < 3; ++i) {
    machine().Tick();
    machine().Settle();
  }
  EXPECT_EQ(store().Stats().keys[0], 1u);
  EXPECT_EQ(machine().Dump().size(), 1u);
}

TEST_F(StoreTest, AChangedDeadlineIsAChange) {
  Open();
  machine().Put("key", "value", machine().clock().WallMs() + 10);
  machine().Put("key", "value");
  machine().Settle();
  machine().AdvanceMs(1000);
  machine().Tick();
  EXPECT_EQ(machine().Get("key"), "value");
}

// --- Faults -----------------------------------------------------------------

TEST_F(StoreTest, AFailedFlushEndsTheStoreAndIsNotRetried) {
  Open();
  machine().Put("a", "1");
  machine().Settle();
  disk_.FailAt(SimFileSystem::Op::kComplete, 0, EIO);
  machine().Put("b", "2");
  machine().Turn();
  machine().Turn();
  ASSERT_TRUE(store().failure());
  EXPECT_EQ(store().failure()->code(), ErrorCode::kIo);
  EXPECT_LT(store().durable_seq(), store().last_seq());
  const uint64_t submitted = disk_.calls(SimFileSystem::Op::kSubmit);
  machine().Turn();
  machine().Tick();
  EXPECT_EQ(disk_.calls(SimFileSystem::Op::kSubmit), submitted);
}

TEST_F(StoreTest, FreesAFlushedDatabaseInSlices) {
  StoreOptions roomy = SmallStore();
  roomy.segment_bytes = 1 << 20;
  Open(roomy);
  for (int i = 0; i < 4; ++i) machine().Turn();
  for (int i = 0; i < 5000; ++i) {
    if (i % 50 == 0) machine().Settle();
    ColdValues cold;
    Operation operation(store(), 0, &cold);
    ASSERT_EQ(operation.Reserve(Operation::PutBytes(8, 1), Purpose::kWrite),
              Room::kReady);
    operation.Put(std::to_string(i), "v", 0, KeyEvent::kSet);
  }
  machine().Settle();
  const uint64_t before = store().Stats().entry_bytes;
  machine().Flush();
  EXPECT_EQ(store().Stats().keys[0], 0u);
  // It pays for what it adds, which is a table, not for what is in there.
  EXPECT_GT(store().Stats().entry_bytes, before / 2);
  machine().Tick();
  const uint64_t after_one = store().Stats().entry_bytes;
  EXPECT_LT(after_one, before);
  EXPECT_GT(after_one, 0u);
  for (int i = 0; i < 10; ++i) machine().Tick();
  EXPECT_EQ(store().Stats().entry_bytes, 0u);
  EXPECT_EQ(store().Stats().live_bytes, 0u);
}

TEST_F(StoreTest, CountsLiveAndDeadBytesAsAReplayDoes) {
  Open();
  for (int i = 0; i < 50; ++i) {
    machine().Put("key" + std::to_string(i % 10), std::string(100, 'x'));
    if (i % 7 == 0) machine().Delete("key" + std::to_string(i % 5));
    if (i % 20 == 19) machine().Swap(0, 1);
    if (i == 30) machine().Flush(1);
  }
  // What a flush cleared is counted as it is freed.
  for (int i = 0; i < 3; ++i) machine().Tick();
  machine().Settle();
  const StoreStats before = store().Stats();
  machine().Stop();
  machine_.reset();
  Open();
  const StoreStats after = store().Stats();
  EXPECT_GT(before.dead_bytes, 0u);
  EXPECT_EQ(after.live_bytes, before.live_bytes);
  EXPECT_EQ(after.dead_bytes, before.dead_bytes);
  EXPECT_EQ(after.keys[0], before.keys[0]);
  EXPECT_EQ(after.entry_bytes, before.entry_bytes);
}

}  // namespace
}  // namespace kvd
