// SPDX-License-Identifier: MIT
//
// Backup and restore: what is in one, what it keeps on the disk, how it ends,
// and what a restore leaves behind whenever it is interrupted.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "log/format/manifest.h"
#include "log/format/segment.h"
#include "store/verify.h"
#include "tests/store/promises/backups.h"
#include "tests/store/promises/machine.h"
#include "tests/store/promises/promises.h"

namespace kvd {
namespace {

using testing::HasSubstr;

class BackupTest : public testing::Test {
 protected:
  void Open(StoreOptions options = SmallStore()) {
    machine_ = std::make_unique<Machine>(&disk_, &history_, options);
    const Result<void> opened = machine_->Open();
    ASSERT_TRUE(opened) << opened.error().message();
  }
  Machine& m() { return *machine_; }

  // Some changes of all kinds, other ones with each call.
  void Change() {
    for (int i = 0; i < 3; ++i, ++changes_) {
      m().Put(fmt::format("key{}", changes_ % 23),
              std::string(300 + changes_ % 700, 'a'),
              changes_ % 5 == 0 ? 4'000'000'000'000 : 0, changes_ % 3);
    }
    m().Delete(fmt::format("key{}", changes_ % 7), changes_ % 3);
    if (changes_ % 8 == 1) m().Swap(0, 1);
    if (changes_ % 20 == 2) m().Flush(2);
    if (changes_ % 16 == 3) m().Flush(0);
    m().Settle();
  }
  void ChangeTimes(int times) {
    for (int i = 0; i < times; ++i) Change();
  }
  std::string Take(const std::string* base = nullptr) {
    return TakeWith([] {}, base);
  }
  std::string TakeWith(const std::function<void()>& between,
                       const std::string* base = nullptr) {
    const Result<std::string> backup = TakeBackup(&m(), between, base);
    EXPECT_TRUE(backup) << backup.error().message();
    return backup ? *backup : std::string();
  }
  // What a chain restores to is what was there at its revision.
  void ExpectRestores(const std::vector<std::string>& backups) {
    SimFileSystem disk;
    const Result<RestoreReport> report = Restore(&disk, backups);
    ASSERT_TRUE(report) << report.error().message();
    EXPECT_EQ(report->revision, RevisionOf(backups.back()));
    const Result<Contents> contents = ContentsOf(&disk);
    ASSERT_TRUE(contents) << contents.error().message();
    EXPECT_EQ(*contents, StateAt(history_, report->revision));
  }
  std::string WhyNotRestored(const std::vector<std::string>& backups) {
    SimFileSystem disk;
    const Result<RestoreReport> report = Restore(&disk, backups);
    return report ? "" : report.error().message();
  }
  size_t SegmentFiles() {
    const std::vector<std::string> names = disk_.Names();
    return static_cast<size_t>(std::count_if(
        names.begin(), names.end(),
        [](const std::string& name) { return SegmentIdOf(name).has_value(); }));
  }
  // Some turns in which what is left is done.
  void Rest() {
    for (int i = 0; i < 20; ++i) {
      m().Turn();
      m().Tick();
    }
  }

