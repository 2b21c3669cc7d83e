// SPDX-License-Identifier: MIT
//
// The log's writer on a full disk.
#include <gtest/gtest.h>

#include <cerrno>

#include "tests/log/log_writer/log_writer_rig.h"
#include "tests/support/sim_file_system.h"

namespace kvd {
namespace {

class LogWriterFullDisk : public LogWriterTest {
 protected:
  // Room for `segments` whole segments beside the reserve and the MANIFEST.
  void SetRoomFor(uint64_t segments) {
    disk_.SetCapacity(kDiskReserveBytes + 6 * 4096 + segments * kSegment);
  }
};

TEST_F(LogWriterFullDisk, RefusesBeforeAnythingIsChanged) {
  SetRoomFor(3);
  Start();
  int puts = 0;
  EXPECT_EQ(Fill(&puts), Room::kDiskFull);
  EXPECT_TRUE(log_->disk_full());
  EXPECT_GT(puts, 200);
  const uint64_t last = log_->last_seq();
  EXPECT_EQ(last, 99u + static_cast<uint64_t>(puts));
  EXPECT_EQ(log_->durable_seq(), last);
  EXPECT_FALSE(log_->failure());
  EXPECT_EQ(DurableSeqs(), UpTo(last));
  EXPECT_EQ(warnings_.size(), 1u);
  // It stays that way without being told again and again.
  for (int i = 0; i < 5; ++i) {
    clock_.AdvanceMs(kDiskFullRetryMs);
    log_->Tick();
    Settle();
  }
  EXPECT_EQ(warnings_.size(), 1u);
  EXPECT_EQ(WaitForRoom(kPutBytes100), Room::kDiskFull);
}

TEST_F(LogWriterFullDisk, RemovalsGoOnFromTheReserve) {
  SetRoomFor(3);
  Start();
  ASSERT_EQ(Fill(), Room::kDiskFull);
  int removals = 0;
  while (TryDelete() == Room::kReady && removals < 1000) {
    ++removals;
    EXPECT_EQ(RoomFor(kPutBytes100), Room::kDiskFull);
    Turn();
  }
  // A sixteenth of the segment, in groups of one record and their headers.
  EXPECT_GE(removals, static_cast<int>(kSegment / 16 / (64 + 40)));
  EXPECT_LT(removals, 100);
  Settle();
  EXPECT_EQ(DurableSeqs(), UpTo(log_->last_seq()));
}

// One group may fill the last segment, but not its reserve.
TEST_F(LogWriterFullDisk, ALargeGroupLeavesTheReserveToo) {
  options_.open_group_bytes_max = 1 << 20;
  SetRoomFor(2);
  Start();
  Put(kSegment / 2);
  Settle();
  for (uint64_t bytes = kSegment; bytes > kSegment / 2; bytes -= 8) {
    const Room room = WaitForRoom(bytes);
    ASSERT_NE(room, Room::kWait);
    if (room != Room::kReady) continue;
    Append(bytes);
    break;
  }
  Settle();
  EXPECT_EQ(log_->last_seq(), 101u);
  EXPECT_TRUE(log_->disk_full());
  EXPECT_EQ(TryDelete(), Room::kReady);
}

TEST_F(LogWriterFullDisk, ResumesByItselfWhenThereIsRoom) {
  SetRoomFor(3);
  Start();
  ASSERT_EQ(Fill(), Room::kDiskFull);
  SetRoomFor(6);
  EXPECT_EQ(WaitForRoom(kPutBytes100), Room::kDiskFull);  // Not noticed yet.
  const auto next = log_->Tick();
  ASSERT_TRUE(next.has_value());
  EXPECT_LE(*next, kDiskFullRetryMs);
  clock_.AdvanceMs(kDiskFullRetryMs);
  log_->Tick();
  Settle();
  EXPECT_FALSE(log_->disk_full());
  EXPECT_EQ(WaitForRoom(kPutBytes100), Room::kReady);
  Append(kPutBytes100);
  Settle();
  EXPECT_EQ(DurableSeqs(), UpTo(log_->last_seq()));
}

// Compaction, which would give room, waits for that.
TEST_F(LogWriterFullDisk, TheManifestIsWrittenThoughNoSegmentCanBePrepared) {
  SetRoomFor(3);
  Start();
  ASSERT_EQ(Fill(), Room::kDiskFull);
  Settle();
  clock_.AdvanceMs(kDiskFullRetryMs);
  log_->Tick();
  ASSERT_EQ(executor_.pending(), 1u) << "another segment was tried";
  uint64_t first_id = 0;
  const uint64_t ticket = log_->ReserveSegmentIds(1, &first_id);
  Settle();
  EXPECT_TRUE(log_->disk_full());
  EXPECT_TRUE(log_->InManifest(ticket));
}

TEST_F(LogWriterFullDisk, UsesSmallerSegmentsForWhatIsLeft) {
  constexpr uint64_t kLarge = 64 << 20;
  options_.segment_bytes = kLarge;
  options_.first_segment_bytes = kLarge;
  disk_.SetCapacity(kLarge + (24 << 20));
  Start();
  EXPECT_EQ(log_->manifest().active->bytes, kLarge);
  ASSERT_TRUE(log_->manifest().prepared.has_value());
  const uint64_t small = log_->manifest().prepared->bytes;
  EXPECT_LT(small, kLarge);
  EXPECT_GE(small, kSmallSegmentBytes);
  EXPECT_FALSE(log_->disk_full());
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(LogWriterFullDisk, ALargeValueThatHasNoRoomBlocksNoSmallOnes) {
  SetRoomFor(6);
  Start();
  EXPECT_EQ(WaitForRoom(1 << 20), Room::kDiskFull);
  EXPECT_EQ(log_->last_seq(), 99u);
  int puts = 0;
  EXPECT_EQ(Fill(&puts), Room::kDiskFull);
  EXPECT_GT(puts, 300);  // More than the first segments had room for.
  Settle();
  EXPECT_EQ(DurableSeqs(), UpTo(log_->last_seq()));
}

// However the disk fills up and where, space that was granted suffices.
TEST_F(LogWriterFullDisk, NeverFailsWhateverItsSize) {
  for (uint64_t pages = 0; pages < 40; ++pages) {
    SCOPED_TRACE(pages);
    disk_.SetCapacity(kDiskReserveBytes + (2 + pages) * 4096);
    Start();
    EXPECT_NE(Fill(), Room::kWait);
    while (TryDelete() == Room::kReady) Turn();
    Settle();
    EXPECT_FALSE(log_->failure());
    EXPECT_EQ(DurableSeqs(), UpTo(log_->last_seq()));
    StartOver();
  }
}

TEST_F(LogWriterFullDisk, AMissingMegabyteForTheManifestIsWaitedFor) {
  Start(/*prepare=*/false);
  executor_.RunOne();  // The segment is there …
  log_->Poll();
  disk_.FailAt(SimFileSystem::Op::kWrite, 0, ENOSPC);
  executor_.RunOne();  // … but not its name.
  log_->Poll();
  EXPECT_FALSE(log_->failure());
  EXPECT_GT(disk_.failures(), 0u);
  EXPECT_NE(RoomFor(100), Room::kReady);
  const auto next = log_->Tick();
  ASSERT_TRUE(next.has_value());
  EXPECT_LE(*next, kDiskFullRetryMs);

  clock_.AdvanceMs(kDiskFullRetryMs);
  log_->Tick();
  Settle();
  EXPECT_EQ(WaitForRoom(100), Room::kReady);
  EXPECT_FALSE(log_->disk_full());
  Append(100);
  Settle();
  EXPECT_EQ(DurableSeqs(), UpTo(100));
}

// A shortage is none of room: nobody is refused, and nothing says "full".
TEST_F(LogWriterFullDisk, AShortageOfDescriptorsIsWaitedFor) {
  using Op = SimFileSystem::Op;
  for (const Op op : {Op::kCreate, Op::kOpen, Op::kSync, Op::kDirectorySync}) {
    for (const int sys_errno : {EMFILE, ENFILE, ENOMEM, EAGAIN}) {
      SCOPED_TRACE(sys_errno);
      warnings_.clear();
      Start(/*prepare=*/false);
      const uint64_t before = disk_.failures();
      disk_.FailAt(op, 0, sys_errno);
      Settle();
      EXPECT_GT(disk_.failures(), before);
      EXPECT_FALSE(log_->failure());
      EXPECT_FALSE(log_->disk_full());
      EXPECT_EQ(RoomFor(100), Room::kWait);
      EXPECT_EQ(warnings_.size(), 1u);
      const auto next = log_->Tick();
      ASSERT_TRUE(next.has_value());
      EXPECT_LE(*next, kDiskFullRetryMs);
      clock_.AdvanceMs(kDiskFullRetryMs);
      log_->Tick();
      Settle();
      EXPECT_EQ(WaitForRoom(100), Room::kReady);
      Append(100);
      Settle();
      EXPECT_EQ(DurableSeqs(), UpTo(100));
      StartOver();
    }
  }
}

// A writer that waits for a larger segment than the prepared one hears when to
// ask again.
TEST_F(LogWriterFullDisk, AShortageHoldsUpALargeGroupForAWhile) {
  Start();
  disk_.FailAt(SimFileSystem::Op::kCreate, 0, EMFILE);
  EXPECT_EQ(RoomFor(2 * kSegment), Room::kWait);
  Settle();
  EXPECT_GT(disk_.failures(), 0u);
  EXPECT_EQ(RoomFor(2 * kSegment), Room::kWait);
  EXPECT_FALSE(log_->Poll());
  clock_.AdvanceMs(kDiskFullRetryMs);
  log_->Tick();
  EXPECT_TRUE(log_->Poll());
  EXPECT_EQ(WaitForRoom(2 * kSegment), Room::kReady);
}

// The mark of a full disk goes, too, when nobody needs a segment.
TEST_F(LogWriterFullDisk, IsNotFullForEverBehindALargeGroup) {
  options_.first_segment_bytes = 4 * 4096;
  Start();
  disk_.FailAt(SimFileSystem::Op::kCreate, 0, ENOSPC);
  disk_.FailAt(SimFileSystem::Op::kReserve, 0, ENOSPC);
  disk_.FailAt(SimFileSystem::Op::kAllocate, 0, ENOSPC,
               SimFileSystem::Repeat::kForever);
  (void)WaitForRoom(kSegment / 2);
  Settle();
  disk_.ClearFailures();
  for (int i = 0; i < 3; ++i) {
    clock_.AdvanceMs(kDiskFullRetryMs);
    log_->Tick();
    Settle();
  }
  EXPECT_FALSE(log_->disk_full());
  EXPECT_EQ(WaitForRoom(kSegment / 2), Room::kReady);
}

TEST_F(LogWriterFullDisk, ExpiryLeavesTheReserveToRemovals) {
  SetRoomFor(3);
  Start();
  ASSERT_EQ(Fill(), Room::kDiskFull);
  while (WaitForRoom(RecordBytes(1, 0), Purpose::kExpiry) == Room::kReady) {
    log_->Append(RecordKind::kExpire, 0, "k", "", 0);
    Turn();
  }
  EXPECT_EQ(TryDelete(), Room::kReady);
}

TEST_F(LogWriterFullDisk, OldSpaceIsGivenBackWhenTheManifestHasNoRoom) {
  int times = 0;
  options_.give_space_back = [&] { ++times; };
  Start(/*prepare=*/false);
  executor_.RunOne();
  log_->Poll();
  EXPECT_EQ(times, 0);
  disk_.FailAt(SimFileSystem::Op::kWrite, 0, ENOSPC);
  executor_.RunOne();
  log_->Poll();
  ASSERT_TRUE(log_->disk_full());
  clock_.AdvanceMs(kDiskFullRetryMs);
  log_->Tick();
  executor_.RunOne();
  EXPECT_EQ(times, 1);
  Settle();
  EXPECT_EQ(WaitForRoom(100), Room::kReady);
  EXPECT_EQ(times, 1);
}

}  // namespace
}  // namespace kvd
