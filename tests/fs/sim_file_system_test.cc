// SPDX-License-Identifier: MIT
//
// The simulated disk's fault model: what a crash may leave and what it may not,
// so that tests built on it can be believed.
#include "tests/support/sim_file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace kvd {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsSubsetOf;
using ::testing::Not;
using ::testing::UnorderedElementsAre;
using Bytes = CrashChoice::Bytes;
using Names = CrashChoice::Names;
using Op = SimFileSystem::Op;
using OpenMode = Directory::OpenMode;
using Durability = DurableWriter::Durability;

constexpr size_t kPage = 4096;
constexpr size_t kSector = 512;
constexpr size_t kAll = 1'000'000;

// One letter for a page whose bytes are all the same, '.' for zeros, '?' for a
// torn one.
std::string Pages(std::string_view content) {
  std::string letters;
  for (size_t at = 0; at < content.size(); at += kPage) {
    const std::string_view page = content.substr(at, kPage);
    const bool plain = page.find_first_not_of(page[0]) == page.npos;
    letters += !plain ? '?' : page[0] == '\0' ? '.' : page[0];
  }
  return letters;
}

std::string Page(char letter) { return std::string(kPage, letter); }

class SimDisk : public ::testing::Test {
 protected:
  std::unique_ptr<File> Create(std::string_view name,
                               std::string_view content = "") {
    auto file = directory_->Create(name);
    EXPECT_TRUE(file.ok());
    EXPECT_TRUE((*file)->WriteAt(0, content).ok());
    return std::move(*file);
  }

  // A file that is wholly durable.
  std::unique_ptr<File> CreateDurable(std::string_view name,
                                      std::string_view content) {
    auto file = Create(name, content);
    EXPECT_TRUE(file->Sync().ok());
    EXPECT_TRUE(directory_->Sync().ok());
    return file;
  }

  // What the crash images hold, each once: "name=content" for each file, with
  // the content as `letters` shows it.
  std::set<std::string> Outcomes(
      const std::function<std::string(std::string_view)>& letters = Pages,
      size_t limit = kAll) {
    std::set<std::string> outcomes;
    for (const CrashChoice& choice : disk_.Choices(limit)) {
      outcomes.insert(Show(*disk_.Image(choice), letters));
    }
    return outcomes;
  }

  static std::string Show(
      const SimFileSystem& disk,
      const std::function<std::string(std::string_view)>& letters = Pages) {
    std::string shown;
    for (const std::string& name : disk.Names()) {
      if (!shown.empty()) shown += " ";
      shown += name + "=" + letters(disk.ReadAll(name));
    }
    return shown;
  }

  std::string After(const CrashChoice& choice) {
    return Show(*disk_.Image(choice));
  }

  SimFileSystem disk_;
  std::unique_ptr<Directory> directory_ = disk_.OpenDirectory();
};

// --- What a crash leaves ---

TEST_F(SimDisk, KeepsAllThatWasSynced) {
  CreateDurable("a", Page('a'));
  EXPECT_THAT(Outcomes(), ElementsAre("a=a"));
}

TEST_F(SimDisk, MayLoseOrKeepUnsyncedBytes) {
  auto file = CreateDurable("a", Page('a'));
  ASSERT_TRUE(file->WriteAt(0, Page('b')).ok());
  EXPECT_EQ(disk_.ReadAll("a"), Page('b'));
  EXPECT_EQ(After({Bytes::kNone, Names::kKept}), "a=a");
  EXPECT_EQ(After({Bytes::kAll, Names::kKept}), "a=b");

  ASSERT_TRUE(file->Sync().ok());
  EXPECT_THAT(Outcomes(), ElementsAre("a=b"));
}

TEST_F(SimDisk, MayLoseASyncedFileWhoseNameWasNot) {
  ASSERT_TRUE(Create("a", Page('a'))->Sync().ok());
  EXPECT_EQ(After({Bytes::kNone, Names::kLost}), "");
  EXPECT_EQ(After({Bytes::kNone, Names::kOfSyncedFiles}), "a=a");
  EXPECT_THAT(Outcomes(), ElementsAre("", "a=a"));
}

TEST_F(SimDisk, MayKeepANameWithoutBytes) {
  Create("a", Page('a'));
  EXPECT_EQ(After({Bytes::kNone, Names::kKept}), "a=");
  EXPECT_EQ(After({Bytes::kNone, Names::kOfSyncedFiles}), "");
  EXPECT_EQ(After({Bytes::kZeroExtended, Names::kKept}), "a=.");
  ASSERT_TRUE(directory_->Sync().ok());
  EXPECT_THAT(Outcomes([](auto content) { return std::string(content, 0, 1); }),
              Contains("a="));
}

