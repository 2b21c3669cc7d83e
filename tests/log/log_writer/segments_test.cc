// SPDX-License-Identifier: MIT
//
// Segments: how they are made, entered, filled and sealed.
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "log/read/leftovers.h"
#include "log/read/sealed_walk.h"
#include "tests/log/log_writer/log_writer_rig.h"
#include "tests/support/sim_file_system.h"

namespace kvd {
namespace {

TEST_F(LogWriterTest, ASegmentIsNamedDurablyBeforeAnyGroupEntersIt) {
  Start(/*prepare=*/false);
  // At no moment does a durable MANIFEST miss a segment with a group.
  for (int i = 0; i < 60; ++i) {
    if (RoomFor(1000) == Room::kReady) Append(1000);
    log_->Pump();
    executor_.RunOne();
    const auto image = disk_.Image({});
    const auto directory = image->OpenDirectory();
    const auto manifest = LoadManifest(*directory);
    ASSERT_TRUE(manifest.ok());
    EXPECT_TRUE(FindLeftovers(*directory, *manifest).ok());
    log_->Poll();
    EXPECT_EQ(DurableSeqs(), UpTo(log_->durable_seq())) << i;
  }
  EXPECT_GT(log_->active_segment(), 2u);
}

TEST_F(LogWriterTest, TheNextSegmentFillsWhileTheLastGroupOfTheFullOneFlies) {
  Start();
  Put(7000);
  Settle();
  disk_.SetWriteMode(SimFileSystem::WriteMode::kManual);
  Put(8000);
  log_->Pump();
  ASSERT_EQ(disk_.pending_writes(), 1u);
  ASSERT_EQ(log_->active_segment(), 1u);

  ASSERT_EQ(RoomFor(2000), Room::kReady);
  Append(2000);
  EXPECT_EQ(log_->active_segment(), 2u);
  Turn();
  Turn();
  // Not sealed, and not written to: the group before is still on its way.
  EXPECT_EQ(log_->manifest().sealed.size(), 0u);
  EXPECT_EQ(disk_.pending_writes(), 1u);
  EXPECT_EQ(log_->groups_written(), 2u);
  // No MANIFEST has disowned it meanwhile.
  EXPECT_EQ(DurableSeqs(), UpTo(100));

  disk_.CompleteWrite();
  log_->Poll();
  ASSERT_EQ(log_->manifest().sealed.size(), 1u);
  EXPECT_EQ(log_->manifest().sealed[0].last_seq, 101u);
  Turn();
  disk_.CompleteWrite();
  Settle();
  EXPECT_EQ(log_->durable_seq(), 102u);
  EXPECT_EQ(DurableSeqs(), UpTo(102));
}

// A second segment may not be left behind while the first is not sealed.
TEST_F(LogWriterTest, TwoSegmentsDoNotRetireAtOnce) {
  Start();
  disk_.SetWriteMode(SimFileSystem::WriteMode::kManual);
  Put(8000);
  log_->Pump();
  EXPECT_EQ(RoomFor(14'000), Room::kReady);
  Append(14'000);
  executor_.RunAll();
  log_->Poll();
  executor_.RunAll();
  log_->Poll();
  EXPECT_EQ(RoomFor(14'000), Room::kWait);
  EXPECT_EQ(log_->active_segment(), 2u);
  disk_.SetWriteMode(SimFileSystem::WriteMode::kAtPoll);
  disk_.CompleteWrite();
  Put(14'000);
  Settle();
  EXPECT_EQ(DurableSeqs(), UpTo(102));
}

TEST_F(LogWriterTest, SealedLinesSayWhatTheSegmentsHold) {
  Start();
  for (int i = 0; i < 40; ++i) {
    Put(1500);
    Turn();
  }
  Settle();
  const Manifest& manifest = log_->manifest();
  ASSERT_GE(manifest.sealed.size(), 3u);
  for (const SealedSegment& segment : manifest.sealed) {
    const auto clean = ReadSealedSegment(
        *directory_, manifest, segment, [](const Group&, uint32_t) {},
        [](const std::string& damage) { ADD_FAILURE() << damage; });
    ASSERT_TRUE(clean.ok());
    EXPECT_TRUE(*clean);
    // The unused rest of the file was given back.
    EXPECT_EQ(disk_.ReadAll(SegmentName(segment.id)).size(), segment.bytes);
  }
  EXPECT_EQ(*LoadManifest(*directory_), manifest);
}

TEST_F(LogWriterTest, AGroupLargerThanASegmentGetsOneOfItsOwn) {
  Start();
  Put(100);
  Put(100'000);
  Settle();
  EXPECT_EQ(log_->durable_seq(), 101u);
  EXPECT_EQ(log_->manifest().sealed.size(), 1u);
  EXPECT_GE(log_->manifest().active->bytes, 100'000u);
  EXPECT_EQ(DurableSeqs(), UpTo(101));
  // The prepared segment that was too small is gone, later ones are normal.
  Put(8000);
  Put(8000);
  Settle();
  EXPECT_EQ(log_->manifest().active->bytes, kSegment);
  EXPECT_EQ(DurableSeqs(), UpTo(103));
  for (const std::string& name : disk_.Names()) {
    const auto id = SegmentIdOf(name);
    EXPECT_TRUE(!id || log_->manifest().Names(*id)) << name << " is left over";
  }
}

// Large groups are worth more without the zeros, small ones with them. What
// comes is taken to be what came: the segment that was prepared while another
// one filled knows of those before it.
TEST_F(LogWriterTest, SegmentsAreZeroedForSmallGroupsOnly) {
  options_.segment_bytes = 8 << 20;
  Start();
  EXPECT_EQ(SegmentsMade(), "zz");
  FillSegments(2, 200'000);
  EXPECT_EQ(SegmentsMade(), "zzzz");
  FillSegments(3, 2 * kZeroingLimitDefault);
  EXPECT_EQ(SegmentsMade(), "zzzzrrr");
  FillSegments(2, 700'000);
  EXPECT_EQ(SegmentsMade(), "zzzzrrrzz");
  EXPECT_EQ(DurableSeqs(), UpTo(log_->last_seq()));
}

// The segments that are left of a flood of large groups are of two, or nearly.
TEST_F(LogWriterTest, SmallGroupsAfterLargeOnesSoonGetZeros) {
  const std::string next = StartWithLargeGroups();
  ASSERT_EQ(SegmentsMade(), "zzrrr");
  const uint64_t left = log_->active_segment();
  ASSERT_EQ(TimesZeroed(next), 0);

  PutSmallGroups(3 * static_cast<int>(kUsualGroups));
  EXPECT_EQ(TimesZeroed(next), 1);
  EXPECT_EQ(SegmentName(log_->active_segment()), next);
  EXPECT_EQ(SegmentsMade(), "zzrrrz");
  // What was not used is given back.
  ASSERT_EQ(log_->manifest().sealed.back().id, left);
  EXPECT_EQ(directory_->Open(SegmentName(left), Directory::OpenMode::kRead)
                .value()
                ->Size()
                .value(),
            log_->manifest().sealed.back().bytes);
  EXPECT_LT(log_->manifest().sealed.back().bytes, options_.segment_bytes / 2);

  PutSmallGroups(3 * static_cast<int>(kUsualGroups));
  EXPECT_EQ(SegmentName(log_->active_segment()), next);
  EXPECT_EQ(DurableSeqs(), UpTo(log_->last_seq()));
}

// While nobody waits, and whatever comes next.
TEST_F(LogWriterTest, ALullAfterLargeGroupsGetsZeros) {
  const std::string next = StartWithLargeGroups();
  clock_.AdvanceMs(options_.idle_declare_ms);
  log_->Tick();
  Settle();
  EXPECT_EQ(TimesZeroed(next), 1);
  EXPECT_EQ(SegmentName(log_->active_segment()), next);
  EXPECT_EQ(SegmentsMade(), "zzrrrz");

  const uint64_t operations = disk_.operations();
  clock_.AdvanceMs(10 * options_.idle_declare_ms);
  log_->Tick();
  Settle();
  EXPECT_EQ(disk_.operations(), operations);
  EXPECT_EQ(DurableSeqs(), UpTo(log_->last_seq()));
}

// The MANIFEST declares what a segment has that was left before its last group
// was declared, so that there is nothing to wake up for.
TEST_F(LogWriterTest, ASegmentThatIsLeftInALullIsNotWaitedFor) {
  const std::string next = StartWithLargeGroups();
  clock_.AdvanceMs(options_.idle_declare_ms);
  log_->Tick();
  log_->Poll();
  Append(1000);
  log_->Pump();
  log_->Poll();
  ASSERT_EQ(log_->durable_seq(), log_->last_seq());
  ASSERT_EQ(TimesZeroed(next), 0);
  Settle();
  ASSERT_EQ(SegmentName(log_->active_segment()), next);

  EXPECT_FALSE(log_->Tick().has_value());
  EXPECT_EQ(DurableSeqs(), UpTo(log_->last_seq()));
}

TEST_F(LogWriterTest, AWriterWaitsForASegmentThatIsBeingZeroed) {
  const std::string next = StartWithLargeGroups();
  const auto put = [&](uint64_t bytes) {
    Append(bytes);
    log_->Pump();
    log_->Poll();
  };
  // Until the job is there, but without running it.
  for (int i = 0; executor_.pending() == 0; ++i) {
    ASSERT_LT(i, 1000);
    put(1000);
  }
  ASSERT_EQ(TimesZeroed(next), 0);
  while (RoomFor(kZeroingLimitDefault) == Room::kReady) {
    put(kZeroingLimitDefault);
  }
  EXPECT_EQ(RoomFor(kZeroingLimitDefault), Room::kWait);
  EXPECT_TRUE(log_->Tick().has_value());
  Settle();
  EXPECT_EQ(TimesZeroed(next), 1);
  EXPECT_EQ(RoomFor(kZeroingLimitDefault), Room::kReady);
  EXPECT_EQ(SegmentName(log_->active_segment()), next);
  EXPECT_EQ(DurableSeqs(), UpTo(log_->last_seq()));
}

TEST_F(LogWriterTest, AFullDiskWhileZeroingIsNoFailure) {
  const std::string next = StartWithLargeGroups();
  disk_.FailAt(SimFileSystem::Op::kWrite, 0, ENOSPC);
  PutSmallGroups(3 * static_cast<int>(kUsualGroups));
  EXPECT_FALSE(log_->failure().has_value());
  EXPECT_EQ(TimesZeroed(next), 1) << "once";
  EXPECT_EQ(SegmentName(log_->active_segment()), next);
  EXPECT_EQ(DurableSeqs(), UpTo(log_->last_seq()));
}

TEST_F(LogWriterTest, AFaultWhileZeroingStopsTheLog) {
  StartWithLargeGroups();
  disk_.FailAt(SimFileSystem::Op::kWrite, 0, EIO);
  for (int i = 0; !log_->failure(); ++i) {
    ASSERT_LT(i, 1000);
    Append(1000);
    Settle();
  }
  EXPECT_EQ(log_->failure()->code(), ErrorCode::kIo);
}

// There is no other segment to enter after the small one that is prepared.
TEST_F(LogWriterTest, SmallGroupsLeaveNothingOnAnAlmostFullDisk) {
  options_.segment_bytes = 8 << 20;
  disk_.SetCapacity(kDiskReserveBytes + 11 * options_.segment_bytes / 2);
  Start();
  const auto prepared_bytes = [this] {
    return log_->manifest().prepared ? log_->manifest().prepared->bytes : 0;
  };
  while (prepared_bytes() == 0 || prepared_bytes() == options_.segment_bytes) {
    Put(2 * kZeroingLimitDefault);
    Settle();
  }
  ASSERT_TRUE(SegmentsMade().ends_with('r'));
  const uint32_t active = log_->active_segment();
  PutSmallGroups(3 * static_cast<int>(kUsualGroups));
  EXPECT_EQ(log_->active_segment(), active);
}

TEST_F(LogWriterTest, ALullGivesTheMemoryOfLargeGroupsBack) {
  options_.segment_bytes = 8 << 20;
  options_.open_group_bytes_max = 1 << 20;
  Start();
  Put(100'000);
  Settle();
  Put(100'000);
  Settle();
  EXPECT_GE(log_->buffer_bytes(), kHugePageBytes);
  clock_.AdvanceMs(options_.idle_declare_ms);
  log_->Tick();
  Settle();
  EXPECT_LE(log_->buffer_bytes(), 2u * 16 * 1024);
}

// Once, while the segment behind the first whole one is made: nobody waits for
// that.
TEST_F(LogWriterTest, WhatZerosAreWorthIsAskedOfTheDisk) {
  options_.segment_bytes = 8 << 20;
  disk_.SetZeroingLimit(100'000);
  Start();
  FillSegments(2, 120'000);
  EXPECT_EQ(SegmentsMade(), "zzzr");
  EXPECT_EQ(log_->zeroing_limit(), 100'000u);
  FillSegments(2, 80'000);
  EXPECT_EQ(SegmentsMade(), "zzzrzz");
  EXPECT_EQ(disk_.zero_trials(), 1u);
}

TEST_F(LogWriterTest, WhatZerosAreWorthIsNotAskedOfAnAlmostFullDisk) {
  disk_.SetZeroingLimit(1000);
  disk_.SetCapacity(40 << 20);
  Start();
  FillSegments(4, 2000);
  EXPECT_EQ(disk_.zero_trials(), 0u);
  EXPECT_EQ(log_->zeroing_limit(), kZeroingLimitDefault);
}

TEST_F(LogWriterTest, ASegmentForOneLargeGroupIsNotZeroed) {
  Start();
  Put(100);
  Put(kZeroingLimitDefault);
  Settle();
  EXPECT_EQ(SegmentsMade(), "zzrz");
  EXPECT_EQ(DurableSeqs(), UpTo(101));
}

// Though small ones are submitted after that was prepared.
TEST_F(LogWriterTest, ASegmentForOneLargeGroupIsNotZeroedLater) {
  Start();
  Put(100);
  Settle();
  ASSERT_EQ(RoomFor(kZeroingLimitDefault), Room::kWait);
  Settle();
  const std::string made = SegmentName(log_->manifest().prepared->id);
  Append(100);
  Put(kZeroingLimitDefault);
  Settle();
  EXPECT_EQ(SegmentName(log_->active_segment()), made);
  EXPECT_EQ(TimesZeroed(made), 0);
  EXPECT_EQ(DurableSeqs(), UpTo(102));
}

TEST_F(LogWriterTest, TheLazyModesZeroNothing) {
  for (const SyncMode sync : {SyncMode::kInterval, SyncMode::kNever}) {
    options_.sync = sync;
    Start();
    const size_t before = SegmentsMade().size();
    FillSegments(3, 1000);
    EXPECT_EQ(SegmentsMade().substr(before - 2), "rrrrr");
    EXPECT_EQ(disk_.zero_trials(), 0u);
    StartOver();
  }
}

// Otherwise a removal might slip in first, and the group would not fit again.
TEST_F(LogWriterTest, ALargeGroupMayEnterItsSegmentAtOnce) {
  for (uint64_t bytes : {kSegment - 300, kSegment, uint64_t{50'000},
                         uint64_t{15 << 20}, uint64_t{16 << 20}}) {
    SCOPED_TRACE(bytes);
    Start();
    Put(100);
    Settle();
    Room room = RoomFor(bytes);
    for (int step = 0; step < 20 && room == Room::kWait; ++step) {
      executor_.RunOne();
      log_->Poll();
      room = RoomFor(bytes);
    }
    ASSERT_EQ(room, Room::kReady);
    EXPECT_FALSE(log_->manifest().prepared) << "not what this test is about";
    EXPECT_EQ(executor_.pending(), 1u);
    Append(bytes);
    Settle();
    EXPECT_EQ(DurableSeqs(), UpTo(101));
    StartOver();
  }
}

TEST_F(LogWriterTest, AnEmptySegmentThatIsTooSmallLeavesNoTrace) {
  Start();
  Put(100'000);  // Before anything entered the first segment.
  Settle();
  EXPECT_TRUE(log_->manifest().sealed.empty());
  EXPECT_FALSE(disk_.Exists(SegmentName(1)));
  EXPECT_EQ(DurableSeqs(), UpTo(100));
}

TEST_F(LogWriterTest, GroupsFillASegmentToItsEnd) {
  options_.open_group_bytes_max = 1 << 20;
  for (uint64_t rest = 0; rest < 80; ++rest) {
    SCOPED_TRACE(rest);
    Start();
    const uint64_t overhead = kSegmentHeaderBytes + kGroupHeaderBytes;
    Put(kSegment - overhead - rest);
    Settle();
    // Wherever it ends, there is room to declare it.
    clock_.AdvanceMs(1000);
    log_->Tick();
    Settle();
    EXPECT_EQ(log_->groups_written(), 2u);
    Put(200);
    Settle();
    clock_.AdvanceMs(1000);
    log_->Tick();
    Settle();
    EXPECT_EQ(DurableSeqs(), UpTo(101));
    StartOver();
  }
}

}  // namespace
}  // namespace kvd
