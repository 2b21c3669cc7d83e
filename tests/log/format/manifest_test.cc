// SPDX-License-Identifier: MIT
#include "log/format/manifest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "base/checksum.h"
#include "base/planted_bug.h"
#include "tests/log/format/segment_builder.h"
#include "tests/support/sim_file_system.h"

namespace kvd {
namespace {

Manifest Sample() {
  Manifest manifest;
  manifest.uuid = kTestIdentity.uuid;
  manifest.epoch = 7;
  manifest.next_segment = 14;
  manifest.next_seq = 1201;
  manifest.history_floor = 3;
  manifest.databases_as_of = 1100;
  manifest.databases.internal[0] = 5;
  manifest.databases.internal[5] = 0;
  manifest.databases.flushed[0] = 900;
  manifest.databases.flushed[9] = 1000;
  manifest.active = {12, 67108864};
  manifest.prepared = {13, 1048576};
  manifest.sealed = {
      {5, 3, SegmentKind::kLog, 66904, 1100, 1, 1100, 0x0123456789abcdef},
      {11, 7, SegmentKind::kCompacted, 128, 0, 1101, 1200, UINT64_MAX}};
  return manifest;
}

// A text that some other writer has completed with the right checksum.
std::string Signed(const std::string& facts) {
  return facts + fmt::format("checksum {:016x}\n", Checksum(facts, 0));
}

std::string FactsOf(const std::string& text) {
  return text.substr(0,
                     text.find("checksum ", text.rfind('\n', text.size() - 2)));
}

ErrorCode CodeOf(const Result<Manifest>& result) {
  return result.ok() ? ErrorCode{} : result.error().code();
}

TEST(Manifest, ComesBackAsItWasWritten) {
  Manifest smallest;
  Manifest clean = Sample();
  clean.clean = true;
  clean.active.reset();
  clean.prepared.reset();
  for (const Manifest& manifest : {smallest, Sample(), clean}) {
    const std::string text = EncodeManifest(manifest);
    const Result<Manifest> back = DecodeManifest(text, "M");
    ASSERT_TRUE(back.ok()) << back.error().message();
    EXPECT_EQ(*back, manifest);
    EXPECT_EQ(text.back(), '\n');
  }
}

TEST(Manifest, NamesItsSegmentsInTheOrderOfTheLog) {
  const Manifest manifest = Sample();
  ASSERT_EQ(manifest.Live().size(), 2u);
  EXPECT_EQ(manifest.Live()[0].id, 12u);
  EXPECT_EQ(manifest.Live()[1].id, 13u);
  for (uint64_t id = 0; id < 20; ++id) {
    const bool named = id == 5 || id == 11 || id == 12 || id == 13;
    EXPECT_EQ(manifest.Names(id), named) << id;
  }
  EXPECT_EQ(manifest.IdentityOf(manifest.sealed[0]).epoch, 3u);
  EXPECT_EQ(manifest.IdentityOf(manifest.sealed[1]).kind,
            SegmentKind::kCompacted);
  EXPECT_EQ(manifest.IdentityOfLive(12).epoch, 7u);
}

TEST(Manifest, IsDamagedAtEveryCut) {
  const std::string text = EncodeManifest(Sample());
  for (size_t cut = 0; cut < text.size(); ++cut) {
    EXPECT_EQ(CodeOf(DecodeManifest(text.substr(0, cut), "M")),
              ErrorCode::kCorruption)
        << cut;
  }
}

TEST(Manifest, NoFlippedBitPassesForOtherContent) {
  const std::string text = EncodeManifest(Sample());
  for (size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string bytes = text;
    bytes[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    const Result<Manifest> back = DecodeManifest(bytes, "M");
    // The number of the format may change into another one, or grow.
    const bool in_first_line = bit / 8 <= text.find('\n');
    if (in_first_line && CodeOf(back) == ErrorCode::kFormat) continue;
    EXPECT_EQ(CodeOf(back), ErrorCode::kCorruption) << "bit " << bit;
  }
}

TEST(Manifest, NoLineMayBeMissingDoubledOrStrange) {
  const std::string text = EncodeManifest(Sample());
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin) + 1;
    const std::string line = text.substr(begin, end - begin);
    SCOPED_TRACE(line);
    std::string without = text;
    without.erase(begin, line.size());
    EXPECT_FALSE(DecodeManifest(without, "M").ok());
    std::string doubled = text;
    doubled.insert(begin, line);
    EXPECT_FALSE(DecodeManifest(doubled, "M").ok());
    std::string strange = text;
    strange.insert(end - 1, " x");
    EXPECT_FALSE(DecodeManifest(strange, "M").ok());
    begin = end;
  }
}

TEST(Manifest, DamageNamesTheFile) {
  const auto result = DecodeManifest("rubbish", "/data/MANIFEST");
  ASSERT_FALSE(result.ok());
  EXPECT_TRUE(result.error().message().starts_with("/data/MANIFEST"));
}

TEST(Manifest, AnotherFormatIsToldFromDamage) {
  std::string facts = FactsOf(EncodeManifest(Sample()));
  ASSERT_TRUE(DecodeManifest(Signed(facts), "M").ok());
  for (const char* version : {"1", "3", "10", "2 beta", ""}) {
    std::string other = facts;
    other.replace(0, other.find('\n'), std::string("kvd-manifest ") + version);
    EXPECT_EQ(CodeOf(DecodeManifest(Signed(other), "M")), ErrorCode::kFormat)
        << version;
    // Whatever its last line looks like.
    EXPECT_EQ(CodeOf(DecodeManifest(other, "M")), ErrorCode::kFormat);
  }
}

TEST(Manifest, UnknownFeaturesAndLinesNeedANewerVersion) {
  Manifest features = Sample();
  features.features = 4;
  EXPECT_EQ(CodeOf(DecodeManifest(EncodeManifest(features), "M")),
            ErrorCode::kFormat);

  const std::string facts = FactsOf(EncodeManifest(Sample()));
  for (const char* line :
       {"colour red", "", "epoch", "epoch 8 9", "epoch -1", "epoch 8x",
        "epoch 99999999999999999999", "clean maybe", "uuid 0011",
        "database 16 internal 0 flushed 0", "database 0 internal 16 flushed 0",
        "active 12",
        "sealed 5 epoch 3 kind other bytes 1 records 1 first 1 "
        "last 1 checksum 0"}) {
    const auto result = DecodeManifest(Signed(facts + line + "\n"), "M");
    EXPECT_EQ(CodeOf(result), ErrorCode::kFormat) << line;
    EXPECT_NE(result.ok() ? "" : result.error().message(), "");
  }
}

TEST(Manifest, IsDamagedWhenItContradictsItself) {
  const std::string facts = FactsOf(EncodeManifest(Manifest()));
  ASSERT_TRUE(DecodeManifest(Signed(facts), "M").ok());
  for (const char* more : {
           "database 0 internal 5 flushed 5\n",
           "database 0 internal 0 flushed 5\ndatabase 0 internal 0 flushed 6\n",
           "database 0 internal 0 flushed 0\n",
           "epoch 0\n",
           "active 3 bytes 4096\nactive 4 bytes 4096\n",
       }) {
    SCOPED_TRACE(more);
    EXPECT_EQ(CodeOf(DecodeManifest(Signed(facts + more), "M")),
              ErrorCode::kCorruption);
  }
}

TEST(Manifest, FlushesAndSwapsAreTakenIn) {
  DatabaseMap map;
  map.Apply({RecordKind::kFlush, 3, 70, 0, "", ""});
  EXPECT_EQ(map.flushed[3], 70u);
  map.Apply({RecordKind::kSwap, 3, 71, 0, "", NumberValue(5).view()});
  EXPECT_EQ(map.internal[3], 5);
  EXPECT_EQ(map.internal[5], 3);
  const DatabaseMap before = map;
  map.Apply({RecordKind::kPut, 3, 72, 0, "k", "v"});
  map.Apply({RecordKind::kDelete, 3, 73, 0, "k", ""});
  EXPECT_EQ(map, before);
}

// --- On a disk ---------------------------------------------------------------

TEST(ManifestFile, IsNotFoundWhenThereIsNone) {
  SimFileSystem disk;
  const auto directory = disk.OpenDirectory();
  EXPECT_EQ(CodeOf(LoadManifest(*directory)), ErrorCode::kNotFound);
}

// A crash at any operation, with any loss, leaves the old or the new MANIFEST,
// and the new one once SaveManifest() has returned.
TEST(ManifestFile, IsReplacedAtomicallyAndDurably) {
  Manifest before = Sample();
  Manifest after = Sample();
  after.epoch = 8;
  after.sealed.resize(400, after.sealed[0]);  // Several pages of text.

  for (const int variant : {0, 1, 2, 3}) {
    const bool leftover = variant % 2 == 1;
    SimFileSystem start;
    start.SetExchanges(variant < 2);
    ASSERT_TRUE(SaveManifest(*start.OpenDirectory(), before).ok());
    if (leftover) start.Put(kManifestTemporaryName, "half a manif");

    bool saved = false;
    size_t old_ones = 0;
    size_t new_ones = 0;
    const size_t images = ForEachCrash(
        start, 40,
        [&](SimFileSystem& disk) {
          saved = false;
          saved = SaveManifest(*disk.OpenDirectory(), after).ok();
        },
        [&](SimFileSystem& image, const std::string& words) {
          SCOPED_TRACE(words);
          const auto found = LoadManifest(*image.OpenDirectory());
          ASSERT_TRUE(found.ok()) << found.error().message();
          if (*found == after) {
            ++new_ones;
          } else {
            ++old_ones;
            EXPECT_EQ(*found, before);
            EXPECT_FALSE(saved);
          }
        });
    EXPECT_EQ(images, old_ones + new_ones);
    EXPECT_GT(old_ones, 0u);
    EXPECT_GT(new_ones, 0u);
  }
}

// A process that is killed leaves names that are exchanged and not durable: the
// spare of the next one may be the MANIFEST again after a power loss.
size_t LostToAKillAndThenAPowerLoss() {
  Manifest manifests[3];
  for (uint64_t i = 0; i < 3; ++i) {
    manifests[i] = Sample();
    manifests[i].epoch = 7 + i;
    // Several pages, which a power loss can tear.
    manifests[i].sealed.resize(50 - 10 * i, Sample().sealed[0]);
  }
  SimFileSystem start;
  EXPECT_TRUE(SaveManifest(*start.OpenDirectory(), manifests[0]).ok());
  LeaveManifestSpare(*start.OpenDirectory(), manifests[0]);
  size_t lost = 0;
  bool was_killed = true;
  for (uint64_t kill = 0; was_killed; ++kill) {
    const auto killed = start.Clone();
    killed->CrashAt(kill);
    was_killed = !SaveManifest(*killed->OpenDirectory(), manifests[1]);
    ForEachCrash(
        *killed->Clone(), 100,
        [&](SimFileSystem& disk) {
          (void)SaveManifest(*disk.OpenDirectory(), manifests[2]);
        },
        [&](SimFileSystem& image, const std::string&) {
          const auto found = LoadManifest(*image.OpenDirectory());
          const bool is_one =
              found && std::find(std::begin(manifests), std::end(manifests),
                                 *found) != std::end(manifests);
          if (!is_one) ++lost;
        });
  }
  return lost;
}

TEST(ManifestFile, IsSafeAfterAKillAndThenAPowerLoss) {
  EXPECT_EQ(LostToAKillAndThenAPowerLoss(), 0u);
}

#ifdef KVD_PLANTED_BUGS
TEST(ManifestFile, IsLostIfASpareIsTakenThatIsNotSafe) {
  const ScopedPlantedBug planted(PlantedBug::kSpareNotSafe);
  EXPECT_GT(LostToAKillAndThenAPowerLoss(), 0u);
}
#endif

// The sync that makes it so fails: the spare is left alone.
TEST(ManifestFile, WritesNoSpareThatIsNotSafe) {
  SimFileSystem disk;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(SaveManifest(*disk.OpenDirectory(), Sample()).ok());
  }
  const uint64_t writes = disk.calls(SimFileSystem::Op::kWrite);
  disk.FailAt(SimFileSystem::Op::kDirectorySync, 0, ENOSPC);
  EXPECT_FALSE(SaveManifest(*disk.OpenDirectory(), Sample()).ok());
  EXPECT_EQ(disk.calls(SimFileSystem::Op::kWrite), writes);
}

