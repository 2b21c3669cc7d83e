// SPDX-License-Identifier: MIT
//
// Compaction: what is kept, what comes back, and what happens when the disk
// does not help.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>
#include <vector>

#include "log/format/manifest.h"
#include "store/background/compaction_job.h"
#include "store/background/compaction_plan.h"
#include "tests/store/background/compaction_rig.h"
#include "tests/store/promises/promises.h"

namespace kvd {
namespace {

TEST_F(Compaction, GetsTheSpaceOfDeadRecordsBack) {
  Open();
  Fill(200, 7);
  const uint64_t before = BytesOnDisk();
  m().Compact();
  ExpectIntact();
  EXPECT_EQ(store().Stats().reclaimable_bytes, 0u);
  EXPECT_GT(status().last_reclaimed_bytes, 300'000u);
  EXPECT_LE(BytesOnDisk(), before - status().last_reclaimed_bytes);
  EXPECT_EQ(status().errors, 0u);
  Reopen();
  ExpectIntact();
}

TEST_F(Compaction, OfNothingIsDoneAtOnce) {
  Open();
  m().Compact();
  EXPECT_EQ(status().runs_ended, 1u);
  EXPECT_EQ(status().last_reclaimed_bytes, 0u);
}

TEST_F(Compaction, DropsATombstoneWithWhatItHides) {
  Open();
  m().Put("gone", "1");
  Roll();
  m().Delete("gone");
  Roll();
  m().Compact();
  Roll();
  m().Compact();
  EXPECT_EQ(store().Stats().reclaimable_bytes, 0u);
  machine_.reset();
  for (const std::string& name : disk_.Names()) {
    if (SegmentIdOf(name)) {
      EXPECT_EQ(disk_.ReadAll(name).find("gone"), std::string::npos) << name;
    }
  }
  Open();
  ExpectIntact();
}

// The segment with the older put is not compacted: without the tombstone the
// key would come back.
TEST_F(Compaction, KeepsATombstoneWhileAnOlderPutIsThere) {
  Open();
  m().Put("gone", "1");
  Roll();
  m().Delete("gone");
  Roll();
  const std::vector<uint64_t> sealed = store().SealedSegments();
  ASSERT_GE(sealed.size(), 2u);
  m().Compact({sealed[1]});
  ExpectIntact();
  Reopen();
  ExpectIntact();
  EXPECT_EQ(m().Get("gone"), std::nullopt);
}

TEST_F(Compaction, ExpiredKeysStayExpired) {
  Open();
  m().Put("soon", "1", m().clock().WallMs() + 10);
  Roll();
  m().AdvanceMs(20);
  m().Tick();
  Roll();
  const std::vector<uint64_t> sealed = store().SealedSegments();
  m().Compact({sealed.back()});
  Reopen();
  // Somebody set the clock back.
  m().clock().SetWallMs(1);
  EXPECT_EQ(m().Get("soon"), std::nullopt);
  ExpectIntact();
}

TEST_F(Compaction, KeepsDeadlinesAndRevisions) {
  Open();
  m().Put("later", "1", m().clock().WallMs() + 100'000);
  Fill(30, 3);
  m().Compact();
  Reopen();
  ExpectIntact();  // Revisions and deadlines are part of the state.
}

TEST_F(Compaction, FlushedDatabasesDoNotComeBack) {
  Open();
  Fill(20, 20);
  m().Flush(0);
  Fill(12, 3);
  m().Compact();
  ExpectIntact();
  EXPECT_EQ(store().Stats().reclaimable_bytes, 0u);
  Reopen();
  ExpectIntact();
}

TEST_F(Compaction, MovesLargeValues) {
  Open();
  m().Put("large", std::string(90'000, 'x'));
  m().Put("large too", std::string(40'000, 'y'));
  m().Put("large too", std::string(50'000, 'z'));
  Fill(20, 2);
  m().Compact();
  ExpectIntact();
  Reopen();
  ExpectIntact();
}

TEST_F(Compaction, MergesWhatRestartsLeave) {
  for (int life = 0; life < 6; ++life) {
    Open();
    m().Put(fmt::format("key{}", life), "x");
    m().Settle();
    m().Stop();
    machine_.reset();
  }
  Open();
  ASSERT_GE(store().SealedSegments().size(), 6u);
  m().Compact();
  EXPECT_EQ(store().SealedSegments().size(), 1u);
  ExpectIntact();
}

TEST_F(Compaction, RunsByItselfWhenSegmentsAreWorthIt) {
  StoreOptions options = SmallStore();
  options.compaction.interval_ms = 1000;
  Open(options);
  Fill(60, 3);
  m().AdvanceMs(1001);
  for (int i = 0; i < 500 && status().runs_ended == 0; ++i) {
    m().Tick();
    m().Turn();
  }
  EXPECT_EQ(status().runs_ended, 1u);
  EXPECT_GT(status().reclaimed_bytes, 0u);
  ExpectIntact();
}

TEST_F(Compaction, KeepsToItsRate) {
  StoreOptions options = SmallStore();
  options.compaction.rate_bytes_per_s = 1000;
  Open(options);
  Fill(60, 3);
  store().Compact();
  for (int i = 0; i < 500; ++i) {
    m().Tick();
    m().Turn();
  }
  // No time has passed: a first piece at the most.
  EXPECT_LE(status().bytes_done, 16u * 1024);
  EXPECT_TRUE(status().running);
  m().AdvanceMs(1'000'000);
  for (int i = 0; i < 500; ++i) {
    m().Tick();
    m().Turn();
    m().AdvanceMs(100'000);
  }
  EXPECT_FALSE(status().running);
  ExpectIntact();
}

// Garbage that is made faster than the timer and the rate would get it back
// does not grow for ever.
TEST_F(Compaction, KeepsUpWithGarbage) {
  StoreOptions options = SmallStore();
  options.compaction.interval_ms = 3'600'000;
  options.compaction.rate_bytes_per_s = 16 << 10;
  Open(options);
  uint64_t most_bytes = 0;
  for (int i = 0; i < 6000; ++i) {
    // 3 KiB in 50 ms: four times the rate.
    m().Put(fmt::format("key{}", i % 10), std::string(3000, 'v'));
    m().AdvanceMs(50);
    for (int turn = 0; turn < 4; ++turn) {
      m().Turn();
      m().Tick();
    }
    most_bytes = std::max(most_bytes, store().Stats().sealed_bytes);
  }
  EXPECT_GT(status().runs_ended, 1u);
  // Of the 18 MB that were written.
  EXPECT_LT(most_bytes, 8 * kSegmentsPerJob * options.segment_bytes);
}

TEST_F(Compaction, TheLoopHandlesABoundedNumberOfRecordsAtOnce) {
  StoreOptions options = SmallStore();
  options.segment_bytes = 64 << 10;
  options.open_group_bytes_max = 32 << 10;
  Open(options);
  for (int i = 0; i < 4000; ++i) {
    m().Put(fmt::format("key{}", i % 600), "small");
    if (i % 700 == 0) m().Settle();
  }
  m().Settle();
  m().Compact();
  EXPECT_GT(status().last_reclaimed_bytes, 0u);
  EXPECT_GT(status().largest_slice, kCompactionRecordsPerSlice / 2);
  EXPECT_LE(status().largest_slice, kCompactionRecordsPerSlice);
}

TEST_F(Compaction, AnotherRunFollowsWhenAskedMeanwhile) {
  Open();
  Fill(60, 3);
  m().maintenance().set_auto_run(false);
  const uint64_t first = store().Compact();
  EXPECT_EQ(store().Compact(), first + 1);
  EXPECT_EQ(store().Compact(), first + 1);
  m().maintenance().set_auto_run(true);
  for (int i = 0; i < 500 && status().runs_ended < first + 1; ++i) {
    m().maintenance().RunOne();
    m().Turn();
  }
  EXPECT_EQ(status().runs_ended, first + 1);
  EXPECT_FALSE(status().running);
}

TEST_F(Compaction, GivesUpCleanlyOnAFullDisk) {
  uint64_t errors = 0;
  for (const SimFileSystem::Op op :
       {SimFileSystem::Op::kCreate, SimFileSystem::Op::kWrite}) {
    for (uint64_t nth = 0; nth < 6; ++nth) {
      Open();
      Fill(60, 20);
      disk_.FailAt(op, nth, ENOSPC);
      m().Compact();
      disk_.ClearFailures();
      EXPECT_FALSE(store().failure());
      errors += status().errors;
      ExpectIntact();
      // When there is room again it goes on by itself or when asked.
      m().AdvanceMs(2000);
      m().Compact();
      EXPECT_EQ(status().last_error, "");
      EXPECT_EQ(store().Stats().reclaimable_bytes, 0u);
      ExpectIntact();
      machine_.reset();
    }
  }
  EXPECT_GE(errors, 2u);
}

TEST_F(Compaction, ADiskFaultInItsOwnFilesHarmsNobody) {
  Open();
  Fill(60, 20);
  m().maintenance().set_auto_run(false);
  store().Compact();
  // Of the compaction's own file: nothing else syncs meanwhile.
  for (int i = 0; i < 200 && status().errors == 0; ++i) {
    disk_.FailAt(SimFileSystem::Op::kSync, 0, EIO);
    m().maintenance().RunOne();
    disk_.ClearFailures();
    m().Turn();
  }
  EXPECT_EQ(status().errors, 1u);
  EXPECT_FALSE(store().failure());
  m().maintenance().set_auto_run(true);
  m().maintenance().RunAll();
  ExpectIntact();
  m().Put("after", "1");
  m().Compact();
  EXPECT_EQ(status().last_error, "");
  ExpectIntact();
}

// By the time that its damage is found, a new segment has most of its records.
TEST_F(Compaction, ALargeVictimWithDamageAtItsEndStays) {
  Open(LargeSegments());
  FillLargeSegment();
  const std::vector<uint64_t> sealed = store().SealedSegments();
  DamageTheEndOf(sealed.front());
  const auto segments_on_disk = [&] {
    std::vector<std::string> names = disk_.Names();
    std::erase_if(names, [](const auto& name) { return !SegmentIdOf(name); });
    return names;
  };
  const std::vector<std::string> before = segments_on_disk();
  m().maintenance().set_auto_run(false);
  const uint64_t run = store().CompactSegments({sealed.front()});
  size_t most = 0;
  for (int i = 0; i < 500 && status().runs_ended < run; ++i) {
    m().maintenance().RunOne();
    m().Turn();
    most = std::max(most, segments_on_disk().size());
  }
  EXPECT_EQ(status().runs_ended, run);
  EXPECT_EQ(status().errors, 1u);
  EXPECT_EQ(store().Stats().damaged_segments, 1u);
  EXPECT_EQ(store().SealedSegments(), sealed);
  EXPECT_GT(most, before.size());
  EXPECT_EQ(segments_on_disk(), before);
  ExpectIntact();
}

TEST_F(Compaction, StopsInTheMiddle) {
  for (int steps = 0; steps < 40; steps += 3) {
    Open();
    Fill(40, 3);
    m().maintenance().set_auto_run(false);
    store().Compact();
    for (int i = 0; i < steps; ++i) {
      m().maintenance().RunOne();
      m().Turn();
    }
    EXPECT_TRUE(m().Stop());
    machine_.reset();
    Open();
    ExpectIntact();
    // What the run had written is gone.
    m().Turn();
    const size_t segments = store().SealedSegments().size();
    size_t files = 0;
    for (const std::string& name : disk_.Names()) {
      if (SegmentIdOf(name)) ++files;
    }
    EXPECT_LE(files, segments + 2);
    machine_.reset();
  }
}

TEST_F(Compaction, HistoryBelowWhatItRemovedIsIncomplete) {
  Open();
  Fill(60, 3);
  m().Compact();
  const Result<Manifest> manifest =
      DecodeManifest(disk_.ReadAll(kManifestName), "MANIFEST");
  ASSERT_TRUE(manifest);
  EXPECT_GT(manifest->history_floor, 0u);
  EXPECT_LE(manifest->history_floor, store().last_seq());
}

TEST_F(Compaction, KeysThatComeAndGoLeaveNothing) {
  Open();
  for (int i = 0; i < 20; ++i) m().Put(fmt::format("stays{}", i), "x");
  for (int round = 0; round < 40; ++round) {
    for (int i = 0; i < 60; ++i) {
      m().Put(fmt::format("short{}-{}", round, i), std::string(40, 'x'));
      m().Delete(fmt::format("short{}-{}", round, i));
    }
    m().Settle();
    m().Compact();
  }
  const StoreStats stats = store().Stats();
  EXPECT_EQ(stats.reclaimable_bytes, 0u);
  EXPECT_LT(stats.sealed_bytes, 8u * 1024);
  ExpectIntact();
}

TEST_F(Compaction, KeepsItsPromises) {
  EXPECT_EQ(CheckDamagedVictimStays(), "");
  EXPECT_EQ(CheckRemovalHidesWhatIsReadLater(), "");
  EXPECT_EQ(CheckUsageIsExact(), "");
  EXPECT_EQ(CheckHeadsAreRight(), "");
  EXPECT_EQ(CheckOutputIdsAreGivenOut(), "");
  EXPECT_EQ(CheckStaleHintIsNotBelieved(), "");
}

}  // namespace
}  // namespace kvd
