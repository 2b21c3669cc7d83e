// SPDX-License-Identifier: MIT
//
// Compaction: what is chosen, what is kept, what comes back, and what happens
// when the disk does not help.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "log/format/hint.h"
#include "log/format/manifest.h"
#include "log/format/segment.h"
#include "log/log_writer.h"
#include "log/read/chunk_reader.h"
#include "log/read/sealed_cursor.h"
#include "store/background/compaction_job.h"
#include "store/background/compaction_plan.h"
#include "store/background/hint_writer.h"
#include "store/background/shadowed_segments.h"
#include "tests/store/promises/machine.h"
#include "tests/store/promises/promises.h"

namespace kvd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// --- What is chosen ---------------------------------------------------------

SegmentFacts Facts(uint64_t id, uint64_t bytes, uint64_t gain_bytes) {
  SegmentFacts facts;
  facts.id = id;
  facts.bytes = bytes;
  facts.gain_bytes = gain_bytes;
  facts.live_bytes = bytes - gain_bytes;
  facts.first_seq = 100 * id;
  facts.last_seq = 100 * id + 99;
  return facts;
}

PlanRules Rules(CompactionMode mode) {
  PlanRules rules;
  rules.mode = mode;
  rules.segment_bytes = 1 << 20;
  rules.space_bytes = UINT64_MAX;
  return rules;
}

constexpr uint64_t kFull = 1 << 20;

TEST(CompactionPlan, TakesWhatIsWorthItOldestFirst) {
  const std::vector<SegmentFacts> segments = {
      Facts(3, kFull, kFull / 2), Facts(1, kFull, kFull / 2),
      Facts(2, kFull, kFull / 10), Facts(4, kFull, 0)};
  EXPECT_THAT(ChooseVictims(segments, Rules(CompactionMode::kTimer)),
              ElementsAre(1, 3));
  EXPECT_THAT(ChooseVictims(segments, Rules(CompactionMode::kAsked)),
              ElementsAre(1, 2, 3));
}

TEST(CompactionPlan, AJobIsBounded) {
  std::vector<SegmentFacts> segments;
  for (uint64_t id = 1; id <= 100; ++id) {
    segments.push_back(Facts(id, kFull, kFull / 2));
  }
  EXPECT_EQ(ChooseVictims(segments, Rules(CompactionMode::kAsked)).size(),
            kSegmentsPerJob);
  // A larger one goes alone.
  segments = {Facts(1, 100 * kFull, kFull), Facts(2, kFull, kFull)};
  EXPECT_THAT(ChooseVictims(segments, Rules(CompactionMode::kAsked)),
              ElementsAre(1));
}

TEST(CompactionPlan, MergesSmallNeighbours) {
  std::vector<SegmentFacts> segments;
  for (uint64_t id = 1; id < kSmallSegmentsToMerge; ++id) {
    segments.push_back(Facts(id, 1000, 0));
  }
  EXPECT_THAT(ChooseVictims(segments, Rules(CompactionMode::kTimer)),
              IsEmpty());
  segments.push_back(Facts(kSmallSegmentsToMerge, 1000, 0));
  EXPECT_EQ(ChooseVictims(segments, Rules(CompactionMode::kTimer)).size(),
            kSmallSegmentsToMerge);
}

TEST(CompactionPlan, LeavesHistoryAndWhatIsExcludedAlone) {
  std::vector<SegmentFacts> segments = {
      Facts(1, kFull, kFull), Facts(2, kFull, kFull), Facts(3, kFull, kFull)};
  PlanRules rules = Rules(CompactionMode::kAsked);
  rules.history_bytes = kFull + 1;
  EXPECT_THAT(ChooseVictims(segments, rules), ElementsAre(1));
  segments[0].excluded = true;
  EXPECT_THAT(ChooseVictims(segments, rules), IsEmpty());
}

TEST(CompactionPlan, TakesWhatFitsOnTheDisk) {
  const std::vector<SegmentFacts> segments = {Facts(1, kFull, kFull / 10),
                                              Facts(2, kFull, kFull),
                                              Facts(3, kFull, kFull / 2)};
  PlanRules rules = Rules(CompactionMode::kAsked);
  rules.space_bytes = 0;
  EXPECT_THAT(ChooseVictims(segments, rules), ElementsAre(2));
  rules.mode = CompactionMode::kDanger;
  rules.space_bytes = OutputBytesMax(kFull / 2);
  EXPECT_THAT(ChooseVictims(segments, rules), ElementsAre(2, 3));
}

// --- What is done -----------------------------------------------------------

