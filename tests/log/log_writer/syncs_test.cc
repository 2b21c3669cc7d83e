// SPDX-License-Identifier: MIT
//
// What becomes durable in quiet times, and in the lazy modes.
#include <gtest/gtest.h>

#include "tests/log/log_writer/log_writer_rig.h"
#include "tests/log/read/read_log.h"
#include "tests/support/sim_file_system.h"

namespace kvd {
namespace {

TEST_F(LogWriterTest, DeclaresTheLastGroupDurableWhenIdle) {
  Start();
  Put(100);
  Settle();
  EXPECT_EQ(log_->groups_written(), 1u);
  const auto next = log_->Tick();
  ASSERT_TRUE(next.has_value());
  EXPECT_LE(*next, options_.idle_declare_ms);
  Settle();
  EXPECT_EQ(log_->groups_written(), 1u) << "not idle for long enough";

  clock_.AdvanceMs(options_.idle_declare_ms);
  log_->Tick();
  Settle();
  EXPECT_EQ(log_->groups_written(), 2u);
  EXPECT_EQ(log_->last_seq(), 100u);
  // Once is enough, and then there is nothing to wake up for.
  clock_.AdvanceMs(10 * options_.idle_declare_ms);
  EXPECT_FALSE(log_->Tick().has_value());
  Settle();
  EXPECT_EQ(log_->groups_written(), 2u);

  // It is evidence: the damaged group before it does not pass as torn.
  disk_.Flip(SegmentName(1), 200 * 8);
  const auto tail = ReadLog(
      *directory_, *LoadManifest(*directory_), [](const Record&, Place) {},
      [](uint64_t) {});
  ASSERT_FALSE(tail.ok());
  EXPECT_EQ(tail.error().code(), ErrorCode::kCorruption);
}

TEST_F(LogWriterTest, IntervalModeSyncsInTime) {
  options_.sync = SyncMode::kInterval;
  options_.sync_interval_ms = 1000;
  Start();
  Put(100);
  Settle();
  EXPECT_EQ(log_->groups_written(), 1u);
  EXPECT_EQ(log_->durable_seq(), 99u);
  EXPECT_TRUE(DurableSeqs().empty());
  const auto next = log_->Tick();
  ASSERT_TRUE(next.has_value());
  EXPECT_LE(*next, 1000);

  clock_.AdvanceMs(*next);
  log_->Tick();
  Settle();
  EXPECT_EQ(log_->durable_seq(), 100u);
  EXPECT_EQ(log_->syncs(), 1u);
  EXPECT_EQ(DurableSeqs(), UpTo(100));
}

TEST_F(LogWriterTest, IntervalModeSyncsUnderConstantLoadToo) {
  options_.sync = SyncMode::kInterval;
  Start();
  for (int i = 0; i < 100; ++i) {
    Put(100);
    Turn();
    clock_.AdvanceMs(100);
    // At the most an interval and a turn's worth is not durable.
    EXPECT_GE(log_->durable_seq() + 13, log_->last_seq());
  }
  EXPECT_GE(log_->syncs(), 9u);
  EXPECT_LE(log_->syncs(), 12u);
}

TEST_F(LogWriterTest, NeverModeLeavesSyncingToTheSystem) {
  options_.sync = SyncMode::kNever;
  Start();
  Put(100);
  Settle();
  clock_.AdvanceMs(100'000);
  EXPECT_FALSE(log_->Tick().has_value());
  Settle();
  EXPECT_EQ(log_->syncs(), 0u);
  EXPECT_EQ(log_->durable_seq(), 99u);
  EXPECT_EQ(SeqsOn(disk_), UpTo(100));
}

TEST_F(LogWriterTest, LazyModesSyncASegmentBeforeItIsSealed) {
  for (SyncMode sync : {SyncMode::kInterval, SyncMode::kNever}) {
    options_.sync = sync;
    options_.sync_interval_ms = 1'000'000;
    Start();
    for (int i = 0; i < 40; ++i) {
      Put(1500);
      Turn();
      const auto& sealed = log_->manifest().sealed;
      if (!sealed.empty()) {
        EXPECT_GE(log_->durable_seq(), sealed.back().last_seq);
      }
    }
    Settle();
    const auto& sealed = log_->manifest().sealed;
    ASSERT_GE(sealed.size(), 3u);
    EXPECT_EQ(DurableSeqs(), UpTo(sealed.back().last_seq));
    StartOver();
  }
}

TEST_F(LogWriterTest, FlushesAndSwapsEnterTheManifestOnceDurable) {
  Start();
  disk_.SetWriteMode(SimFileSystem::WriteMode::kManual);
  Put(100);
  log_->Pump();
  ASSERT_EQ(RoomFor(200), Room::kReady);
  log_->Append(RecordKind::kFlush, 3, "", "", 0);
  log_->Append(RecordKind::kSwap, 1, "", NumberValue(2).view(), 0);
  disk_.CompleteWrite();
  log_->Poll();
  log_->Pump();
  EXPECT_EQ(log_->manifest().databases, DatabaseMap{});
  disk_.CompleteWrite();
  log_->Poll();
  EXPECT_EQ(log_->manifest().databases.flushed[3], 101u);
  EXPECT_EQ(log_->manifest().databases.internal[1], 2);
  EXPECT_EQ(log_->manifest().databases.internal[2], 1);
}

}  // namespace
}  // namespace kvd