TEST_F(SimDisk, KeepsNamesOfARenameTogether) {
  CreateDurable("a", Page('1'));
  CreateDurable("b", Page('2'));
  ASSERT_TRUE(directory_->Rename("b", "a").ok());
  EXPECT_THAT(Outcomes(), ElementsAre("a=1 b=2", "a=2"));
  ASSERT_TRUE(directory_->Sync().ok());
  EXPECT_THAT(Outcomes(), ElementsAre("a=2"));
}

TEST_F(SimDisk, KeepsNamesOfAnExchangeTogether) {
  CreateDurable("a", Page('1'));
  CreateDurable("b", Page('2'));
  ASSERT_TRUE(directory_->Exchange("b", "a").value());
  EXPECT_THAT(Outcomes(), ElementsAre("a=1 b=2", "a=2 b=1"));
  // A file that is written meanwhile may still have its old name.
  auto b = std::move(*directory_->Open("b", Directory::OpenMode::kReadWrite));
  ASSERT_TRUE(b->WriteAt(0, Page('3')).ok());
  ASSERT_TRUE(b->Sync().ok());
  EXPECT_THAT(Outcomes(), ElementsAre("a=2 b=3", "a=3 b=2"));
  EXPECT_EQ(After({Bytes::kNone, Names::kOfSyncedFiles}), "a=2 b=3");
  ASSERT_TRUE(directory_->Sync().ok());
  EXPECT_THAT(Outcomes(), ElementsAre("a=2 b=3"));
}

TEST_F(SimDisk, RefusesToExchangeOnRequest) {
  CreateDurable("a", Page('1'));
  CreateDurable("b", Page('2'));
  disk_.SetExchanges(false);
  EXPECT_FALSE(directory_->Exchange("a", "b").value());
  EXPECT_EQ(disk_.ReadAll("a"), Page('1'));
  for (const bool crash : {false, true}) {
    const auto disk = crash ? disk_.Image({}) : disk_.Clone();
    EXPECT_FALSE(disk->OpenDirectory()->Exchange("a", "b").value());
  }
}

TEST_F(SimDisk, KeepsRoomUntilItIsCutOff) {
  auto file = Create("a", Page('1'));
  disk_.SetCapacity(3 * kPage);
  ASSERT_TRUE(file->KeepRoom(2 * kPage).ok());
  EXPECT_EQ(disk_.used_bytes(), 2 * kPage);
  EXPECT_FALSE(file->KeepRoom(4 * kPage).ok());
  auto other = Create("b", Page('2'));
  EXPECT_FALSE(other->WriteAt(kPage, "x").ok());
  EXPECT_TRUE(file->WriteAt(kPage, "x").ok());
  ASSERT_TRUE(file->Truncate(1).ok());
  EXPECT_EQ(disk_.used_bytes(), 2 * kPage);
}

TEST_F(SimDisk, ReplacesAtomicallyOnlyWithBytesSyncedBefore) {
  CreateDurable("MANIFEST", Page('1'));
  ASSERT_TRUE(Create("MANIFEST.tmp", Page('2'))->Sync().ok());
  ASSERT_TRUE(directory_->Rename("MANIFEST.tmp", "MANIFEST").ok());
  for (const std::string& outcome : Outcomes()) {
    EXPECT_THAT(outcome, testing::AnyOf("MANIFEST=1", "MANIFEST=2",
                                        "MANIFEST=1 MANIFEST.tmp=2"));
  }
  ASSERT_TRUE(directory_->Sync().ok());

  Create("MANIFEST.tmp", Page('3'));
  ASSERT_TRUE(directory_->Rename("MANIFEST.tmp", "MANIFEST").ok());
  EXPECT_THAT(Outcomes(), Contains("MANIFEST="));
}

TEST_F(SimDisk, MayUndoAnUnsyncedRemoval) {
  CreateDurable("a", Page('1'));
  ASSERT_TRUE(directory_->Remove("a").ok());
  EXPECT_FALSE(disk_.Exists("a"));
  EXPECT_THAT(Outcomes(), ElementsAre("", "a=1"));
  ASSERT_TRUE(directory_->Sync().ok());
  EXPECT_THAT(Outcomes(), ElementsAre(""));
}

