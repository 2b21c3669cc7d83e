// SPDX-License-Identifier: MIT
//
// Storage that goes away beneath a store, and storage that only seems to.
#include "store/background/storage_watch.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>

#include "log/format/manifest.h"
#include "log/format/segment.h"
#include "tests/store/promises/machine.h"
#include "tests/store/promises/promises.h"

namespace kvd {
namespace {

class StorageWatchTest : public testing::Test {
 protected:
  void Open(StoreOptions options = SmallStore()) {
    machine_ = std::make_unique<Machine>(&disk_, &history_, options);
    ASSERT_TRUE(machine_->Open());
    Fill(3);
  }
  // Until so many segments are sealed.
  void Fill(size_t sealed) {
    for (int i = 0; store().SealedSegments().size() < sealed; ++i) {
      ASSERT_TRUE(machine_->Put("key" + std::to_string(i % 10),
                                std::string(2000, 'v')));
      machine_->Settle();
    }
    // The MANIFEST is written.
    for (int i = 0; i < 3; ++i) machine_->Turn();
  }
  void Look() {
    machine_->AdvanceMs(StoreOptions().look_interval_ms);
    machine_->Tick();
    // What seems to be missing is looked at again.
    for (int i = 0; i < 2; ++i) machine_->Turn();
  }
  Store& store() { return machine_->store(); }
  Manifest OnDisk() {
    return *DecodeManifest(disk_.ReadAll(kManifestName), "MANIFEST");
  }
  Room RoomForAWrite() {
    ColdValues cold;
    Operation operation(store(), 0, &cold);
    return operation.Reserve(Operation::PutBytes(1, 1), Purpose::kWrite);
  }

