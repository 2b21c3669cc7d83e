// SPDX-License-Identifier: MIT
//
// Opening after anything: cuts, flips, files lost, misplaced and put back.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "log/format/manifest.h"
#include "log/format/segment.h"
#include "log/log_writer.h"
#include "store/verify.h"
#include "tests/store/promises/machine.h"
#include "tests/store/promises/promises.h"

namespace kvd {
namespace {

using testing::HasSubstr;

// A disk on which lives are led and files are tampered with.
class Recovery : public testing::Test {
 protected:
  // One life: the body, then a kill.
  template <typename Body>
  void Live(Body body) {
    Machine machine(&disk_, &history_);
    const Result<void> opened = machine.Open();
    ASSERT_TRUE(opened) << opened.error().message();
    body(machine);
  }

  void PutSome(int from, int to) {
    Live([&](Machine& m) {
      for (int i = from; i < to; ++i) {
        m.Put(fmt::format("key{}", i), fmt::format("value {}", i));
        m.Settle();
      }
    });
  }

  Manifest ManifestOnDisk() const {
    return *DecodeManifest(disk_.ReadAll(kManifestName), "MANIFEST");
  }
  std::string ActiveName() const {
    return SegmentName(ManifestOnDisk().active->id);
  }

  // What an opening of `disk` answers; nothing may be changed by a refusal.
  Error Refusal(SimFileSystem* disk) {
    const std::vector<std::string> names = disk->Names();
    Machine machine(disk, &history_);
    const Result<void> opened = machine.Open();
    if (opened) return Error(ErrorCode::kInvalid, "it opened");
    EXPECT_EQ(disk->Names(), names);
    return opened.error();
  }