TEST_F(SimDisk, MayKeepOrLoseEachNameForItself) {
  Create("a");
  Create("b");
  Create("c");
  EXPECT_THAT(Outcomes(), UnorderedElementsAre("", "a=", "b=", "c=", "a= b=",
                                               "a= c=", "b= c=", "a= b= c="));
  EXPECT_EQ(After({Bytes::kPrefix, Names::kAsUnits, kPage, 1}), "a=");
}

TEST_F(SimDisk, KeepsPagesInAnyOrder) {
  auto file = CreateDurable("a", Page('.') + Page('.') + Page('.'));
  ASSERT_TRUE(file->WriteAt(0, Page('x') + Page('y') + Page('z')).ok());
  EXPECT_THAT(Outcomes(),
              testing::IsSupersetOf({"a=...", "a=x..", "a=xy.", "a=xyz",
                                     "a=.y.", "a=..z", "a=.yz", "a=x.z"}));
}

TEST_F(SimDisk, TearsPagesAtSectorsOnly) {
  auto file = CreateDurable("a", Page('.'));
  ASSERT_TRUE(file->WriteAt(0, Page('x')).ok());
  const auto sectors = [](std::string_view content) {
    std::string letters;
    for (size_t at = 0; at < content.size(); at += kSector) {
      const std::string_view sector = content.substr(at, kSector);
      EXPECT_EQ(sector.find_first_not_of(sector[0]), sector.npos);
      letters += sector[0];
    }
    return letters;
  };
  const std::set<std::string> outcomes = Outcomes(sectors);
  EXPECT_THAT(outcomes, testing::IsSupersetOf({"a=........", "a=x.......",
                                               "a=xxxxxxx.", "a=...x....",
                                               "a=xxx.xxxx", "a=xxxxxxxx"}));
}

TEST_F(SimDisk, CutsAWriteInsideAPageToItsBytes) {
  auto file = CreateDurable("a", Page('.'));
  ASSERT_TRUE(file->WriteAt(500, std::string(100, 'x')).ok());
  std::string torn = Page('.');
  torn.replace(500, 12, std::string(12, 'x'));
  EXPECT_EQ(disk_.Image({Bytes::kOnly, Names::kKept, kSector, 0})->ReadAll("a"),
            torn);
}

TEST_F(SimDisk, HasAPageAtOneOfItsStates) {
  auto file = CreateDurable("a", Page('.'));
  ASSERT_TRUE(file->WriteAt(0, "1").ok());
  ASSERT_TRUE(file->WriteAt(1, "2").ok());
  ASSERT_TRUE(file->WriteAt(2, "3").ok());
  const auto head = [](std::string_view content) {
    return std::string(content.substr(0, 3));
  };
  EXPECT_THAT(Outcomes(head), ElementsAre("a=...", "a=1..", "a=12.", "a=123"));
  const CrashChoice without{Bytes::kWithout, Names::kAsUnits, kPage, 1};
  EXPECT_EQ(Show(*disk_.Image(without), head), "a=1..");
}

TEST_F(SimDisk, MayKeepASizeWithoutItsBytes) {
  auto file = CreateDurable("a", Page('a'));
  ASSERT_TRUE(file->WriteAt(kPage, Page('b')).ok());
  EXPECT_EQ(After({Bytes::kZeroExtended, Names::kKept}), "a=a.");
}

TEST_F(SimDisk, HasAHoleWhereALaterPageWasKeptAlone) {
  auto file = CreateDurable("a", "");
  ASSERT_TRUE(file->WriteAt(0, Page('1') + Page('2')).ok());
  EXPECT_EQ(After({Bytes::kOnly, Names::kKept, kPage, 1}), "a=.2");
}

TEST_F(SimDisk, MayUndoATruncation) {
  auto file = CreateDurable("a", Page('1') + Page('2'));
  ASSERT_TRUE(file->Truncate(kPage).ok());
  EXPECT_THAT(Outcomes(), ElementsAre("a=1", "a=12"));
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_THAT(Outcomes(), ElementsAre("a=1"));
}

TEST_F(SimDisk, ZeroesWhatIsCutOffAndGrowsAgain) {
  auto file = CreateDurable("a", Page('1') + Page('2'));
  ASSERT_TRUE(file->Truncate(kPage).ok());
  ASSERT_TRUE(file->WriteAt(2 * kPage, Page('3')).ok());
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_THAT(Outcomes(), ElementsAre("a=1.3"));
}