  SimFileSystem disk_;
  History history_;
  std::unique_ptr<Machine> machine_;
};

TEST_F(StorageWatchTest, ALossIsNoticed) {
  EXPECT_EQ(CheckLossIsNoticed(), "");
}

TEST_F(StorageWatchTest, AReadOnlyDiskCounts) {
  Open();
  disk_.SetFate(SimFileSystem::Fate::kReadOnly);
  Look();
  EXPECT_TRUE(store().storage_lost());
}

TEST_F(StorageWatchTest, EachFileOfTheManifestCounts) {
  Open();
  const Manifest manifest = OnDisk();
  std::vector<std::string> names = {std::string(kManifestName),
                                    SegmentName(manifest.active->id),
                                    SegmentName(manifest.prepared->id)};
  for (const SealedSegment& sealed : manifest.sealed) {
    names.push_back(SegmentName(sealed.id));
  }
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    disk_.Remove(name);
    Look();
    EXPECT_TRUE(store().storage_lost());
    EXPECT_NE(store().failure()->message().find(name), std::string::npos);
    // Another disk with the same store.
    machine_.reset();
    disk_.Put(name, "");  // So that the names to come are other ones.
    for (const std::string& old : disk_.Names()) disk_.Remove(old);
    history_ = {};
    Open();
    ASSERT_EQ(OnDisk().sealed.size(), manifest.sealed.size());
  }
}

TEST_F(StorageWatchTest, OtherFilesInTheirPlaceCount) {
  Open();
  const std::string active = SegmentName(OnDisk().active->id);
  const std::string content = disk_.ReadAll(active);
  disk_.Remove(active);
  disk_.Put(active, content);
  Look();
  EXPECT_TRUE(store().storage_lost());
}

TEST_F(StorageWatchTest, ASegmentThatWasCutCounts) {
  Open();
  disk_.Truncate(SegmentName(OnDisk().sealed.front().id), 4096);
  Look();
  EXPECT_TRUE(store().storage_lost());
}

TEST_F(StorageWatchTest, ManySegmentsAreLookedAtInTurn) {
  Open();
  Fill(2 * kSealedPerLook);
  const uint64_t last = store().SealedSegments().back();
  disk_.Remove(SegmentName(last));
  int looks = 0;
  while (!store().storage_lost() && looks < 10) {
    Look();
    ++looks;
  }
  EXPECT_TRUE(store().storage_lost());
  EXPECT_LE(looks, 4);
}

TEST_F(StorageWatchTest, WhatCannotBeToldIsNoLoss) {
  Open();
  disk_.FailAt(SimFileSystem::Op::kLook, 0, EMFILE,
               SimFileSystem::Repeat::kForever);
  Look();
  EXPECT_FALSE(store().failure());
  EXPECT_TRUE(machine_->Stop());
}

TEST_F(StorageWatchTest, AManifestThatCouldNotBeReplacedIsNoLoss) {
  Open();
  for (const auto op :
       {SimFileSystem::Op::kExchange, SimFileSystem::Op::kDirectorySync}) {
    const uint64_t before = disk_.failures();
    disk_.FailAt(op, 0, ENOSPC);
    while (disk_.failures() == before) {
      machine_->Put("key", std::string(2000, 'v'));
      machine_->Settle();
    }
    for (int i = 0; i < 3; ++i) Look();
    ASSERT_FALSE(store().failure()) << store().failure()->message();
  }
}

TEST_F(StorageWatchTest, WhatPassesIsNoLoss) {
  Open();
  disk_.SetFate(SimFileSystem::Fate::kGone);
  machine_->AdvanceMs(StoreOptions().look_interval_ms);
  machine_->maintenance().set_auto_run(false);
  machine_->Tick();
  machine_->maintenance().RunOne();
  disk_.SetFate(SimFileSystem::Fate::kThere);
  for (int i = 0; i < 3; ++i) {
    machine_->Turn();
    machine_->maintenance().RunOne();
  }
  EXPECT_FALSE(store().failure());
}

TEST_F(StorageWatchTest, WhatTheStoreRemovesItselfIsNoLoss) {
  Open();
  for (int round = 0; round < 30; ++round) {
    machine_->AdvanceMs(StoreOptions().look_interval_ms);
    Fill(store().SealedSegments().size() + 2);
    machine_->Compact();
    machine_->Tick();
    machine_->Settle();
    ASSERT_FALSE(store().failure()) << store().failure()->message();
  }
  EXPECT_GT(disk_.calls(SimFileSystem::Op::kLook), 10u);
  EXPECT_TRUE(machine_->Stop());
}

TEST_F(StorageWatchTest, ReadsGoOnAndNobodyWaits) {
  StoreOptions options = SmallStore();
  options.memory_limit_bytes = 1 << 20;
  Open(options);
  machine_->Put("soon", "gone", machine_->clock().WallMs() + 5000);
  machine_->Settle();
  machine_->Put("in memory", "value");
  disk_.SetFate(SimFileSystem::Fate::kGone);
  Look();
  ASSERT_TRUE(store().storage_lost());
  EXPECT_EQ(RoomForAWrite(), Room::kLost);
  EXPECT_FALSE(store().MustWait(store().last_seq()));
  EXPECT_EQ(machine_->Get("in memory"), "value");
  EXPECT_EQ(machine_->Get("key1"), std::string(2000, 'v'));
  machine_->AdvanceMs(10'000);
  ColdValues cold;
  Operation operation(store(), 0, &cold);
  EXPECT_EQ(operation.Find("soon"), nullptr);
  EXPECT_EQ(operation.blocked(), Room::kReady);
  const uint64_t run = store().Compact();
  EXPECT_GE(store().compaction().runs_ended, run);
  EXPECT_NE(store().compaction().last_error, "");
}

TEST_F(StorageWatchTest, WhoWaitsForACompactionHearsOfTheLoss) {
  Open();
  Fill(6);
  const uint64_t run = store().Compact();
  const uint64_t next = store().Compact();
  ASSERT_LT(store().compaction().runs_ended, run);
  disk_.SetFate(SimFileSystem::Fate::kGone);
  for (int i = 0; i < 3; ++i) Look();
  ASSERT_TRUE(store().storage_lost());
  EXPECT_GE(store().compaction().runs_ended, next);
  EXPECT_NE(store().compaction().last_error, "");
}

TEST_F(StorageWatchTest, AWriteInFlightIsNotDurable) {
  Open();
  disk_.SetWriteMode(SimFileSystem::WriteMode::kManual);
  machine_->Put("key", "value");
  machine_->Pump();
  ASSERT_EQ(disk_.pending_writes(), 1u);
  disk_.SetFate(SimFileSystem::Fate::kGone);
  Look();
  ASSERT_TRUE(store().storage_lost());
  const Seq durable = store().durable_seq();
  disk_.CompleteWrite();
  machine_->Turn();
  EXPECT_EQ(store().durable_seq(), durable);
}

}  // namespace
}  // namespace kvd
