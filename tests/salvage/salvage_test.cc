// SPDX-License-Identifier: MIT
#include "salvage/salvage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>

#include "salvage/report.h"
#include "tests/store/promises/machine.h"
#include "tests/support/sim_file_system.h"

namespace kvd {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kNowMs = 1;

// A store on `disk_`, what it held, and what salvage makes of the disk.
class SalvageTest : public testing::Test {
 protected:
  void Fill(const std::function<void(Machine&)>& steps,
            StoreOptions options = SmallStore(), bool stops = true) {
    History history;
    Machine machine(&disk_, &history, options);
    machine.clock().SetWallMs(kNowMs);
    ASSERT_TRUE(machine.Open().ok());
    steps(machine);
    machine.Settle();
    held_ = machine.Dump();
    EXPECT_TRUE(!stops || machine.Stop());
  }

  // Enough for some segments.
  static void PutMany(Machine& machine, int first = 0, int last = 60) {
    for (int i = first; i < last; ++i) {
      machine.Put("key" + std::to_string(i), std::string(900, 'v'));
      machine.Turn();
    }
  }

  Contents Salvaged(bool uncertain = false) {
    SimFileSystem fresh("/new");
    const auto from = disk_.OpenDirectory(/*read_only=*/true);
    const auto to = fresh.OpenDirectory();
    SalvageOptions options;
    options.uncertain = uncertain;
    options.now_ms = now_ms_;
    options.segment_bytes = 16 * 1024;
    auto report = Salvage(*from, *to, options);
    EXPECT_TRUE(report.ok()) << report.error().message();
    if (!report.ok()) return {};
    report_ = *report;
    History history;
    Machine machine(&fresh, &history);
    machine.clock().SetWallMs(kNowMs);
    const auto opened = machine.Open();
    EXPECT_TRUE(opened.ok());
    Contents found = machine.Dump();
    EXPECT_TRUE(machine.Put("probe", "works"));
    EXPECT_GE(machine.store().last_seq(), report_.next_seq);
    return found;
  }

  std::string File(size_t index, std::string_view ending = ".seg") const {
    for (const std::string& name : disk_.Names()) {
      if (name.ends_with(ending) && index-- == 0) return name;
    }
    return "";
  }

  // Flips a bit of the first value of this key in a file.
  void Hit(const std::string& file, const std::string& key) {
    const size_t at = disk_.ReadAll(file).find(key + "vvv");
    ASSERT_NE(at, std::string::npos);
    disk_.Flip(file, (at + key.size() + 1) * 8);
  }

  std::string FileWith(const std::string& key) const {
    for (const std::string& name : disk_.Names()) {
      if (name.ends_with(".seg") &&
          disk_.ReadAll(name).find(key + "vvv") != std::string::npos) {
        return name;
      }
    }
    return "";
  }

