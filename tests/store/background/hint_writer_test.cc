// SPDX-License-Identifier: MIT
//
// Hints of sealed segments: when they are written, and what becomes of them.
#include "store/background/hint_writer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "log/format/hint.h"
#include "log/format/manifest.h"
#include "log/format/segment.h"
#include "log/read/sealed_cursor.h"
#include "log/write/prepare_segment.h"
#include "store/background/shadowed_segments.h"
#include "tests/store/background/compaction_rig.h"
#include "tests/store/promises/promises.h"

namespace kvd {
namespace {

using testing::IsEmpty;

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

}  // namespace
}  // namespace kvd