  SimFileSystem disk_;
  History history_;
  std::unique_ptr<Machine> machine_;
  int changes_ = 0;
};

TEST_F(BackupTest, OfAnEmptyStore) {
  Open();
  const std::string backup = Take();
  EXPECT_EQ(RevisionOf(backup), 0u);
  ExpectRestores({backup});
}

TEST_F(BackupTest, HasWhatWasThere) {
  Open();
  ChangeTimes(40);
  ASSERT_GT(m().store().SealedSegments().size(), 2u);
  const std::string backup = Take();
  EXPECT_EQ(RevisionOf(backup), m().store().last_seq());
  ExpectRestores({backup});
}

TEST_F(BackupTest, HasWhatWasThereOfAnEarlierLife) {
  Open();
  ChangeTimes(10);
  machine_.reset();
  Open();
  ExpectRestores({Take()});
  ChangeTimes(10);
  ASSERT_TRUE(m().Stop());
  Open();
  ExpectRestores({Take()});
}

TEST_F(BackupTest, IsOfOneRevisionWhateverHappensMeanwhile) {
  Open();
  ChangeTimes(20);
  int pieces = 0;
  const std::string backup = TakeWith([&] {
    Change();
    if (++pieces % 3 == 0) m().Compact();
  });
  EXPECT_LT(RevisionOf(backup), m().store().last_seq());
  ExpectRestores({backup});
  // What was there in the end can be backed up, too.
  ExpectRestores({Take()});
}

TEST_F(BackupTest, KeepsThePromise) {
  EXPECT_EQ(CheckBackupIsOfOneRevision(), "");
  EXPECT_EQ(CheckRestoreTakesNewRevisions(), "");
}

TEST_F(BackupTest, HasWhatWasExecutedBeforeInTheLazyModes) {
  Open(SmallStore(SyncMode::kNever));
  for (int i = 0; i < 30; ++i) {
    m().Put(fmt::format("key{}", i % 7), std::string(500, 'a'));
    if (i % 10 == 9) m().Flush(0);
  }
  const Seq executed = m().store().last_seq();
  const std::string backup = Take();
  EXPECT_GE(RevisionOf(backup), executed);
  ExpectRestores({backup});
}

TEST_F(BackupTest, AChainHasWhatWasThere) {
  Open();
  ChangeTimes(30);
  const std::string full = Take();
  ChangeTimes(12);
  const std::string first = Take(&full);
  m().Compact();
  ChangeTimes(12);
  const std::string second = TakeWith([&] { Change(); }, &first);
  const std::string nothing_new = Take(&second);
  EXPECT_LT(first.size(), full.size());
  ExpectRestores({full});
  ExpectRestores({full, first});
  ExpectRestores({full, first, second});
  ExpectRestores({full, first, second, nothing_new});
}

TEST_F(BackupTest, AChainWithAnotherLinkIsRefused) {
  Open();
  ChangeTimes(20);
  const std::string full = Take();
  ChangeTimes(5);
  const std::string other = Take();
  const std::string first = Take(&full);
  ChangeTimes(5);
  const std::string second = Take(&first);
  EXPECT_THAT(WhyNotRestored({first}), HasSubstr("builds on first"));
  EXPECT_THAT(WhyNotRestored({full, second}), HasSubstr("builds on a backup"));
  EXPECT_THAT(WhyNotRestored({other, first}), HasSubstr("builds on a backup"));
  EXPECT_THAT(WhyNotRestored({full, other}), HasSubstr("a full backup"));
  // Of the same revision, and yet another one: it was made later.
  const std::string early = Take();
  m().AdvanceMs(1000);
  const std::string late = Take();
  ASSERT_EQ(RevisionOf(early), RevisionOf(late));
  EXPECT_THAT(WhyNotRestored({late, Take(&early)}),
              HasSubstr("another backup"));
}

TEST_F(BackupTest, KeepsFilesThatCompactionReplacesUntilItEnds) {
  Open();
  ChangeTimes(40);
  auto backup = OpenBackup(&m());
  ASSERT_TRUE(backup);
  const size_t before = SegmentFiles();
  m().Compact();
  Rest();
  EXPECT_GE(SegmentFiles(), before);
  const Result<const Manifest*> open = (*backup)->Contents();
  ASSERT_TRUE(open);
  const std::vector<SealedSegment> sealed = (*open)->sealed;
  for (const SealedSegment& segment : sealed) {
    EXPECT_TRUE(ReadPiece(&m(), backup->get(), segment.id, 0, 100));
  }
  (*backup)->Finish();
  backup->reset();
  Rest();
  EXPECT_LT(SegmentFiles(), before);
  EXPECT_EQ(SegmentFiles(), m().store().SealedSegments().size() + 2);
}

TEST_F(BackupTest, ThereIsOneAtATime) {
  Open();
  Change();
  auto first = OpenBackup(&m());
  ASSERT_TRUE(first);
  const auto second = Backup::Begin(m().store());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::kHeld);
  first->reset();
  EXPECT_TRUE(OpenBackup(&m()));
}

TEST_F(BackupTest, EndsWhenItsReaderStalls) {
  Open();
  ChangeTimes(40);
  auto backup = OpenBackup(&m());
  ASSERT_TRUE(backup);
  const uint64_t id = (*(*backup)->Contents())->sealed.front().id;
  m().Compact();
  for (int i = 0; i < 5; ++i) {
    m().AdvanceMs(59'000);
    m().Tick();
    ASSERT_TRUE(ReadPiece(&m(), backup->get(), id, 100 * i, 100)) << i;
  }
  m().AdvanceMs(60'001);
  m().Tick();
  const auto piece = (*backup)->Read(id, 0, 100);
  ASSERT_FALSE(piece);
  EXPECT_THAT(piece.error().message(), HasSubstr("backup.stall_timeout"));
  Rest();
  EXPECT_EQ(SegmentFiles(), m().store().SealedSegments().size() + 2);
  // It holds nothing, and another one may begin; the old one stays ended.
  EXPECT_TRUE(OpenBackup(&m()));
  EXPECT_FALSE((*backup)->Contents());
}

TEST_F(BackupTest, ReadsNoFasterThanItsRate) {
  StoreOptions options = SmallStore();
  options.backup_rate_bytes_per_s = 1000;
  Open(options);
  ChangeTimes(40);
  auto backup = OpenBackup(&m());
  ASSERT_TRUE(backup);
  const uint64_t id = (*(*backup)->Contents())->sealed.front().id;
  ASSERT_TRUE(ReadPiece(&m(), backup->get(), id, 0, 100));
  const auto has_next = [&] {
    m().Tick();
    Rest();
    const auto piece = (*backup)->Read(id, 100, 100);
    return piece && piece->has_value();
  };
  EXPECT_FALSE(has_next());
  m().AdvanceMs(90);
  EXPECT_FALSE(has_next());
  EXPECT_TRUE(m().store().keeps_pace());
  m().AdvanceMs(20);
  EXPECT_TRUE(has_next());
}

TEST_F(BackupTest, EndsWhenWhatItKeepsIsMissedOnTheDisk) {
  Open();
  ChangeTimes(60);
  auto backup = OpenBackup(&m());
  ASSERT_TRUE(backup);
  const uint64_t id = (*(*backup)->Contents())->sealed.front().id;
  disk_.SetCapacity(disk_.used_bytes() + (1 << 20));
  // A full disk alone does not end it.
  ASSERT_TRUE(ReadPiece(&m(), backup->get(), id, 0, 100));
  m().Compact();
  disk_.SetCapacity(disk_.used_bytes() + 4096);
  ASSERT_TRUE(ReadPiece(&m(), backup->get(), id, 100, 100));
  Rest();
  const auto piece = (*backup)->Read(id, 200, 100);
  ASSERT_FALSE(piece);
  EXPECT_EQ(piece.error().code(), ErrorCode::kNoSpace);
  EXPECT_THAT(piece.error().message(), HasSubstr("nearly full"));
}

TEST_F(BackupTest, EndsWithTheStore) {
  Open();
  ChangeTimes(10);
  auto backup = OpenBackup(&m());
  ASSERT_TRUE(backup);
  EXPECT_TRUE(m().Stop());
  EXPECT_FALSE((*backup)->Contents());
  backup->reset();
}

TEST_F(BackupTest, PlacesThatDoNotExistEndNothing) {
  Open();
  ChangeTimes(10);
  auto backup = OpenBackup(&m());
  ASSERT_TRUE(backup);
  const SealedSegment segment = (*(*backup)->Contents())->sealed.front();
  for (const auto& [id, offset, bytes] :
       std::vector<std::tuple<uint64_t, uint64_t, size_t>>{
           {segment.id, segment.bytes, 1},
           {segment.id + 1000, 0, 1},
           {segment.id, UINT64_MAX, 1},
           {segment.id, 0, 0}}) {
    const auto piece = (*backup)->Read(id, offset, bytes);
    ASSERT_FALSE(piece);
    EXPECT_EQ(piece.error().code(), ErrorCode::kInvalid);
  }
  const auto tail =
      ReadPiece(&m(), backup->get(), segment.id, segment.bytes - 10, 1 << 20);
  ASSERT_TRUE(tail);
  EXPECT_EQ(tail->size(), 10u);
}

// --- Restore ----------------------------------------------------------------

TEST_F(BackupTest, ARestoredStoreIsSoundAndGoesOnAbove) {
  Open();
  ChangeTimes(30);
  const std::string backup = Take();
  SimFileSystem disk;
  const Result<RestoreReport> report = Restore(&disk, {backup});
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->floor, RevisionOf(backup) + kRestoredRevisionsAbove);
  const auto directory = disk.OpenDirectory();
  const auto verified = VerifyDirectory(
      *directory, [](const std::string& what) { ADD_FAILURE() << what; });
  ASSERT_TRUE(verified);
  EXPECT_EQ(verified->records, report->records);
  const auto manifest = LoadManifest(*directory);
  ASSERT_TRUE(manifest);
  EXPECT_EQ(manifest->history_floor, report->floor);
  EXPECT_TRUE(manifest->clean);

  History history;
  Machine restored(&disk, &history);
  ASSERT_TRUE(restored.Open());
  restored.Put("new", "value");
  restored.Settle();
  EXPECT_EQ(history.newest_seq, report->floor + 1);
  // A backup of it, and a restore of that, go on above again.
  const Result<std::string> second = TakeBackup(&restored);
  ASSERT_TRUE(second) << second.error().message();
  SimFileSystem again;
  const Result<RestoreReport> twice = Restore(&again, {*second});
  ASSERT_TRUE(twice) << twice.error().message();
  EXPECT_EQ(twice->floor, report->floor + 1 + kRestoredRevisionsAbove);
}

TEST_F(BackupTest, ADirectoryWithSomethingInItIsRefusedAndStaysAsItIs) {
  Open();
  ChangeTimes(5);
  const std::string backup = Take();
  SimFileSystem disk;
  {
    const auto directory = disk.OpenDirectory();
    ASSERT_TRUE(directory->Create("notes.txt"));
  }
  const auto report = Restore(&disk, {backup});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), ErrorCode::kExists);
  EXPECT_EQ(disk.Names(), std::vector<std::string>{"notes.txt"});
  machine_.reset();
  const std::vector<std::string> before = disk_.Names();
  EXPECT_FALSE(Restore(&disk_, {backup}));
  EXPECT_EQ(disk_.Names(), before);
}