  SimFileSystem disk_;
  Contents held_;
  SalvageReport report_;
  uint64_t now_ms_ = kNowMs;
};

TEST_F(SalvageTest, AnIntactStoreComesOutAsItIs) {
  for (const bool manifest : {true, false}) {
    for (const bool stops : {true, false}) {
      SCOPED_TRACE(testing::Message() << manifest << stops);
      for (const std::string& name : disk_.Names()) disk_.Remove(name);
      Fill(
          [](Machine& machine) {
            PutMany(machine);
            machine.Delete("key3");
            machine.Swap(0, 2);
            machine.Put("after", "swap");
            machine.Flush(2);
            machine.Put("more", "x", 5'000'000);
          },
          SmallStore(), stops);
      if (!manifest) disk_.Remove(kManifestName);
      EXPECT_EQ(Salvaged(), held_);
      EXPECT_TRUE(report_.complete());
      EXPECT_THAT(report_.losses, IsEmpty());
      EXPECT_THAT(report_.doubtful, IsEmpty());
    }
  }
}

TEST_F(SalvageTest, KeysThatHaveExpiredAreLeftOut) {
  Fill([](Machine& machine) {
    machine.Put("stays", "1");
    machine.Put("goes", "2", 1000);
  });
  now_ms_ = 1000;
  held_.erase({0, "goes"});
  EXPECT_EQ(Salvaged(), held_);
  EXPECT_EQ(report_.expired, 1u);
  EXPECT_TRUE(report_.complete());
}

TEST_F(SalvageTest, WithAHintOnlyTheKeysThatAreHitAreConcerned) {
  Fill([](Machine& machine) { PutMany(machine); }, SmallStoreWithHints());
  // So that every segment has one.
  Fill([](Machine& machine) { machine.maintenance().RunAll(); },
       SmallStoreWithHints());
  Hit(FileWith("key7"), "key7");
  held_.erase({0, "key7"});
  EXPECT_EQ(Salvaged(), held_);
  EXPECT_FALSE(report_.complete());
  ASSERT_EQ(report_.doubtful.size(), 1u);
  EXPECT_EQ(report_.doubtful[0].key, "key7");
  EXPECT_EQ(report_.doubtful[0].why, DoubtfulKey::Why::kLost);
  ASSERT_EQ(report_.losses.size(), 1u);
  EXPECT_EQ(report_.losses[0].keys, 1u);
  EXPECT_THAT(ReportInWords(report_, {"/sim", "/new"}),
              Contains(HasSubstr("\"key7\"")));
  EXPECT_THAT(ReportInJson(report_, {"/sim", "/new"}),
              Contains(HasSubstr("\"key\":\"key7\"")));
}

TEST_F(SalvageTest, WithoutOneAllOlderKeysAreUncertain) {
  Fill([](Machine& machine) { PutMany(machine); });
  Hit(FileWith("key30"), "key30");
  Contents certain;
  for (const auto& [place, held] : held_) {
    if (held.seq > held_.at({0, "key30"}).seq) certain[place] = held;
  }
  EXPECT_EQ(Salvaged(), certain);
  EXPECT_EQ(report_.doubtful.size(), 30u);
  held_.erase({0, "key30"});
  EXPECT_EQ(Salvaged(/*uncertain=*/true), held_);
}

TEST_F(SalvageTest, FilesAreToldByWhatStandsInThem) {
  Fill([](Machine& machine) { PutMany(machine); });
  const std::string one = File(0);
  const std::string two = File(1);
  const std::string bytes = disk_.ReadAll(one);
  disk_.Copy(two, one);
  disk_.Put("whatever.seg", bytes);
  disk_.Remove(two);
  EXPECT_EQ(Salvaged(), held_);
  EXPECT_TRUE(report_.complete());
  disk_.Remove(kManifestName);
  EXPECT_EQ(Salvaged(), held_);
}

TEST_F(SalvageTest, ASegmentWithoutItsHeaderIsStillRead) {
  for (const bool manifest : {true, false}) {
    for (const std::string& name : disk_.Names()) disk_.Remove(name);
    Fill([](Machine& machine) { PutMany(machine); });
    if (!manifest) disk_.Remove(kManifestName);
    disk_.Overwrite(File(1), 0, std::string(kSegmentHeaderBytes, 'x'));
    EXPECT_EQ(Salvaged(), held_) << manifest;
    EXPECT_TRUE(report_.complete());
    EXPECT_FALSE(report_.losses.empty());
  }
}

TEST_F(SalvageTest, AMissingSegmentIsALoss) {
  for (const bool manifest : {true, false}) {
    SCOPED_TRACE(manifest);
    for (const std::string& name : disk_.Names()) disk_.Remove(name);
    Fill([](Machine& machine) { PutMany(machine); });
    if (!manifest) disk_.Remove(kManifestName);
    disk_.Remove(File(1));
    Salvaged();
    EXPECT_FALSE(report_.complete());
    ASSERT_FALSE(report_.losses.empty());
    EXPECT_EQ(report_.losses[0].kind, Loss::Kind::kMissing);
    EXPECT_FALSE(report_.doubtful.empty());
  }
}

// Compactions keep ids for themselves and use some of them, so that a gap in
// the row of files says nothing.
TEST_F(SalvageTest, WithoutTheManifestAnyMissingSegmentButTheLastIsNoticed) {
  for (size_t i = 0;; ++i) {
    for (const std::string& name : disk_.Names()) disk_.Remove(name);
    Fill(
        [](Machine& machine) {
          PutMany(machine);
          machine.Compact();
          for (int key = 0; key < 40; ++key) {
            machine.Delete("key" + std::to_string(key));
          }
          PutMany(machine, 100, 140);
          machine.Compact();
          PutMany(machine, 200, 240);
        },
        SmallStore(), /*stops=*/false);
    const std::string newest = FileWith("key239");
    const std::string file = File(i);
    if (file.empty()) break;
    SCOPED_TRACE(file);
    disk_.Remove(kManifestName);
    disk_.Remove(file);
    if (Salvaged() != held_ && file != newest) {
      EXPECT_FALSE(report_.complete());
    }
  }
}

// Without the MANIFEST nothing but heads says that a victim does not count.
TEST_F(SalvageTest, AVictimThatWasLeftBehindDoesNotCount) {
  std::map<std::string, std::string> before;
  Fill([&](Machine& machine) {
    PutMany(machine);
    machine.Settle();
    for (const std::string& name : disk_.Names()) {
      if (name.ends_with(".seg")) before[name] = disk_.ReadAll(name);
    }
    for (int i = 0; i < 40; ++i) machine.Delete("key" + std::to_string(i));
    PutMany(machine, 100, 140);
    machine.Settle();
    machine.Compact();
    PutMany(machine, 200, 220);
  });
  for (const auto& [name, bytes] : before) {
    if (!disk_.Exists(name)) disk_.Put(name, bytes);
  }
  EXPECT_EQ(Salvaged(), held_);
  disk_.Remove(kManifestName);
  EXPECT_EQ(Salvaged(), held_);
}

TEST_F(SalvageTest, WhatIsDamagedMayBeFoundInAVictim) {
  std::map<std::string, std::string> before;
  Fill(
      [&](Machine& machine) {
        PutMany(machine);
        machine.Settle();
        for (const std::string& name : disk_.Names()) {
          if (name.ends_with(".seg")) before[name] = disk_.ReadAll(name);
        }
        for (int i = 0; i < 60; i += 2)
          machine.Delete("key" + std::to_string(i));
        machine.Settle();
        machine.Compact();
      },
      SmallStoreWithHints());
  Hit(FileWith("key9"), "key9");
  for (const auto& [name, bytes] : before) {
    if (!disk_.Exists(name)) disk_.Put(name, bytes);
  }
  EXPECT_EQ(Salvaged(), held_);
  EXPECT_TRUE(report_.complete());
}

TEST_F(SalvageTest, AnEmptyDirectoryIsNoStore) {
  const auto from = disk_.OpenDirectory(/*read_only=*/true);
  SimFileSystem fresh("/new");
  const auto to = fresh.OpenDirectory();
  const auto report = Salvage(*from, *to, {});
  ASSERT_FALSE(report.ok());
  EXPECT_THAT(fresh.Names(), IsEmpty());
}

}  // namespace
}  // namespace kvd
