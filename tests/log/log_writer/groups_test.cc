// SPDX-License-Identifier: MIT
//
// Commit groups: what enters one, when it leaves, when it is durable.
#include <gtest/gtest.h>

#include <map>

#include "tests/log/log_writer/log_writer_rig.h"
#include "tests/log/read/read_log.h"
#include "tests/support/sim_file_system.h"

namespace kvd {
namespace {

TEST_F(LogWriterTest, WaitsForItsFirstSegment) {
  Start(/*prepare=*/false);
  EXPECT_EQ(RoomFor(100), Room::kWait);
  EXPECT_EQ(log_->active_segment(), 0u);
  Settle();
  EXPECT_EQ(RoomFor(100), Room::kReady);
  EXPECT_EQ(log_->active_segment(), 1u);
}

TEST_F(LogWriterTest, WritersWaitForLittleAtTheStart) {
  options_.segment_bytes = 8 << 20;
  options_.first_segment_bytes = 64 << 10;
  Start();
  EXPECT_EQ(log_->manifest().active->bytes, options_.first_segment_bytes);
  EXPECT_EQ(log_->manifest().prepared->bytes, options_.segment_bytes);
  FillSegments(1, 10'000);
  EXPECT_EQ(log_->manifest().active->bytes, options_.segment_bytes);
  EXPECT_EQ(log_->manifest().prepared->bytes, options_.segment_bytes);
  EXPECT_EQ(DurableSeqs(), UpTo(log_->last_seq()));
}

TEST_F(LogWriterTest, AValueLargerThanTheFirstSegmentHasRoomInTheNext) {
  options_.segment_bytes = 1 << 20;
  options_.first_segment_bytes = 64 << 10;
  Start(/*prepare=*/false);
  Put(100'000);
  Settle();
  EXPECT_EQ(log_->manifest().active->bytes, options_.segment_bytes);
  EXPECT_EQ(DurableSeqs(), UpTo(100));
}

TEST_F(LogWriterTest, NumbersFollowTheManifestWithoutGaps) {
  Start();
  EXPECT_EQ(log_->last_seq(), 99u);
  EXPECT_EQ(log_->durable_seq(), 99u);
  EXPECT_EQ(Put(100), 100u);
  EXPECT_EQ(Put(100), 101u);
  EXPECT_EQ(log_->last_seq(), 101u);
}

TEST_F(LogWriterTest, NothingIsDurableBeforeTheDeviceSaysSo) {
  Start();
  disk_.SetWriteMode(SimFileSystem::WriteMode::kManual);
  Put(100);
  EXPECT_FALSE(log_->Poll());
  EXPECT_EQ(Submits(), 0u);
  log_->Pump();
  EXPECT_EQ(Submits(), 1u);
  EXPECT_FALSE(log_->Poll());
  EXPECT_EQ(log_->durable_seq(), 99u);
  EXPECT_TRUE(DurableSeqs().empty());

  disk_.CompleteWrite();
  EXPECT_EQ(log_->durable_seq(), 99u);
  EXPECT_TRUE(log_->Poll());
  EXPECT_EQ(log_->durable_seq(), 100u);
  EXPECT_EQ(DurableSeqs(), UpTo(100));
  EXPECT_FALSE(log_->Poll());
}

TEST_F(LogWriterTest, OneWriteFliesWhileTheNextGroupGrows) {
  Start();
  disk_.SetWriteMode(SimFileSystem::WriteMode::kManual);
  Put(100);
  log_->Pump();
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(RoomFor(100), Room::kReady);
    Append(100);
    log_->Pump();
    EXPECT_EQ(disk_.pending_writes(), 1u);
    EXPECT_EQ(log_->groups_written(), 1u);
  }
  disk_.CompleteWrite();
  EXPECT_TRUE(log_->Poll());
  EXPECT_EQ(log_->durable_seq(), 100u);
  log_->Pump();
  EXPECT_EQ(log_->groups_written(), 2u);
  disk_.CompleteWrite();
  EXPECT_TRUE(log_->Poll());
  EXPECT_EQ(log_->durable_seq(), 105u);
  EXPECT_EQ(DurableSeqs(), UpTo(105));
}

TEST_F(LogWriterTest, CountsGroupsAndTimesTheirFlushesAndWaits) {
  Start();
  disk_.SetWriteMode(SimFileSystem::WriteMode::kManual);
  Put(100);
  clock_.AdvanceMs(1);
  log_->Pump();
  clock_.AdvanceMs(2);
  Append(100);
  Append(100);
  clock_.AdvanceMs(4);
  disk_.CompleteWrite();
  log_->Poll();
  log_->Pump();
  clock_.AdvanceMs(8);
  disk_.CompleteWrite();
  log_->Poll();

  const LogFigures& figures = log_->figures();
  EXPECT_EQ(figures.group_records.count(), 2u);
  EXPECT_EQ(figures.group_records.sum(), 3u);
  EXPECT_EQ(figures.group_records.max(), 2u);
  EXPECT_GE(figures.group_bytes.sum(), 300u);
  // A flush begins with its submission; a wait with the first record.
  EXPECT_EQ(figures.flush_ns.count(), 2u);
  EXPECT_EQ(figures.flush_ns.sum(), (6 + 8) * 1'000'000u);
  EXPECT_EQ(figures.wait_ns.sum(), (7 + 12) * 1'000'000u);
  EXPECT_EQ(figures.wait_ns.max(), 12 * 1'000'000u);

  log_->ResetFigures();
  EXPECT_EQ(log_->figures().flush_ns.count(), 0u);
}

// Two writers that take turns share a flush once they have met.
TEST_F(LogWriterTest, AGroupWaitsForTheWritersOfTheLastOne) {
  options_.gathers = true;
  Start();
  const auto land = [&] {
    clock_.AdvanceNs(100'000);
    log_->Poll();
  };
  Put(100);
  log_->Pump();
  Append(100);
  land();
  // One comes back, as the other is here already.
  log_->Pump();
  EXPECT_TRUE(log_->Gathers());
  EXPECT_EQ(log_->groups_written(), 1u);
  Append(100);
  EXPECT_FALSE(log_->Gathers());
  log_->Pump();
  EXPECT_EQ(log_->groups_written(), 2u);
  land();

  // Next time one of them stays away: the other waits for a flush at most.
  Append(100);
  log_->Pump();
  EXPECT_EQ(log_->groups_written(), 2u);
  clock_.AdvanceNs(100'000);
  EXPECT_FALSE(log_->Gathers());
  log_->Pump();
  EXPECT_EQ(log_->groups_written(), 3u);
  land();

  // And then not at all.
  Append(100);
  EXPECT_FALSE(log_->Gathers());
  log_->Pump();
  EXPECT_EQ(log_->groups_written(), 4u);
}

TEST_F(LogWriterTest, AGroupWaitsForAFlushAtMost) {
  options_.gathers = true;
  Start();
  Put(100);
  Append(100);
  log_->Pump();
  clock_.AdvanceNs(10'000);
  log_->Poll();
  Append(100);
  clock_.AdvanceNs(9'000);
  EXPECT_TRUE(log_->Gathers());
  clock_.AdvanceNs(1'000);
  EXPECT_FALSE(log_->Gathers());
}

// It would only let the device idle: its bytes are what a flush takes.
TEST_F(LogWriterTest, ALargeGroupWaitsForNobody) {
  options_.gathers = true;
  options_.segment_bytes = 8 << 20;
  options_.open_group_bytes_max = 4 << 20;
  Start();
  Put(kLargeGroupBytes / 2);
  Append(100);
  Append(100);
  log_->Pump();
  clock_.AdvanceNs(100'000);
  log_->Poll();
  Append(kLargeGroupBytes / 2);
  EXPECT_TRUE(log_->Gathers());
  Append(kLargeGroupBytes / 2);
  EXPECT_FALSE(log_->Gathers());
}

TEST_F(LogWriterTest, ALargeGroupLeavesAsSoonAsTheDeviceIsFree) {
  options_.segment_bytes = 8 << 20;
  options_.open_group_bytes_max = 4 << 20;
  Start();
  disk_.SetWriteMode(SimFileSystem::WriteMode::kManual);
  for (const uint64_t bytes : {kLargeGroupBytes / 2, kLargeGroupBytes}) {
    SCOPED_TRACE(bytes);
    Put(100);
    log_->Pump();
    const uint64_t groups = log_->groups_written();
    ASSERT_EQ(RoomFor(bytes), Room::kReady);
    Append(bytes);
    disk_.CompleteWrite();
    EXPECT_TRUE(log_->Poll());
    const bool large = bytes == kLargeGroupBytes;
    EXPECT_EQ(disk_.pending_writes(), large ? 1u : 0u);
    EXPECT_EQ(log_->groups_written(), groups + (large ? 1 : 0));
    log_->Pump();
    disk_.CompleteWrite();
    log_->Poll();
  }
  disk_.SetWriteMode(SimFileSystem::WriteMode::kAtPoll);
  EXPECT_EQ(DurableSeqs(), UpTo(103));
}

// Those who are waited for might not join it, and somebody else waits.
TEST_F(LogWriterTest, AFullGroupWaitsForNobody) {
  options_.gathers = true;
  Start();
  disk_.SetWriteMode(SimFileSystem::WriteMode::kManual);
  Put(100);
  Append(100);
  log_->Pump();
  while (RoomFor(1000) == Room::kReady) Append(1000);
  clock_.AdvanceNs(100'000);
  disk_.CompleteWrite();
  log_->Poll();
  ASSERT_TRUE(log_->Gathers());
  EXPECT_EQ(RoomFor(1000), Room::kReady);
  EXPECT_EQ(disk_.pending_writes(), 1u);
}

TEST_F(LogWriterTest, AStopWaitsForNobody) {
  options_.gathers = true;
  Start();
  Put(100);
  Append(100);
  log_->Pump();
  clock_.AdvanceNs(100'000);
  log_->Poll();
  const uint64_t last = Append(100);
  EXPECT_TRUE(log_->Gathers());
  log_->Stop();
  EXPECT_FALSE(log_->Gathers());
  Settle();
  EXPECT_TRUE(log_->stopped());
  EXPECT_EQ(log_->durable_seq(), last);
}

TEST_F(LogWriterTest, AGroupThatOnlyDeclaresIsAFlushAndNoGroup) {
  Start();
  Put(100);
  Settle();
  clock_.AdvanceMs(options_.idle_declare_ms);
  log_->Tick();
  Settle();
  EXPECT_EQ(log_->groups_written(), 2u);
  EXPECT_EQ(log_->figures().group_records.count(), 1u);
  EXPECT_EQ(log_->figures().wait_ns.count(), 1u);
  EXPECT_EQ(log_->figures().flush_ns.count(), 2u);
}

TEST_F(LogWriterTest, InTheLazyModesOnlySyncsAreTimed) {
  options_.sync = SyncMode::kInterval;
  Start();
  Put(100);
  Settle();
  EXPECT_EQ(log_->figures().group_records.count(), 1u);
  EXPECT_EQ(log_->figures().flush_ns.count(), 0u);
  clock_.AdvanceMs(options_.sync_interval_ms);
  log_->Tick();
  Settle();
  EXPECT_EQ(log_->figures().flush_ns.count(), 1u);
  EXPECT_EQ(log_->figures().wait_ns.count(), 0u);
}

TEST_F(LogWriterTest, AFullOpenGroupMakesWritersWait) {
  Start();
  disk_.SetWriteMode(SimFileSystem::WriteMode::kManual);
  Put(100);
  log_->Pump();
  while (RoomFor(1000) == Room::kReady) Append(1000);
  EXPECT_EQ(log_->last_seq(), 100u + 8);  // 8 KiB hold eight of them.
  EXPECT_EQ(RoomFor(1000), Room::kWait);
  EXPECT_EQ(disk_.pending_writes(), 1u);

  disk_.CompleteWrite();
  EXPECT_TRUE(log_->Poll());
  EXPECT_EQ(RoomFor(1000), Room::kReady);
}

TEST_F(LogWriterTest, AGroupLargerThanTheCapGoesAlone) {
  Start();
  Put(100);
  disk_.SetWriteMode(SimFileSystem::WriteMode::kManual);
  // The open group is written first; the large one finds an empty group.
  EXPECT_EQ(RoomFor(10'000), Room::kReady);
  EXPECT_EQ(disk_.pending_writes(), 1u);
  Append(10'000);
  EXPECT_EQ(RoomFor(100), Room::kWait);
}

TEST_F(LogWriterTest, NoGroupMayBeLargerThanTheFormatAllows) {
  Start();
  EXPECT_EQ(RoomFor(kGroupBodyBytesMax + 1), Room::kTooLarge);
}

TEST_F(LogWriterTest, PlacesPointAtTheRecords) {
  Start();
  for (int i = 0; i < 30; ++i) {
    Put(1000 + static_cast<uint64_t>(i) * 7);
    Turn();
  }
  Settle();
  std::map<uint64_t, Place> found;
  const auto manifest = LoadManifest(*directory_);
  ASSERT_TRUE(manifest.ok());
  ASSERT_TRUE(
      ReadLog(
          *directory_, *manifest,
          [&](const Record& record, Place place) { found[record.seq] = place; },
          [](uint64_t) {})
          .ok());
  EXPECT_EQ(found, places_);
  EXPECT_GT(found.rbegin()->second.segment, 1u);
}

}  // namespace
}  // namespace kvd