// Nothing is made, so that nobody can take the space first; and a text may grow
// and shrink in it.
TEST(ManifestFile, UsesTwoFilesInTurn) {
  Manifest manifest = Sample();
  SimFileSystem disk;
  const auto directory = disk.OpenDirectory();
  uint64_t identities[2];
  for (uint64_t& identity : identities) {
    ASSERT_TRUE(SaveManifest(*directory, manifest, &identity).ok());
    LeaveManifestSpare(*directory, manifest);
  }
  const uint64_t creations = disk.calls(SimFileSystem::Op::kCreate);
  disk.SetCapacity(disk.used_bytes());
  for (const size_t segments : {1, 40, 2, 2, 60, 1, 70}) {
    manifest.sealed.resize(segments, Sample().sealed[0]);
    uint64_t identity = 0;
    ASSERT_TRUE(SaveManifest(*directory, manifest, &identity).ok()) << segments;
    EXPECT_EQ(*LoadManifest(*directory), manifest);
    EXPECT_EQ(identity, identities[0]);
    std::swap(identities[0], identities[1]);
    LeaveManifestSpare(*directory, manifest);
  }
  EXPECT_EQ(disk.calls(SimFileSystem::Op::kCreate), creations);
}

// With a spare it takes not a byte, and leaves the next one where it can.
TEST(ManifestFile, NeedsNoSpaceWhereASpareIs) {
  for (const bool exchanges : {true, false}) {
    Manifest manifest = Sample();
    SimFileSystem disk;
    disk.SetExchanges(exchanges);
    ASSERT_TRUE(SaveManifest(*disk.OpenDirectory(), manifest).ok());
    LeaveManifestSpare(*disk.OpenDirectory(), manifest);
    disk.SetCapacity(disk.used_bytes());
    for (int i = 0; i < 5; ++i) {
      manifest.epoch = 100 + static_cast<uint64_t>(i);
      ASSERT_TRUE(SaveManifest(*disk.OpenDirectory(), manifest).ok()) << i;
      EXPECT_EQ(*LoadManifest(*disk.OpenDirectory()), manifest);
      LeaveManifestSpare(*disk.OpenDirectory(), manifest);
      EXPECT_TRUE(disk.Exists(kManifestTemporaryName)) << i;
    }
  }
}