TEST_F(BackupTest, NoStoreOpensOnHalfARestore) {
  Open();
  ChangeTimes(12);
  const std::string backup = Take();
  const Contents& expected = StateAt(history_, RevisionOf(backup));
  SimFileSystem counted;
  ASSERT_TRUE(Restore(&counted, {backup}));
  const uint64_t operations = counted.operations();
  ASSERT_GT(operations, 8u);
  for (uint64_t n = 0; n < operations; ++n) {
    SimFileSystem disk;
    disk.CrashAt(n);
    ASSERT_FALSE(Restore(&disk, {backup})) << n;
    for (const CrashChoice& choice : disk.Choices(12)) {
      SCOPED_TRACE(fmt::format("operation {}: {}", n, choice.Describe()));
      const auto image = disk.Image(choice);
      // Nothing is there yet, or all of it.
      const bool untouched =
          image->Names().empty() ||
          image->Names() ==
              std::vector<std::string>{std::string(kManifestTemporaryName)};
      const auto later = image->Clone();
      const Result<Contents> contents = ContentsOf(image.get());
      if (contents && !untouched) {
        EXPECT_EQ(*contents, expected);
      }
      if (contents) continue;
      // To do it again mends it.
      const Result<RestoreReport> again = Restore(later.get(), {backup});
      ASSERT_TRUE(again) << again.error().message();
      const Result<Contents> restored = ContentsOf(later.get());
      ASSERT_TRUE(restored) << restored.error().message();
      EXPECT_EQ(*restored, expected);
    }
  }
}

TEST_F(BackupTest, ADamagedBackupLeavesNothingToStartOn) {
  Open();
  ChangeTimes(12);
  std::string backup = Take();
  const std::string good = backup;
  backup[backup.size() - 100] ^= 1;
  SimFileSystem disk;
  const auto report = Restore(&disk, {backup});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), ErrorCode::kCorruption);
  const Result<Contents> contents = ContentsOf(&disk);
  ASSERT_FALSE(contents);
  EXPECT_THAT(contents.error().message(), HasSubstr("has not finished"));
  EXPECT_TRUE(Restore(&disk, {good}));
  EXPECT_TRUE(ContentsOf(&disk));
}

TEST_F(BackupTest, AFullDiskIsSaidAndMayBeTriedAgain) {
  Open();
  ChangeTimes(30);
  const std::string backup = Take();
  SimFileSystem disk;
  disk.SetCapacity(20'000);
  const auto report = Restore(&disk, {backup});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), ErrorCode::kNoSpace);
  disk.SetCapacity(UINT64_MAX);
  EXPECT_TRUE(Restore(&disk, {backup}));
}

}  // namespace
}  // namespace kvd