class Compaction : public testing::Test {
 protected:
  void Open(StoreOptions options = SmallStore()) {
    machine_ = std::make_unique<Machine>(&disk_, &history_, options);
    const Result<void> opened = machine_->Open();
    ASSERT_TRUE(opened) << opened.error().message();
  }
  void Reopen(StoreOptions options = SmallStore()) {
    machine_.reset();
    Open(std::move(options));
  }
  Machine& m() { return *machine_; }
  Store& store() { return machine_->store(); }
  const CompactionStatus& status() { return store().compaction(); }

  // Overwrites `keys` keys, `puts` times in all.
  void Fill(int puts, int keys, size_t bytes = 2000) {
    for (int i = 0; i < puts; ++i) {
      m().Put(fmt::format("key{}", i % keys),
              std::string(bytes, static_cast<char>('a' + i % 26)));
      m().Settle();
    }
  }
  // Moves on to the next segment.
  void Roll() {
    const size_t before = store().SealedSegments().size();
    for (int i = 0; i < 20 && store().SealedSegments().size() == before; ++i) {
      m().Put("filler", std::string(2000, static_cast<char>('a' + i)));
      m().Settle();
    }
  }
  // One that is read in several pieces, and nothing else sealed.
  static StoreOptions LargeSegments() {
    StoreOptions options = SmallStoreWithHints();
    options.segment_bytes = 3 << 20;
    return options;
  }
  void FillLargeSegment() {
    for (int i = 0; i < 30 && store().SealedSegments().empty(); ++i) {
      m().Put(fmt::format("key{}", i), std::string(300'000, 'a'));
      m().Settle();
    }
    ASSERT_EQ(store().SealedSegments().size(), 1u);
  }
  // In the value of its last record.
  void DamageTheEndOf(uint64_t segment) {
    const std::string name = SegmentName(segment);
    const size_t written = disk_.ReadAll(name).find_last_not_of('\0') + 1;
    ASSERT_GT(written, 2 * kChunkBytes);
    disk_.Flip(name, 8 * (written - 100));
  }
  void ExpectIntact() { EXPECT_EQ(m().Dump(), history_.states.back()); }
  uint64_t BytesOnDisk() {
    uint64_t bytes = 0;
    for (const std::string& name : disk_.Names()) {
      if (SegmentIdOf(name)) bytes += disk_.ReadAll(name).size();
    }
    return bytes;
  }

  SimFileSystem disk_;
  History history_;
  std::unique_ptr<Machine> machine_;
};

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

// --- Hints ------------------------------------------------------------------

class Hints : public Compaction {
 protected:
  Manifest ManifestOnDisk() {
    return *DecodeManifest(disk_.ReadAll(kManifestName), "MANIFEST");
  }
  // Until every segment that the MANIFEST names has a hint.
  void AwaitHints() {
    for (int i = 0; i < 2000 && !AllHinted(); ++i) {
      m().Tick();
      m().Turn();
    }
    ASSERT_TRUE(AllHinted());
  }
  bool AllHinted() {
    for (const uint64_t id : store().SealedSegments()) {
      if (!disk_.Exists(HintName(id))) return false;
    }
    return true;
  }
  void SetFreeBytes(uint64_t bytes) {
    constexpr uint64_t kPlenty = UINT64_C(1) << 40;
    disk_.SetCapacity(kPlenty);
    disk_.SetCapacity(kPlenty - *disk_.OpenDirectory()->FreeBytes() + bytes);
  }
  std::vector<uint64_t> HintsOnDisk() {
    std::vector<uint64_t> ids;
    for (const std::string& name : disk_.Names()) {
      if (const auto id = HintIdOf(name)) ids.push_back(*id);
    }
    return ids;
  }
  // The key lives and dies in the second segment; the first one has dead puts
  // of another key. The removal is in the third. Returns their ids.
  std::vector<uint64_t> KeyOfOneSegment() {
    m().Put("twice", "1");
    m().Put("twice", "2");
    Roll();
    m().Put("gone", "1");
    Roll();
    m().Delete("gone");
    Roll();
    const std::vector<uint64_t> sealed = store().SealedSegments();
    EXPECT_GE(sealed.size(), 3u);
    return {sealed.begin(), sealed.begin() + 3};
  }
  bool IsOnDisk(std::string_view key) {
    for (const uint64_t id : store().SealedSegments()) {
      if (disk_.ReadAll(SegmentName(id)).find(key) != std::string::npos) {
        return true;
      }
    }
    return false;
  }
  // As anybody makes it who reads the segment.
  std::string HintByScanning(const SealedSegment& segment) {
    const Manifest manifest = ManifestOnDisk();
    const std::unique_ptr<SimFileSystem> disk = disk_.Clone();
    disk->Remove(HintName(segment.id));
    const std::unique_ptr<Directory> directory = disk->OpenDirectory();
    HintBuilder builder;
    SealedCursor cursor(*directory, manifest.uuid, {segment}, 1000);
    while (!cursor.done()) {
      if (!cursor.Step()) return "cannot be read";
      for (size_t i = 0; i < cursor.records().size(); ++i) {
        builder.Add(cursor.records()[i], cursor.offsets()[i]);
      }
    }
    if (!builder.Write(*directory, manifest.uuid, segment)) return "";
    return disk->ReadAll(HintName(segment.id));
  }
  void ExpectHintsAsByScanning() {
    for (const SealedSegment& segment : ManifestOnDisk().sealed) {
      ASSERT_TRUE(disk_.Exists(HintName(segment.id))) << segment.id;
      EXPECT_EQ(disk_.ReadAll(HintName(segment.id)), HintByScanning(segment));
    }
  }
};

TEST_F(Hints, EverySealedSegmentGetsOne) {
  Open(SmallStoreWithHints());
  Fill(60, 20);
  AwaitHints();
  ASSERT_GE(store().SealedSegments().size(), 5u);
  ExpectHintsAsByScanning();
  m().Compact();
  ExpectHintsAsByScanning();
  ExpectIntact();
}

TEST_F(Hints, SegmentsFromBeforeTheStartGetOneToo) {
  Open();
  Fill(60, 20);
  m().Compact();
  ASSERT_THAT(HintsOnDisk(), IsEmpty());
  Reopen(SmallStoreWithHints());
  AwaitHints();
  ExpectHintsAsByScanning();
}

TEST_F(Hints, CompactionWritesThoseOfItsSegmentsItself) {
  Open(SmallStoreWithHints());
  Fill(60, 20);
  AwaitHints();
  m().maintenance().set_auto_run(false);
  const uint64_t run = store().Compact();
  bool installed = false;
  for (int i = 0; i < 500 && !installed; ++i) {
    m().maintenance().RunOne();
    m().Turn();
    for (const SealedSegment& segment : ManifestOnDisk().sealed) {
      installed |= segment.kind == SegmentKind::kCompacted;
    }
  }
  ASSERT_TRUE(installed);
  EXPECT_LT(status().runs_ended, run);
  ExpectHintsAsByScanning();
}

TEST_F(Hints, OfRetiredSegmentsAreRemoved) {
  Open(SmallStoreWithHints());
  Fill(200, 7);
  AwaitHints();
  const size_t before = HintsOnDisk().size();
  m().Compact();
  AwaitHints();
  EXPECT_LT(HintsOnDisk().size(), before);
  const std::vector<uint64_t> sealed = store().SealedSegments();
  EXPECT_THAT(HintsOnDisk(), testing::UnorderedElementsAreArray(sealed));
}

TEST_F(Hints, OfSegmentsGivenUpAreRemoved) {
  Open(SmallStoreWithHints());
  Fill(60, 20);
  AwaitHints();
  const std::vector<uint64_t> before = HintsOnDisk();
  // The second victim is damaged: by then the first new segment has a hint.
  disk_.Flip(SegmentName(store().SealedSegments().back()), 8 * 5000);
  m().Compact(store().SealedSegments());
  EXPECT_EQ(store().Stats().damaged_segments, 1u);
  AwaitHints();
  EXPECT_EQ(HintsOnDisk(), before);
}

TEST_F(Hints, ATombstoneGoesWhenOtherKeysAloneAreHidden) {
  Open(SmallStoreWithHints());
  const std::vector<uint64_t> segments = KeyOfOneSegment();
  AwaitHints();
  m().Compact({segments[1], segments[2]});
  EXPECT_FALSE(IsOnDisk("gone"));
  ExpectIntact();
  Reopen();
  ExpectIntact();
}

TEST_F(Hints, ATombstoneStaysWithoutAHint) {
  Open(SmallStoreWithHints());
  const std::vector<uint64_t> segments = KeyOfOneSegment();
  AwaitHints();
  disk_.Remove(HintName(segments[0]));
  m().Compact({segments[1], segments[2]});
  EXPECT_TRUE(IsOnDisk("gone"));
  ExpectIntact();
}

TEST_F(Hints, ATombstoneStaysWhenTheHintIsDamaged) {
  Open(SmallStoreWithHints());
  const std::vector<uint64_t> segments = KeyOfOneSegment();
  AwaitHints();
  disk_.Flip(HintName(segments[0]), 8 * (kHintHeaderBytes + 3));
  m().Compact({segments[1], segments[2]});
  EXPECT_TRUE(IsOnDisk("gone"));
  ExpectIntact();
}

TEST_F(Hints, ATombstoneStaysWhileTheHintKnowsAnOlderPut) {
  Open(SmallStoreWithHints());
  const std::vector<uint64_t> segments = KeyOfOneSegment();
  AwaitHints();
  m().Compact({segments[0], segments[2]});
  EXPECT_TRUE(IsOnDisk("gone"));
  Reopen();
  EXPECT_EQ(m().Get("gone"), std::nullopt);
  ExpectIntact();
}

TEST_F(Hints, NoMoreThanSoManyAreAsked) {
  Open(SmallStoreWithHints());
  // After each place a key that lives and dies in the next segment.
  for (size_t places = 1; places <= kHidingPlacesMax + 1; ++places) {
    m().Put("twice", "1");
    m().Put("twice", "2");
    Roll();
    if (places < kHidingPlacesMax) continue;
    const std::string key = fmt::format("gone{}", places);
    m().Put(key, "1");
    m().Delete(key);
    m().Put("twice", "1");
  }
  Roll();
  AwaitHints();
  const std::vector<uint64_t> sealed = store().SealedSegments();
  ASSERT_EQ(sealed.size(), kHidingPlacesMax + 2);
  m().Compact({sealed[kHidingPlacesMax + 1]});
  EXPECT_TRUE(IsOnDisk("gone17"));
  m().Compact({sealed[kHidingPlacesMax]});
  EXPECT_FALSE(IsOnDisk("gone16"));
}

TEST_F(Hints, AreNotWrittenOfDamagedSegments) {
  Open();
  Fill(60, 20);
  const uint64_t damaged = store().SealedSegments()[1];
  m().Stop();
  machine_.reset();
  Open(SmallStoreWithHints());
  disk_.Flip(SegmentName(damaged), 8 * 5000);
  for (int i = 0; i < 500; ++i) {
    m().Tick();
    m().Turn();
  }
  EXPECT_FALSE(disk_.Exists(HintName(damaged)));
  EXPECT_EQ(HintsOnDisk().size(), store().SealedSegments().size() - 1);
}

TEST_F(Hints, AreNotWrittenOfDamageAtTheEndOfALargeSegment) {
  Open(LargeSegments());
  m().maintenance().set_auto_run(false);
  FillLargeSegment();
  DamageTheEndOf(store().SealedSegments().front());
  m().maintenance().set_auto_run(true);
  for (int i = 0; i < 500; ++i) {
    m().maintenance().RunOne();
    m().Tick();
    m().Turn();
  }
  EXPECT_THAT(HintsOnDisk(), IsEmpty());
  ExpectIntact();
}

TEST_F(Hints, KeepToTheRateOfCompaction) {
  Open();
  m().Put("large", std::string(3'000'000, 'x'));
  Fill(10, 3);
  StoreOptions options = SmallStoreWithHints();
  options.compaction.rate_bytes_per_s = 1000;
  Reopen(options);
  for (int i = 0; i < 500; ++i) {
    m().Tick();
    m().Turn();
  }
  // No time has passed.
  EXPECT_FALSE(AllHinted());
  for (int i = 0; i < 500; ++i) {
    m().AdvanceMs(2'000'000);
    m().Tick();
    m().Turn();
  }
  EXPECT_TRUE(AllHinted());
}

TEST_F(Hints, WaitUntilTheLogPauses) {
  Open();
  Fill(20, 3);
  ASSERT_GT(store().SealedSegments().size(), 0u);
  ASSERT_LE(store().SealedSegments().size(), kHintsBehindMax);
  StoreOptions options = SmallStoreWithHints();
  options.hint_delay_ms = 1000;
  Reopen(options);
  const auto run = [&] {
    for (int i = 0; i < 200; ++i) {
      m().Tick();
      m().Turn();
    }
  };
  run();
  m().AdvanceMs(999);
  run();
  EXPECT_THAT(HintsOnDisk(), IsEmpty());
  m().AdvanceMs(1);
  run();
  EXPECT_TRUE(AllHinted());
}

TEST_F(Hints, DoNotFallFarBehindALogThatNeverPauses) {
  Open();
  Fill(100, 20);
  const size_t segments = store().SealedSegments().size();
  ASSERT_GT(segments, kHintsBehindMax);
  StoreOptions options = SmallStoreWithHints();
  options.hint_delay_ms = 1000;
  Reopen(options);
  for (int i = 0; i < 500; ++i) {
    m().Tick();
    m().Turn();
  }
  EXPECT_EQ(HintsOnDisk().size(),
            store().SealedSegments().size() - kHintsBehindMax);
}

TEST_F(Hints, LeaveTheLastRoomToCompaction) {
  Open(SmallStoreWithHints());
  Fill(60, 20);
  AwaitHints();
  SetFreeBytes(kManifestReserveBytes + 100 * 1024);
  m().maintenance().set_auto_run(false);
  store().Compact();
  bool installed = false;
  for (int i = 0; i < 500 && !installed; ++i) {
    m().maintenance().RunOne();
    m().Turn();
    for (const SealedSegment& segment : ManifestOnDisk().sealed) {
      installed |= segment.kind == SegmentKind::kCompacted;
    }
  }
  ASSERT_TRUE(installed);
  EXPECT_FALSE(AllHinted());
}

TEST_F(Hints, LeaveADiskInDangerAlone) {
  StoreOptions options = SmallStoreWithHints();
  options.segment_bytes = 2 << 20;
  Open(options);
  m().maintenance().set_auto_run(false);
  const auto roll = [&] {
    const size_t before = store().SealedSegments().size();
    for (int i = 0; i < 60 && store().SealedSegments().size() == before; ++i) {
      m().Put("filler", std::string(100'000, 'a'));
      m().Settle();
    }
  };
  roll();
  // Room for a segment, and then for less than two more.
  SetFreeBytes(5 << 20);
  roll();
  ASSERT_FALSE(store().Stats().disk_full);
  m().maintenance().set_auto_run(true);
  for (int i = 0; i < 200; ++i) {
    m().maintenance().RunOne();
    m().Tick();
    m().Turn();
  }
  EXPECT_THAT(HintsOnDisk(), IsEmpty());
  SetFreeBytes(50 << 20);
  roll();
  AwaitHints();
  ExpectHintsAsByScanning();
}

TEST_F(Hints, AStopWritesThoseThatAreMissing) {
  Open();
  Fill(60, 20);
  for (int steps = 0; steps < 12; ++steps) {
    Reopen(SmallStoreWithHints());
    m().maintenance().set_auto_run(false);
    for (int i = 0; i < steps; ++i) {
      m().Turn();
      m().maintenance().RunOne();
    }
    m().Put("last", std::to_string(steps));
    EXPECT_TRUE(m().Stop());
    for (const uint64_t id : store().SealedSegments()) {
      EXPECT_TRUE(disk_.Exists(HintName(id))) << id;
    }
    Reopen(SmallStoreWithHints());
    EXPECT_EQ(store().recovery().hinted, store().recovery().segments);
    EXPECT_EQ(m().Get("last"), std::to_string(steps));
  }
  Reopen();
  ExpectIntact();
}

TEST_F(Hints, AStopDoesNotWaitLongForThem) {
  Open();
  Fill(60, 20);
  Reopen(SmallStoreWithHints());
  m().maintenance().set_auto_run(false);
  const size_t segments = store().SealedSegments().size();
  store().Stop();
  m().maintenance().RunOne();
  m().AdvanceMs(kHintsAtStopMs);
  for (int i = 0; i < 10 && !store().stopped(); ++i) {
    m().maintenance().RunOne();
    m().executor().RunOne();
    m().Turn();
  }
  EXPECT_TRUE(store().stopped());
  size_t hints = 0;
  for (const uint64_t id : store().SealedSegments()) {
    hints += disk_.Exists(HintName(id)) ? 1 : 0;
  }
  EXPECT_LT(hints, segments);
  Reopen();
  ExpectIntact();
}

TEST_F(Hints, AFaultThatStopsOneHarmsNobody) {
  using Op = SimFileSystem::Op;
  for (const Op op : {Op::kCreate, Op::kWrite, Op::kSync}) {
    for (const int sys_errno : {ENOSPC, EIO}) {
      Open(SmallStoreWithHints());
      m().maintenance().set_auto_run(false);
      Fill(30, 20);
      // What maintenance does fails, and that is hints.
      for (int i = 0; i < 200; ++i) {
        disk_.FailAt(op, 0, sys_errno);
        m().maintenance().RunOne();
        disk_.ClearFailures();
        m().Turn();
      }
      EXPECT_FALSE(store().failure());
      EXPECT_FALSE(AllHinted());
      ExpectIntact();
      Reopen(SmallStoreWithHints());
      AwaitHints();
      ExpectHintsAsByScanning();
      machine_.reset();
    }
  }
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