// Nor does a crash at any operation take the spare's space from the next one,
// as long as nobody else takes it.
TEST(ManifestFile, ACrashLeavesTheSpaceForTheNextOne) {
  Manifest before = Sample();
  Manifest after = Sample();
  after.epoch = 8;
  SimFileSystem start;
  ASSERT_TRUE(SaveManifest(*start.OpenDirectory(), before).ok());
  LeaveManifestSpare(*start.OpenDirectory(), before);
  start.SetCapacity(start.used_bytes());
  ForEachCrash(
      start, 40,
      [&](SimFileSystem& disk) {
        if (!SaveManifest(*disk.OpenDirectory(), after)) return;
        LeaveManifestSpare(*disk.OpenDirectory(), after);
      },
      [&](SimFileSystem& image, const std::string& words) {
        SCOPED_TRACE(words);
        EXPECT_TRUE(LoadManifest(*image.OpenDirectory()).ok());
        const Result<void> saved = SaveManifest(*image.OpenDirectory(), after);
        EXPECT_TRUE(saved.ok()) << saved.error().message();
      });
}

TEST(ManifestFile, AFailureLeavesTheOldOrTheNewOne) {
  Manifest before = Sample();
  Manifest after = Sample();
  after.epoch = 8;
  for (uint64_t nth = 0;; ++nth) {
    SimFileSystem disk;
    disk.SetExchanges(nth % 4 < 2);
    ASSERT_TRUE(SaveManifest(*disk.OpenDirectory(), before).ok());
    if (nth % 2 == 0) LeaveManifestSpare(*disk.OpenDirectory(), before);
    disk.FailAtCall(nth / 4, ENOSPC);
    const Result<void> saved = SaveManifest(*disk.OpenDirectory(), after);
    if (disk.failures() == 0) {
      EXPECT_TRUE(saved.ok());
      EXPECT_GT(nth, 8u);
      break;
    }
    disk.ClearFailures();
    const auto found = LoadManifest(*disk.OpenDirectory());
    ASSERT_TRUE(found.ok());
    EXPECT_TRUE(*found == after || *found == before) << nth;
    EXPECT_TRUE(!saved.ok() || *found == after) << nth;
    // A second try finds nothing in its way.
    EXPECT_TRUE(SaveManifest(*disk.OpenDirectory(), after).ok()) << nth;
  }
}

}  // namespace
}  // namespace kvd
