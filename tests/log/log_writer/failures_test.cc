// SPDX-License-Identifier: MIT
//
// Failures, and stops.
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/log/log_writer/log_writer_rig.h"
#include "tests/support/sim_file_system.h"

namespace kvd {
namespace {

TEST_F(LogWriterTest, AFailedWriteEndsWritingForGood) {
  Start();
  Put(100);
  Settle();
  disk_.FailAt(SimFileSystem::Op::kComplete, 0, EIO);
  Put(100);
  log_->Pump();
  Put(100);
  EXPECT_TRUE(log_->Poll());
  ASSERT_TRUE(log_->failure().has_value());
  EXPECT_EQ(log_->failure()->code(), ErrorCode::kIo);
  EXPECT_EQ(log_->durable_seq(), 100u);

  // No second try, of the failed group or of any other, nor a clean stop.
  const uint64_t submits = Submits();
  clock_.AdvanceMs(10'000);
  EXPECT_FALSE(log_->Tick().has_value());
  EXPECT_EQ(RoomFor(100), Room::kWait);
  Settle();
  log_->Stop();
  Settle();
  EXPECT_FALSE(log_->stopped());
  EXPECT_EQ(Submits(), submits);
  EXPECT_EQ(log_->durable_seq(), 100u);
  EXPECT_FALSE(LoadManifest(*directory_)->clean);
}

TEST_F(LogWriterTest, AFaultOfTheDeviceIsTheEndForAGroup) {
  for (const int sys_errno : {EIO, EROFS}) {
    Start();
    disk_.FailAt(SimFileSystem::Op::kComplete, 0, sys_errno);
    Put(100);
    Settle();
    clock_.AdvanceMs(2 * kDiskFullRetryMs);
    log_->Tick();
    Settle();
    EXPECT_TRUE(log_->failure().has_value()) << sys_errno;
    EXPECT_EQ(log_->durable_seq(), 99u);
    disk_.ClearFailures();
    StartOver();
  }
}

// Where a file system takes new blocks for each write, space that was reserved
// may be missing: the same bytes go to the same place once there is room, and
// what a failed sync has left of them does not matter.
TEST_F(LogWriterTest, AGroupThatFindsNoRoomIsWrittenAgain) {
  using Op = SimFileSystem::Op;
  for (const Op op : {Op::kSubmit, Op::kComplete}) {
    for (const int sys_errno : {ENOSPC, EDQUOT, ENOMEM}) {
      for (const bool reaches_disk : {false, true}) {
        for (const bool stays_in_cache : {false, true}) {
          SCOPED_TRACE(sys_errno);
          warnings_.clear();
          disk_.SetFailedSync({reaches_disk, stays_in_cache});
          Start();
          Put(100);
          Settle();
          disk_.FailAt(op, 0, sys_errno, SimFileSystem::Repeat::kForever, 512);
          const uint64_t seq = Put(100);
          Settle();
          EXPECT_FALSE(log_->failure());
          EXPECT_EQ(log_->durable_seq(), seq - 1);
          EXPECT_EQ(log_->disk_full(), sys_errno != ENOMEM);
          EXPECT_EQ(warnings_.size(), 1u);
          // Others may come meanwhile; they wait.
          Put(100, 'w');
          for (int i = 0; i < 3; ++i) {
            const auto next = log_->Tick();
            ASSERT_TRUE(next.has_value());
            EXPECT_LE(*next, kDiskFullRetryMs);
            clock_.AdvanceMs(kDiskFullRetryMs);
            log_->Tick();
            Settle();
          }
          EXPECT_EQ(warnings_.size(), 1u) << "once";
          EXPECT_EQ(log_->durable_seq(), seq - 1);

          disk_.ClearFailures();
          clock_.AdvanceMs(kDiskFullRetryMs);
          log_->Tick();
          Settle();
          EXPECT_EQ(log_->durable_seq(), log_->last_seq());
          EXPECT_FALSE(log_->disk_full());
          EXPECT_EQ(DurableSeqs(), UpTo(log_->last_seq()));
          StartOver();
        }
      }
    }
  }
}

TEST_F(LogWriterTest, AStopDoesNotWaitForRoomForever) {
  Start();
  disk_.FailAt(SimFileSystem::Op::kComplete, 0, ENOSPC,
               SimFileSystem::Repeat::kForever);
  Put(100);
  Settle();
  log_->Stop();
  for (int64_t ms = 0; ms < kStopStallMs; ms += kDiskFullRetryMs) {
    EXPECT_FALSE(log_->failure());
    clock_.AdvanceMs(kDiskFullRetryMs);
    log_->Tick();
    Settle();
  }
  ASSERT_TRUE(log_->failure());
  EXPECT_EQ(log_->failure()->code(), ErrorCode::kNoSpace);
  EXPECT_FALSE(log_->stopped());
}

TEST_F(LogWriterTest, AStopIsCleanWhenRoomComesInTime) {
  Start();
  disk_.FailAt(SimFileSystem::Op::kComplete, 0, ENOSPC);
  Put(100);
  Settle();
  log_->Stop();
  clock_.AdvanceMs(kDiskFullRetryMs);
  log_->Tick();
  Settle();
  EXPECT_TRUE(log_->stopped());
  EXPECT_EQ(log_->durable_seq(), 100u);
}

// A lazy mode keeps no buffers of what waits for a sync: a write may be tried
// again, a sync may not.
TEST_F(LogWriterTest, ALazyModeWritesAgainAndDoesNotSyncAgain) {
  options_.sync = SyncMode::kInterval;
  Start();
  disk_.FailAt(SimFileSystem::Op::kComplete, 0, ENOSPC);
  Put(100);
  Settle();
  EXPECT_FALSE(log_->failure());
  clock_.AdvanceMs(kDiskFullRetryMs);
  log_->Tick();
  Settle();
  EXPECT_EQ(log_->written_seq(), 100u);
  EXPECT_EQ(log_->durable_seq(), 100u);
  Put(100);
  Settle();
  disk_.FailAt(SimFileSystem::Op::kComplete, 0, ENOSPC);
  clock_.AdvanceMs(1000);
  log_->Tick();
  Settle();
  EXPECT_TRUE(log_->failure().has_value());
  EXPECT_EQ(log_->durable_seq(), 100u);
}

TEST_F(LogWriterTest, AFailedSyncOfALazyModeFailsTheLog) {
  options_.sync = SyncMode::kInterval;
  Start();
  Put(100);
  Settle();
  disk_.FailAt(SimFileSystem::Op::kComplete, 0, EIO);
  clock_.AdvanceMs(1000);
  log_->Tick();
  Settle();
  EXPECT_TRUE(log_->failure().has_value());
  EXPECT_EQ(log_->durable_seq(), 99u);
}

TEST_F(LogWriterTest, ADeviceErrorOfTheManifestFailsTheLog) {
  Start(/*prepare=*/false);
  executor_.RunOne();
  log_->Poll();
  disk_.FailAt(SimFileSystem::Op::kSync, 0, EIO);
  executor_.RunOne();
  EXPECT_TRUE(log_->Poll());
  ASSERT_TRUE(log_->failure().has_value());
  EXPECT_EQ(log_->failure()->code(), ErrorCode::kIo);
}

TEST_F(LogWriterTest, ADeviceErrorOfPreparationFailsTheLog) {
  Start();
  disk_.FailAt(SimFileSystem::Op::kAllocate, 0, EIO,
               SimFileSystem::Repeat::kForever);
  while (!log_->failure() && log_->last_seq() < 200) {
    if (WaitForRoom(1000) != Room::kReady) break;
    Append(1000);
    Turn();
  }
  EXPECT_TRUE(log_->failure().has_value());
}

// --- Stopping ----------------------------------------------------------------

TEST_F(LogWriterTest, AStopSealsEverythingInEveryMode) {
  for (SyncMode sync :
       {SyncMode::kAlways, SyncMode::kInterval, SyncMode::kNever}) {
    for (int puts = 0; puts < 25; ++puts) {
      SCOPED_TRACE(puts);
      options_.sync = sync;
      Start();
      for (int i = 0; i < puts; ++i) {
        Put(1500);
        if (i % 3 == 0) Turn();
      }
      log_->Stop();
      Settle();
      ASSERT_TRUE(log_->stopped());
      const Manifest manifest = *LoadManifest(*directory_);
      EXPECT_TRUE(manifest.clean);
      EXPECT_TRUE(manifest.Live().empty());
      EXPECT_EQ(manifest.next_seq, 100u + static_cast<uint64_t>(puts));
      EXPECT_EQ(DurableSeqs(), UpTo(manifest.next_seq - 1));
      // Nothing is left beside what counts.
      EXPECT_EQ(disk_.Names().size(), manifest.sealed.size() + 2);
      StartOver();
    }
  }
}

// Stopped at every moment: before the first segment, while one is prepared or
// named, while a group flies and another one is open.
TEST_F(LogWriterTest, AStopUnderLoadCompletesFromAnyState) {
  for (int steps = 0; steps < 120; ++steps) {
    SCOPED_TRACE(steps);
    Start(/*prepare=*/false);
    for (int step = 0; step < steps; ++step) {
      switch (step % 4) {
        case 0:
        case 2:
          if (RoomFor(3000) == Room::kReady) Append(3000);
          log_->Pump();
          break;
        case 1:
          executor_.RunOne();
          break;
        case 3:
          log_->Poll();
          break;
      }
    }
    const uint64_t last = log_->last_seq();
    log_->Stop();
    EXPECT_EQ(RoomFor(100), Room::kWait);
    Settle();
    ASSERT_TRUE(log_->stopped());
    EXPECT_EQ(log_->last_seq(), last);
    EXPECT_EQ(log_->durable_seq(), last);
    EXPECT_TRUE(LoadManifest(*directory_)->clean);
    EXPECT_EQ(DurableSeqs(), UpTo(last));
    StartOver();
  }
}

TEST_F(LogWriterTest, AStopThatCannotBeRecordedIsUncleanAndComplete) {
  Start();
  Put(100);
  Settle();
  disk_.FailAt(SimFileSystem::Op::kExchange, 0, EIO);
  log_->Stop();
  Settle();
  EXPECT_TRUE(log_->stopped());
  EXPECT_EQ(warnings_.size(), 1u);
  EXPECT_FALSE(LoadManifest(*directory_)->clean);
  EXPECT_EQ(DurableSeqs(), UpTo(100));
}

TEST_F(LogWriterTest, AStopOnAFullDiskCompletes) {
  disk_.SetCapacity(kDiskReserveBytes + 4 * 4096 + 3 * kSegment);
  Start();
  ASSERT_EQ(Fill(), Room::kDiskFull);
  log_->Stop();
  Settle();
  EXPECT_TRUE(log_->stopped());
  EXPECT_TRUE(LoadManifest(*directory_)->clean);
  EXPECT_EQ(DurableSeqs(), UpTo(log_->last_seq()));
}

}  // namespace
}  // namespace kvd