TEST_F(SimDisk, AllocatesDurablyAfterASync) {
  auto file = Create("a");
  ASSERT_TRUE(file->AllocateZeroed(2 * kPage).ok());
  ASSERT_TRUE(directory_->Sync().ok());
  EXPECT_THAT(Outcomes(), ElementsAre("a=", "a=.."));
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_THAT(Outcomes(), ElementsAre("a=.."));
  ASSERT_TRUE(file->AllocateReserved(kPage).ok());
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_THAT(Outcomes(), ElementsAre("a=."));
}

TEST_F(SimDisk, LosesNothingWhenOnlyTheProcessDies) {
  Create("a", Page('1'));
  directory_ = disk_.OpenDirectory();
  EXPECT_EQ(Show(disk_), "a=1");
  EXPECT_THAT(Outcomes(), Contains(""));
}

TEST_F(SimDisk, IsWholeInAnImage) {
  CreateDurable("a", Page('1'));
  Create("b", Page('2'));
  auto image = disk_.Image({Bytes::kAll, Names::kKept});
  EXPECT_EQ(image->Choices(kAll).size(), 1u);
  EXPECT_EQ(image->operations(), 0u);

  auto directory = image->OpenDirectory();
  auto file = std::move(*directory->Open("b", OpenMode::kReadWrite));
  ASSERT_TRUE(file->WriteAt(0, Page('3')).ok());
  EXPECT_EQ(Show(*image), "a=1 b=3");
  EXPECT_EQ(Show(*image->Image({})), "a=1 b=2");
  EXPECT_EQ(Show(disk_), "a=1 b=2");
}

TEST_F(SimDisk, ClonesWhatIsUnsynced) {
  CreateDurable("a", Page('1'));
  Create("b", Page('2'));
  auto clone = disk_.Clone();
  EXPECT_EQ(Show(*clone), "a=1 b=2");
  EXPECT_EQ(Show(*clone->Image({})), "a=1");
}

TEST_F(SimDisk, TriesFewerChoicesButKeepsTheWorst) {
  auto file = CreateDurable("a", "");
  for (char page = 0; page < 26; ++page) {
    ASSERT_TRUE(file->WriteAt(page * kPage, Page('a' + page)).ok());
  }
  const auto all = disk_.Choices(kAll);
  EXPECT_GT(all.size(), 26u * 3 + 26 * 8 * 3);
  const auto thinned = disk_.Choices(100);
  EXPECT_EQ(thinned.size(), 100u);
  std::set<std::string> different;
  for (const CrashChoice& choice : thinned) {
    different.insert(choice.Describe());
  }
  EXPECT_EQ(different.size(), 100u);
  EXPECT_THAT(
      Outcomes(Pages, 8),
      testing::IsSupersetOf({std::string("a="), "a=" + std::string(26, '.'),
                             std::string("a=abcdefghijklmnopqrstuvwxyz")}));
}

TEST_F(SimDisk, RepeatsARandomChoice) {
  auto file = CreateDurable("a", "");
  for (char page = 0; page < 26; ++page) {
    ASSERT_TRUE(file->WriteAt(page * kPage, Page('a' + page)).ok());
  }
  std::set<std::string> images;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const CrashChoice choice{
        Bytes::kRandom, Names::kRandom, kSector, 0, 0, seed};
    const std::string image = disk_.Image(choice)->ReadAll("a");
    EXPECT_EQ(disk_.Image(choice)->ReadAll("a"), image);
    images.insert(image);
  }
  EXPECT_GT(images.size(), 15u);
}

// --- Crashes at an operation ---

// Makes six operations, and stops at the first failure.
Result<void> Scenario(SimFileSystem& disk) {
  auto directory = disk.OpenDirectory();
  KVD_TRY_ASSIGN(auto file, directory->Create("a"));
  KVD_TRY(file->WriteAt(0, "1"));
  KVD_TRY(file->Sync());
  KVD_TRY(directory->Sync());
  KVD_TRY(directory->Rename("a", "b"));
  return directory->Sync();
}