  SimFileSystem disk_;
  History history_;
};

TEST_F(Recovery, KeepsWholeGroupsAtEveryCut) {
  PutSome(0, 4);
  const std::string active = ActiveName();
  const std::string content = disk_.ReadAll(active);
  const size_t written = content.find_last_not_of('\0') + 1;

  size_t states_seen = 0;
  size_t keys_before = 0;
  for (size_t cut = 0; cut <= written; ++cut) {
    SCOPED_TRACE(cut);
    const auto disk = disk_.Clone();
    disk->Truncate(active, cut);
    History fresh;
    Machine machine(disk.get(), &fresh);
    ASSERT_TRUE(machine.Open());
    const Contents found = machine.Dump();
    ASSERT_LT(found.size(), history_.states.size());
    EXPECT_EQ(found, history_.states[found.size()]);
    EXPECT_GE(found.size(), keys_before);
    states_seen += cut == 0 || found.size() != keys_before ? 1 : 0;
    keys_before = found.size();
    EXPECT_TRUE(machine.Put("after", "works"));
  }
  EXPECT_EQ(states_seen, history_.states.size());
}

TEST_F(Recovery, FindsEveryFlippedBitOfWhatWasDeclaredDurable) {
  EXPECT_EQ(CheckFlipsAreFound(), "");
}

TEST_F(Recovery, ReportsEveryFlippedBitOfAnUndeclaredTail) {
  PutSome(0, 3);
  const std::string active = ActiveName();
  const size_t written = disk_.ReadAll(active).find_last_not_of('\0') + 1;
  for (uint64_t bit = 0; bit < written * 8; ++bit) {
    SCOPED_TRACE(bit);
    const auto disk = disk_.Clone();
    disk->Flip(active, bit);
    History fresh;
    Machine machine(disk.get(), &fresh);
    if (!machine.Open()) continue;
    const Contents found = machine.Dump();
    if (found == history_.states.back()) continue;
    // Only the last group may go, and not in silence.
    EXPECT_EQ(found, history_.states[history_.steps() - 1]);
    EXPECT_GT(machine.store().recovery().torn_bytes, 0u);
  }
}

TEST_F(Recovery, CountsAndLogsATornTail) {
  PutSome(0, 2);
  const std::string active = ActiveName();
  const size_t written = disk_.ReadAll(active).find_last_not_of('\0') + 1;
  disk_.Overwrite(active, written - 1, "\xff");

  StoreOptions options = SmallStore();
  std::string logged;
  options.log = [&](Severity, const std::string& text) { logged += text; };
  Machine machine(&disk_, &history_, options);
  ASSERT_TRUE(machine.Open());
  const RecoveryReport& report = machine.store().recovery();
  EXPECT_FALSE(report.clean_stop);
  EXPECT_EQ(report.torn_records, 1u);
  EXPECT_EQ(report.torn_bytes, kGroupHeaderBytes + RecordBytes(4, 7) + 0);
  EXPECT_THAT(logged, HasSubstr("cut a torn tail"));
  EXPECT_THAT(logged, HasSubstr(active));
}

TEST_F(Recovery, NeverAppendsToAnOldTail) {
  PutSome(0, 2);
  const std::string old_active = ActiveName();
  const std::string before = disk_.ReadAll(old_active);
  PutSome(2, 4);
  const std::string after = disk_.ReadAll(old_active);
  EXPECT_NE(ActiveName(), old_active);
  EXPECT_EQ(after, before.substr(0, after.size()));
}

TEST_F(Recovery, AfterACleanStopContinuesWithoutAGap) {
  Live([](Machine& m) {
    m.Put("a", "1");
    m.Settle();
    EXPECT_TRUE(m.Stop());
  });
  EXPECT_TRUE(ManifestOnDisk().clean);
  EXPECT_TRUE(ManifestOnDisk().Live().empty());
  Live([](Machine& m) {
    EXPECT_TRUE(m.store().recovery().clean_stop);
    m.Put("b", "2");
    EXPECT_EQ(m.store().last_seq(), 2u);
  });
}

TEST_F(Recovery, GivesUpWhenAskedAndChangesNothing) {
  PutSome(0, 4);
  PutSome(4, 8);
  const auto content_of = [](const SimFileSystem& disk) {
    std::map<std::string, std::string> content;
    for (const auto& name : disk.Names()) content[name] = disk.ReadAll(name);
    return content;
  };
  const auto before = content_of(disk_);
  int signs = 0;
  bool opened = false;
  for (int last = 1; !opened; ++last) {
    SCOPED_TRACE(last);
    ASSERT_LT(last, 20);
    const auto disk = disk_.Clone();
    StoreOptions options = SmallStore();
    signs = 0;
    options.on_progress = [&](const LoadProgress&) { return ++signs < last; };
    History fresh;
    Machine machine(disk.get(), &fresh, options);
    const Result<void> result = machine.Open();
    opened = result.has_value();
    if (opened) continue;
    EXPECT_EQ(result.error().code(), ErrorCode::kCancelled);
    EXPECT_EQ(signs, last);  // It does not ask again.
    EXPECT_EQ(content_of(*disk), before);
  }
  // A sign before the first segment, and one behind each.
  EXPECT_GE(signs, 3);
}

TEST_F(Recovery, RefusesSegmentsWithoutAManifest) {
  PutSome(0, 2);
  disk_.Remove(kManifestName);
  // The spare is an intact one, out of date, and counts for nothing.
  ASSERT_TRUE(DecodeManifest(disk_.ReadAll("MANIFEST.tmp"), "").ok());
  const Error refusal = Refusal(&disk_);
  EXPECT_EQ(refusal.code(), ErrorCode::kCorruption);
  EXPECT_THAT(refusal.message(), HasSubstr("no MANIFEST"));
}

TEST_F(Recovery, RefusesADamagedManifest) {
  PutSome(0, 2);
  const std::string manifest = disk_.ReadAll(kManifestName);
  for (size_t cut = 0; cut < manifest.size(); ++cut) {
    SCOPED_TRACE(cut);
    const auto disk = disk_.Clone();
    disk->Truncate(kManifestName, cut);
    EXPECT_EQ(Refusal(disk.get()).code(), ErrorCode::kCorruption);
  }
}

TEST_F(Recovery, RefusesAManifestThatSomebodyPutBack) {
  PutSome(0, 2);
  const std::string old = disk_.ReadAll(kManifestName);
  PutSome(2, 4);
  disk_.Put(kManifestName, old);
  EXPECT_EQ(Refusal(&disk_).code(), ErrorCode::kCorruption);
}

TEST_F(Recovery, RefusesAnOlderManifestThanItsSegments) {
  // The files that the old one names are all there; a newer one is, too.
  PutSome(0, 2);
  const auto old = disk_.Clone();
  PutSome(2, 4);
  const std::string newer = ActiveName();
  old->Put(newer, disk_.ReadAll(newer));
  const Error refusal = Refusal(old.get());
  EXPECT_EQ(refusal.code(), ErrorCode::kCorruption);
  EXPECT_THAT(refusal.message(), HasSubstr("older than the log"));
  EXPECT_THAT(refusal.message(), HasSubstr(newer));
}

TEST_F(Recovery, RefusesMissingAndShortSegments) {
  Live([](Machine& m) {
    m.Put("a", "1");
    m.Put("b", "2");
    m.Settle();
    m.Stop();
  });
  const std::string sealed = SegmentName(ManifestOnDisk().sealed.at(0).id);
  const auto without = disk_.Clone();
  without->Remove(sealed);
  EXPECT_THAT(Refusal(without.get()).message(), HasSubstr("missing"));

  const size_t size = disk_.ReadAll(sealed).size();
  for (size_t cut = 0; cut < size; ++cut) {
    SCOPED_TRACE(cut);
    const auto disk = disk_.Clone();
    disk->Truncate(sealed, cut);
    EXPECT_EQ(Refusal(disk.get()).code(), ErrorCode::kCorruption);
  }
}

TEST_F(Recovery, RefusesSwappedAndForeignSegments) {
  for (int life = 0; life < 2; ++life) {
    Live([&](Machine& m) {
      m.Put(fmt::format("key{}", life), "v");
      m.Settle();
      m.Stop();
    });
  }
  const Manifest manifest = ManifestOnDisk();
  const std::string first = SegmentName(manifest.sealed.at(0).id);
  const std::string second = SegmentName(manifest.sealed.at(1).id);

  const auto swapped = disk_.Clone();
  swapped->Put(first, disk_.ReadAll(second));
  swapped->Put(second, disk_.ReadAll(first));
  EXPECT_EQ(Refusal(swapped.get()).code(), ErrorCode::kCorruption);

  SimFileSystem other;
  History other_history;
  {
    Machine machine(&other, &other_history);
    ASSERT_TRUE(machine.Open());
    machine.Put("key0", "v");
    machine.Settle();
    machine.Stop();
  }
  const auto foreign = disk_.Clone();
  foreign->Put(first, other.ReadAll(first));
  EXPECT_EQ(Refusal(foreign.get()).code(), ErrorCode::kCorruption);

  const auto copied = disk_.Clone();
  copied->Put(SegmentName(90), disk_.ReadAll(first));
  EXPECT_THAT(Refusal(copied.get()).message(),
              HasSubstr("belongs to another store or place"));
}

TEST_F(Recovery, RefusesANewerFormatAndTouchesNothing) {
  PutSome(0, 2);
  std::string manifest = disk_.ReadAll(kManifestName);
  manifest.replace(manifest.find("kvd-manifest 2"), 14, "kvd-manifest 3");
  disk_.Put(kManifestName, manifest);
  EXPECT_EQ(Refusal(&disk_).code(), ErrorCode::kFormat);
  EXPECT_EQ(disk_.ReadAll(kManifestName), manifest);
}

TEST_F(Recovery, RemovesWhatACrashedPreparationLeft) {
  PutSome(0, 2);
  const uint64_t next = ManifestOnDisk().next_segment;
  disk_.Put(SegmentName(next), std::string(16 * 1024, '\0'));
  disk_.Put(SegmentName(next + 7), "");
  disk_.Put("MANIFEST.tmp", "half a man");
  PutSome(2, 3);
  EXPECT_FALSE(disk_.Exists(SegmentName(next + 7)));
  EXPECT_NE(disk_.ReadAll("MANIFEST.tmp").substr(0, 4), "half");
}

// A store that was killed opens though others have taken every free byte, and
// so does one whose start was killed, wherever that was.
TEST_F(Recovery, OpensOnADiskWithoutAFreeByte) {
  for (const int variant : {0, 1, 2, 3}) {
    const bool clean_stop = variant % 2 == 1;
    SimFileSystem disk;
    disk.SetExchanges(variant < 2);
    History history;
    {
      Machine machine(&disk, &history);
      ASSERT_TRUE(machine.Open());
      for (int i = 0; i < 20; ++i) {
        machine.Put("key" + std::to_string(i % 7), std::string(2000, 'v'));
      }
      machine.Settle();
      if (clean_stop) {
        ASSERT_TRUE(machine.Stop());
      }
    }
    disk.SetCapacity(disk.used_bytes());
    ForEachCrash(
        disk, 16,
        [&](SimFileSystem& start) {
          History scratch = history;
          Machine machine(&start, &scratch);
          const Result<void> opened = machine.Open();
          ASSERT_TRUE(opened || start.crashed()) << opened.error().message();
        },
        [&](SimFileSystem& image, const std::string& words) {
          SCOPED_TRACE(words);
          History scratch = history;
          Machine machine(&image, &scratch);
          const Result<void> opened = machine.Open();
          ASSERT_TRUE(opened) << opened.error().message();
          EXPECT_EQ(machine.Dump(), history.states.back());
        });
  }
}

// Of an older version, say: what live segments have too much goes first.
TEST_F(Recovery, OpensWithoutAFreeByteAndWithoutASpare) {
  SimFileSystem disk;
  History history;
  {
    Machine machine(&disk, &history);
    ASSERT_TRUE(machine.Open());
    for (int i = 0; i < 20; ++i) {
      machine.Put("key" + std::to_string(i % 7), std::string(2000, 'v'));
    }
    machine.Settle();
  }
  disk.Remove("MANIFEST.tmp");
  disk.SetCapacity(disk.used_bytes());
  ForEachCrash(
      disk, 16,
      [&](SimFileSystem& start) {
        History scratch = history;
        Machine machine(&start, &scratch);
        const Result<void> opened = machine.Open();
        ASSERT_TRUE(opened || start.crashed()) << opened.error().message();
      },
      [&](SimFileSystem& image, const std::string& words) {
        SCOPED_TRACE(words);
        History scratch = history;
        Machine machine(&image, &scratch);
        const Result<void> opened = machine.Open();
        ASSERT_TRUE(opened) << opened.error().message();
        EXPECT_EQ(machine.Dump(), history.states.back());
      });
}

// Writers wait for the first new segment. On a full disk that needs the room.
TEST_F(Recovery, OldSegmentsGiveSpaceBackBehindTheFirstNewOneIfThereIsRoom) {
  for (const bool room : {true, false}) {
    SCOPED_TRACE(room);
    disk_.SetCapacity(UINT64_C(1) << 40);
    PutSome(0, 3);
    const Manifest before = ManifestOnDisk();
    const std::string first = SegmentName(before.next_segment);
    const std::string second = SegmentName(before.next_segment + 1);
    const uint64_t operations = disk_.operations();
    if (!room) disk_.SetCapacity(disk_.used_bytes() + kDiskReserveBytes);
    PutSome(3, 4);
    std::vector<std::string> changes;
    for (uint64_t i = operations; i < disk_.operations(); ++i) {
      const std::string change = disk_.DescribeOperation(i);
      if (change.ends_with(".seg") &&
          (change.starts_with("truncate") || change.starts_with("remove") ||
           change.starts_with("create"))) {
        changes.push_back(change);
      }
    }
    std::vector<std::string> expected = {
        "truncate " + SegmentName(before.active->id),
        "remove " + SegmentName(before.prepared->id)};
    expected.insert(room ? expected.begin() : expected.end(),
                    "create " + first);
    if (room) expected.push_back("create " + second);
    changes.resize(std::min(changes.size(), expected.size()));
    EXPECT_EQ(changes, expected);
  }
}

// The name is free before the next segment is made, the space at the latest
// when nobody waits for one any more.
TEST_F(Recovery, GivesTheSpaceOfACrashedPreparationBack) {
  PutSome(0, 2);
  const std::string name = SegmentName(ManifestOnDisk().next_segment + 7);
  disk_.Put(name, std::string(1 << 20, '\0'));
  ASSERT_GT(disk_.used_bytes(), 1u << 20);
  Live([&](Machine& m) {
    EXPECT_FALSE(disk_.Exists(name));
    m.Put("key", "value");
    m.Settle();
    EXPECT_LT(disk_.used_bytes(), 1u << 20);
  });
}

// As a life leaves it that ends right after it has named what it sealed.
TEST_F(Recovery, CutsWhatWasSealedAndNotCut) {
  PutSome(0, 3);
  PutSome(3, 4);
  const SealedSegment sealed = ManifestOnDisk().sealed.front();
  const std::string name = SegmentName(sealed.id);
  const std::string content = disk_.ReadAll(name);
  ASSERT_EQ(content.size(), sealed.bytes);
  disk_.Put(name, content + std::string(16 * 1024, '\0'));
  PutSome(4, 5);
  EXPECT_EQ(disk_.ReadAll(name), content);
}

TEST_F(Recovery, LeavesFilesOfOthersAlone) {
  PutSome(0, 2);
  disk_.Put("notes.txt", "mine");
  PutSome(2, 3);
  EXPECT_EQ(disk_.ReadAll("notes.txt"), "mine");
}

TEST_F(Recovery, DoesNotTakeValuesForGroups) {
  PutSome(0, 2);
  // A value that is a whole segment of this very store.
  const std::string planted = disk_.ReadAll(ActiveName()).substr(0, 4000);
  Live([&](Machine& m) {
    m.Put("copy", planted);
    m.Settle();
    m.Put("copy2", planted + "x");
    m.Settle();
  });
  const Contents expected = history_.states.back();
  const std::string active = ActiveName();
  const size_t written = disk_.ReadAll(active).find_last_not_of('\0') + 1;
  for (size_t cut = 0; cut <= written; cut += 7) {
    SCOPED_TRACE(cut);
    const auto disk = disk_.Clone();
    disk->Truncate(active, cut);
    History fresh;
    Machine machine(disk.get(), &fresh);
    ASSERT_TRUE(machine.Open());
    const Contents found = machine.Dump();
    EXPECT_EQ(found, history_.states[found.size()]);
  }
}

TEST_F(Recovery, RewritesTheTailBeforeItServes) {
  EXPECT_EQ(CheckFailedFlushBeforeCrash(), "");
}

TEST_F(Recovery, TakesANewEpochAtEveryOpening) {
  EXPECT_EQ(CheckEpochIsNew(), "");
}

TEST_F(Recovery, LeavesAManifestWhenItIsKilledAndThenPowerIsLost) {
  EXPECT_EQ(CheckSpareIsSafe(), "");
}

TEST_F(Recovery, KeepsAFlushedDatabaseEmpty) {
  Live([](Machine& m) {
    m.Put("a", "1", 0, 2);
    m.Put("b", "1", 0, 5);
    m.Flush(2);
    m.Put("c", "1", 0, 2);
    m.Settle();
  });
  Live([&](Machine& m) { EXPECT_EQ(m.Dump(), history_.states.back()); });
}

TEST_F(Recovery, AnExpiredKeyDoesNotReviveWhenTheClockStepsBack) {
  Live([](Machine& m) {
    m.Put("key", "value", m.clock().WallMs() + 100);
    m.Settle();
    m.AdvanceMs(200);
    EXPECT_EQ(m.Get("key"), std::nullopt);
    m.Settle();
  });
  Live([](Machine& m) {
    m.clock().SetWallMs(1000);
    EXPECT_EQ(m.Get("key"), std::nullopt);
  });
}

// --- Verify -----------------------------------------------------------------

class Verify : public Recovery {
 protected:
  std::vector<std::string> Damages(SimFileSystem* disk) {
    std::vector<std::string> damages;
    const auto directory = disk->OpenDirectory();
    const Result<VerifyReport> report = VerifyDirectory(
        *directory, [&](const std::string& what) { damages.push_back(what); });
    if (!report) return {"error: " + report.error().message()};
    EXPECT_EQ(report->damages, damages.size());
    report_ = *report;
    return damages;
  }
  VerifyReport report_;
};

TEST_F(Verify, FindsNothingInAWholeStore) {
  PutSome(0, 3);
  EXPECT_THAT(Damages(&disk_), testing::IsEmpty());
  EXPECT_EQ(report_.records, 3u);
}

// Behind the head of a segment, where nothing was flushed, swapped or
// compacted.
constexpr uint64_t kFirstGroupAt = kSegmentHeaderBytes + kGroupHeaderBytes + 40;

// Nothing but the head is gone, which only matters without a MANIFEST.
TEST_F(Verify, SaysThatADamagedHeadAffectsNoChange) {
  Live([&](Machine& m) {
    m.Put("key", "value");
    m.Stop();
  });
  disk_.Flip(SegmentName(1), 8 * (kSegmentHeaderBytes + 20));
  EXPECT_THAT(Damages(&disk_),
              testing::ElementsAre(HasSubstr("no change is affected")));
  EXPECT_EQ(report_.records, 1u);
}

TEST_F(Verify, ListsAllDamageNotOnlyTheFirst) {
  for (int life = 0; life < 2; ++life) {
    Live([&](Machine& m) {
      for (int i = 0; i < 4; ++i) {
        m.Put(fmt::format("key{}", i), std::string(100, 'x'));
        m.Settle();
      }
      m.Stop();
    });
  }
  const Manifest manifest = ManifestOnDisk();
  const std::string first = SegmentName(manifest.sealed.at(0).id);
  const std::string second = SegmentName(manifest.sealed.at(1).id);
  disk_.Flip(first, 8 * (kFirstGroupAt + 150));
  disk_.Flip(first, 8 * (kFirstGroupAt + 550));
  disk_.Remove(second);
  const std::vector<std::string> damages = Damages(&disk_);
  ASSERT_EQ(damages.size(), 3u);
  EXPECT_THAT(damages[0], HasSubstr(fmt::format("{}: damaged from offset {}",
                                                first, kFirstGroupAt)));
  EXPECT_THAT(damages[1], HasSubstr(first + ": damaged from offset"));
  EXPECT_THAT(damages[2], HasSubstr(second + ": missing"));
  EXPECT_EQ(report_.records, 2u);
}

// What the device does not give is reported, and the rest is read.
TEST_F(Verify, GoesOnBehindWhatCannotBeRead) {
  using Op = SimFileSystem::Op;
  Live([](Machine& m) {
    for (int i = 0; i < 40; ++i) m.Put("key", std::string(2000, 'v'));
  });
  for (const Op op : {Op::kRead, Op::kOpen, Op::kSize}) {
    disk_.FailAt(op, 1, EIO, SimFileSystem::Repeat::kForever);
    const std::vector<std::string> damages = Damages(&disk_);
    EXPECT_GT(damages.size(), 1u);
    for (const std::string& text : damages) {
      const bool is_told =
          text.find("Input/output error") != std::string::npos ||
          text.find("header is not that") != std::string::npos ||
          text.find("damaged at offset") != std::string::npos;
      EXPECT_TRUE(is_told) << text;
    }
    disk_.ClearFailures();
    EXPECT_EQ(Damages(&disk_), std::vector<std::string>{});
    // A shortage is no answer.
    disk_.FailAt(op, 1, EMFILE, SimFileSystem::Repeat::kForever);
    const std::vector<std::string> answer = Damages(&disk_);
    ASSERT_EQ(answer.size(), 1u);
    EXPECT_TRUE(answer.front().starts_with("error: ")) << answer.front();
    disk_.ClearFailures();
  }
}

TEST_F(Verify, ReportsAMissingManifest) {
  PutSome(0, 1);
  disk_.Remove(kManifestName);
  ASSERT_TRUE(disk_.Exists("MANIFEST.tmp"));
  EXPECT_THAT(Damages(&disk_), testing::SizeIs(1));
}

}  // namespace
}  // namespace kvd