TEST(SimCrash, HappensAtEachOperation) {
  SimFileSystem dry;
  ASSERT_TRUE(Scenario(dry).ok());
  ASSERT_EQ(dry.operations(), 6u);
  EXPECT_EQ(dry.DescribeOperation(1), "write a");

  const std::vector<std::string> names_at_best = {"", "a", "a", "a", "a", "b"};
  for (uint64_t n = 0; n < 6; ++n) {
    SCOPED_TRACE(n);
    SimFileSystem disk;
    disk.CrashAt(n);
    auto result = Scenario(disk);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().message(), "simulated crash");
    EXPECT_EQ(result.error().code(), ErrorCode::kIo);
    EXPECT_TRUE(disk.crashed());
    EXPECT_EQ(disk.operations(), n);
    auto image = disk.Image({Bytes::kAll, Names::kKept});
    EXPECT_EQ(
        testing::PrintToString(image->Names()),
        names_at_best[n].empty() ? "{}" : "{ \"" + names_at_best[n] + "\" }");
  }
}

TEST(SimCrash, IsTriedAtEachOperationWithEachImage) {
  SimFileSystem start;
  start.Put("old", "0");
  bool synced = false;
  std::set<std::string> traces;
  const size_t images = ForEachCrash(
      start, 8, [&](SimFileSystem& disk) { synced = Scenario(disk).ok(); },
      [&](SimFileSystem& image, const std::string& trace) {
        traces.insert(trace);
        EXPECT_TRUE(image.Exists("old"));
        EXPECT_TRUE(!synced || image.ReadAll("b") == "1") << trace;
      });
  EXPECT_TRUE(synced) << "the last run does not crash";
  EXPECT_EQ(traces.size(), images);
  EXPECT_GT(images, 6u);
}

TEST(SimCrash, FailsEveryCallAndChangesNothing) {
  SimFileSystem disk;
  auto directory = disk.OpenDirectory();
  auto file = std::move(*directory->Create("a"));
  ASSERT_TRUE(file->WriteAt(0, "1").ok());
  disk.CrashAt(disk.operations());
  std::string buffer(1, '\0');
  EXPECT_TRUE(file->ReadAt(0, buffer).ok()) << "changes nothing";

  EXPECT_FALSE(file->Sync().ok());
  EXPECT_FALSE(file->WriteAt(0, "2").ok());
  EXPECT_FALSE(file->ReadAt(0, buffer).ok());
  EXPECT_FALSE(file->Size().ok());
  EXPECT_FALSE(file->Truncate(0).ok());
  EXPECT_FALSE(file->AllocateZeroed(1).ok());
  EXPECT_FALSE(file->AllocateReserved(1).ok());
  EXPECT_FALSE(directory->List().ok());
  EXPECT_FALSE(directory->Open("a", OpenMode::kRead).ok());
  EXPECT_FALSE(directory->Create("b").ok());
  EXPECT_FALSE(directory->Remove("a").ok());
  EXPECT_FALSE(directory->Rename("a", "b").ok());
  EXPECT_FALSE(directory->Sync().ok());
  EXPECT_FALSE(directory->Lock().ok());
  EXPECT_FALSE(directory->FreeBytes().ok());
  EXPECT_EQ(disk.ReadAll("a"), "1");
  EXPECT_TRUE(disk.Image({})->Names().empty());
}

// --- Errors ---

TEST_F(SimDisk, FailsTheNthCall) {
  auto file = Create("a");
  disk_.FailAt(Op::kWrite, 1, EIO);
  EXPECT_TRUE(file->WriteAt(0, "1").ok());
  auto failed = file->WriteAt(1, "2");
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().sys_errno(), EIO);
  EXPECT_EQ(failed.error().message(), "write /sim/a: Input/output error");
  EXPECT_TRUE(file->WriteAt(1, "3").ok());
  EXPECT_EQ(disk_.ReadAll("a"), "13");
  EXPECT_EQ(disk_.failures(), 1u);
}

TEST_F(SimDisk, FailsForEver) {
  disk_.FailAt(Op::kCreate, 0, EMFILE, SimFileSystem::Repeat::kForever);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(directory_->Create("a").error().code(), ErrorCode::kResources);
  }
  disk_.ClearFailures();
  EXPECT_TRUE(directory_->Create("a").ok());
}

TEST_F(SimDisk, FailsTheNthOfAllCalls) {
  auto file = Create("a");
  const uint64_t before = disk_.calls();
  disk_.FailAtCall(1, EIO);
  EXPECT_TRUE(file->Size().ok());
  EXPECT_FALSE(directory_->List().ok());
  EXPECT_TRUE(file->Sync().ok());
  EXPECT_EQ(disk_.calls() - before, 3u);
  EXPECT_EQ(disk_.calls(Op::kSync), 1u);
}

TEST_F(SimDisk, ResumesAnInterruptedCall) {
  auto file = Create("a");
  disk_.FailAt(Op::kWrite, 0, EINTR);
  EXPECT_TRUE(file->WriteAt(0, "1").ok());
  EXPECT_EQ(disk_.ReadAll("a"), "1");
  EXPECT_EQ(disk_.failures(), 1u);
}

TEST_F(SimDisk, KeepsAPartOfAFailedWrite) {
  auto file = Create("a");
  disk_.FailAt(Op::kWrite, 0, EIO, SimFileSystem::Repeat::kOnce, 3);
  EXPECT_FALSE(file->WriteAt(0, "12345").ok());
  EXPECT_EQ(disk_.ReadAll("a"), "123");
}

TEST_F(SimDisk, FillsUp) {
  disk_.SetCapacity(3 * kPage);
  auto a = Create("a", "1");
  EXPECT_EQ(disk_.used_bytes(), kPage);
  EXPECT_EQ(directory_->FreeBytes().value(), 2 * kPage);

  auto b = Create("b");
  auto refused = b->AllocateZeroed(3 * kPage);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kNoSpace);
  ASSERT_TRUE(b->AllocateZeroed(2 * kPage).ok());
  EXPECT_EQ(directory_->FreeBytes().value(), 0u);

  EXPECT_TRUE(a->WriteAt(kPage - 1, "x").ok()) << "inside its page";
  EXPECT_EQ(a->WriteAt(kPage - 1, "yz").error().code(), ErrorCode::kNoSpace);
  EXPECT_EQ(a->Size().value(), kPage);

  b.reset();
  ASSERT_TRUE(directory_->Remove("b").ok());
  ASSERT_TRUE(directory_->Sync().ok());
  EXPECT_EQ(directory_->FreeBytes().value(), 2 * kPage);
}

TEST_F(SimDisk, DoesNotMakeDurableWhatASyncHasFailedOnce) {
  auto file = CreateDurable("a", Page('1') + Page('1'));
  ASSERT_TRUE(file->WriteAt(0, Page('2')).ok());
  disk_.FailAt(Op::kSync, 0, EIO);
  EXPECT_FALSE(file->Sync().ok());
  EXPECT_TRUE(file->Sync().ok()) << "and lies";
  EXPECT_EQ(disk_.ReadAll("a"), Page('2') + Page('1'));
  EXPECT_THAT(Outcomes(), testing::IsSupersetOf({"a=11", "a=21"}));

  // Other pages do become durable, and so does the page when written again.
  ASSERT_TRUE(file->WriteAt(kPage, Page('3')).ok());
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_THAT(Outcomes(), testing::IsSupersetOf({"a=13", "a=23"}));
  ASSERT_TRUE(file->WriteAt(kPage - 1, "2").ok());
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_THAT(Outcomes(), ElementsAre("a=23"));
}

TEST_F(SimDisk, MayReachTheDiskThoughTheSyncFailed) {
  auto file = CreateDurable("a", Page('1'));
  disk_.SetFailedSync({.reaches_disk = true});
  disk_.FailAt(Op::kSync, 0, EIO);
  ASSERT_TRUE(file->WriteAt(0, Page('2')).ok());
  EXPECT_FALSE(file->Sync().ok());
  EXPECT_THAT(Outcomes(), ElementsAre("a=2"));
}

TEST_F(SimDisk, MayDropTheCacheWhenASyncFails) {
  auto file = CreateDurable("a", Page('1'));
  disk_.SetFailedSync({.stays_in_cache = false});
  disk_.FailAt(Op::kSync, 0, EIO);
  ASSERT_TRUE(file->WriteAt(0, Page('2')).ok());
  EXPECT_FALSE(file->Sync().ok());
  EXPECT_EQ(disk_.ReadAll("a"), Page('1'));
  EXPECT_THAT(Outcomes(), ElementsAre("a=1"));
}

// --- Planted bugs ---

TEST_F(SimDisk, CanPretendToSync) {
  auto file = CreateDurable("a", Page('1'));
  disk_.IgnoreFileSync(true);
  ASSERT_TRUE(file->WriteAt(0, Page('2')).ok());
  EXPECT_TRUE(file->Sync().ok());
  EXPECT_EQ(After({}), "a=1");

  disk_.IgnoreDirectorySync(true);
  Create("b");
  EXPECT_TRUE(directory_->Sync().ok());
  EXPECT_EQ(After({}), "a=1");
}

// --- Durable writers ---

class SimWrite : public SimDisk {
 protected:
  static constexpr size_t kBlocks = 3;

  SimWrite() {
    file_ = CreateDurable("log", "");
    EXPECT_TRUE(file_->AllocateZeroed(kBlocks * kBlockBytes).ok());
    EXPECT_TRUE(file_->Sync().ok());
    writer_ = NewWriter();
  }

  std::unique_ptr<DurableWriter> NewWriter() {
    return std::move(*directory_->NewDurableWriter(WriteDevice::kAuto,
                                                   [this] { ++wakes_; }));
  }

  // `letters` become whole blocks.
  void Submit(std::string_view letters, DurableWriter& writer, File& file) {
    for (size_t i = 0; i < letters.size(); ++i) {
      std::fill_n(block_ + i * kBlockBytes, kBlockBytes, letters[i]);
    }
    writer.Submit(file, 0, {block_, letters.size() * kBlockBytes},
                  Durability::kSynced);
  }
  void Submit(std::string_view letters) { Submit(letters, *writer_, *file_); }

  // Outlives the writer.
  const std::unique_ptr<char, decltype(&std::free)> memory_{
      static_cast<char*>(std::aligned_alloc(kBlockBytes, kBlocks* kBlockBytes)),
      std::free};
  char* const block_ = memory_.get();
  std::unique_ptr<File> file_;
  int wakes_ = 0;
  std::unique_ptr<DurableWriter> writer_;
};

TEST_F(SimWrite, CompletesAtTheNextPoll) {
  Submit("ab");
  EXPECT_EQ(wakes_, 1);
  EXPECT_EQ(After({}), "log=...");
  EXPECT_TRUE(writer_->Poll()->ok());
  EXPECT_THAT(Outcomes(), ElementsAre("log=ab."));
}

TEST_F(SimWrite, MayBeThereInAnyPartWhileItIsInFlight) {
  disk_.SetWriteMode(SimFileSystem::WriteMode::kManual);
  Submit("ab");
  EXPECT_FALSE(writer_->Poll().has_value());
  EXPECT_TRUE(writer_->busy());
  EXPECT_THAT(Outcomes(),
              testing::IsSupersetOf({"log=...", "log=a..", "log=.b.", "log=ab.",
                                     "log=?..", "log=a?."}));
  EXPECT_EQ(wakes_, 0);
  disk_.CompleteWrite();
  EXPECT_EQ(wakes_, 1);
  EXPECT_TRUE(writer_->Poll()->ok());
  EXPECT_THAT(Outcomes(), ElementsAre("log=ab."));
}

TEST_F(SimWrite, CompletesInTheOrderThatTheTestWants) {
  disk_.SetWriteMode(SimFileSystem::WriteMode::kManual);
  auto other_file = CreateDurable("other", Page('.'));
  auto other = NewWriter();
  Submit("a");
  Submit("a", *other, *other_file);
  EXPECT_EQ(disk_.pending_writes(), 2u);
  disk_.CompleteWrite(1);
  EXPECT_TRUE(other->Poll()->ok());
  EXPECT_FALSE(writer_->Poll().has_value());
  EXPECT_EQ(disk_.pending_writes(), 1u);
  EXPECT_EQ(After({}), "log=... other=a");
}

TEST_F(SimWrite, IsNotDurableWhenItWasNotToBeSynced) {
  std::fill_n(block_, kBlockBytes, 'a');
  writer_->Submit(*file_, 0, {block_, kBlockBytes}, Durability::kUnsynced);
  EXPECT_TRUE(writer_->Poll()->ok());
  EXPECT_EQ(disk_.ReadAll("log").substr(0, kPage), Page('a'));
  EXPECT_EQ(After({}), "log=...");

  writer_->Submit(*file_, 0, {}, Durability::kSynced);
  EXPECT_TRUE(writer_->Poll()->ok());
  EXPECT_EQ(After({}), "log=a..");
}

TEST_F(SimWrite, CrashesBeforeItIsSubmittedOrBeforeItCompletes) {
  for (const uint64_t later : {0, 1}) {
    auto disk = disk_.Clone();
    auto directory = disk->OpenDirectory();
    auto file = std::move(*directory->Open("log", OpenMode::kReadWrite));
    auto writer =
        std::move(*directory->NewDurableWriter(WriteDevice::kAuto, [] {}));
    disk->CrashAt(disk->operations() + later);
    Submit("a", *writer, *file);
    const std::optional<Result<void>> result = writer->Poll();
    ASSERT_TRUE(result.has_value());
    EXPECT_EQ(result->error().message(), "simulated crash");
    EXPECT_EQ(Show(*disk->Image({Bytes::kAll, Names::kKept})),
              later == 0 ? "log=..." : "log=a..");
    EXPECT_EQ(Show(*disk->Image({})), "log=...");
  }
}

TEST_F(SimWrite, FailsInFlightWhenTheDiskCrashes) {
  disk_.SetWriteMode(SimFileSystem::WriteMode::kManual);
  Submit("a");
  disk_.CrashAt(disk_.operations());
  EXPECT_FALSE(directory_->Sync().ok());
  EXPECT_EQ(writer_->Poll()->error().message(), "simulated crash");
  EXPECT_THAT(Outcomes(), testing::IsSupersetOf({"log=...", "log=a.."}));
}

TEST_F(SimWrite, IsFinishedByTheDestructor) {
  Submit("a");
  writer_.reset();
  EXPECT_EQ(disk_.pending_writes(), 0u);
  EXPECT_THAT(Outcomes(), ElementsAre("log=a.."));
}

TEST_F(SimWrite, MayBeThereOrNotAfterItFailed) {
  disk_.FailAt(Op::kComplete, 0, EIO);
  Submit("a");
  EXPECT_EQ(writer_->Poll()->error().sys_errno(), EIO);
  EXPECT_THAT(Outcomes(), testing::IsSupersetOf({"log=...", "log=a.."}));
  // The next write of other blocks does not save it.
  writer_->Submit(*file_, 2 * kBlockBytes, {block_, kBlockBytes},
                  Durability::kSynced);
  EXPECT_TRUE(writer_->Poll()->ok());
  EXPECT_THAT(Outcomes(), testing::IsSupersetOf({"log=..a", "log=a.a"}));
}

TEST_F(SimWrite, CanPretendToSync) {
  disk_.IgnoreDurableSync(true);
  Submit("a");
  EXPECT_TRUE(writer_->Poll()->ok());
  EXPECT_EQ(After({}), "log=...");
}

TEST_F(SimWrite, EndsTheTestWhenItsBytesChangeInFlight) {
  Submit("a");
  block_[0] = 'x';
  EXPECT_DEATH((void)writer_->Poll(), "submitted_");
  block_[0] = 'a';
}

TEST_F(SimWrite, EndsTheTestWhenItIsOutsideTheAllocatedSize) {
  EXPECT_DEATH(writer_->Submit(*file_, kBlocks * kBlockBytes,
                               {block_, kBlockBytes}, Durability::kSynced),
               "size");
}

// --- The medium ---

TEST_F(SimDisk, DamagesBytesOnRequest) {
  Create("a", "abc");
  disk_.Flip("a", 8 + 1);
  EXPECT_EQ(disk_.ReadAll("a"), "a`c");
  disk_.Overwrite("a", 2, "xyz");
  EXPECT_EQ(disk_.ReadAll("a"), "a`xyz");
  disk_.Truncate("a", 3);
  disk_.Copy("a", "b");
  disk_.Put("c", "new");
  disk_.Remove("a");
  EXPECT_THAT(disk_.Names(), ElementsAre("b", "c"));
  EXPECT_EQ(disk_.ReadAll("b"), "a`x");
  EXPECT_EQ(disk_.Choices(kAll).size(), 1u);
  EXPECT_EQ(disk_.operations(), 2u) << "only the first two count";
}

TEST_F(SimDisk, ForgetsFilesThatNothingCanReach) {
  disk_.SetCapacity(2 * kPage);
  for (int i = 0; i < 100; ++i) {
    auto file = directory_->Create("a");
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->AllocateZeroed(2 * kPage).ok()) << i;
    ASSERT_TRUE(directory_->Remove("a").ok());
    ASSERT_TRUE(directory_->Sync().ok());
  }
  EXPECT_EQ(disk_.used_bytes(), 0u);
}

TEST_F(SimDisk, MakesNoImageOfTheLockFile) {
  ASSERT_TRUE(directory_->Lock().ok());
  EXPECT_EQ(disk_.Choices(kAll).size(), 1u);
  EXPECT_THAT(disk_.Image({})->Names(), ElementsAre("LOCK"));
}

}  // namespace
}  // namespace kvd
