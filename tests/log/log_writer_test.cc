// SPDX-License-Identifier: MIT
#include "log/log_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "log/read/leftovers.h"
#include "log/read/sealed_walk.h"
#include "tests/log/read/read_log.h"
#include "tests/support/manual_clock.h"
#include "tests/support/manual_executor.h"
#include "tests/support/sim_file_system.h"

namespace kvd {
namespace {

constexpr uint64_t kSegment = 16 * 1024;

constexpr uint64_t kPutBytes100 = RecordBytes(1, 67);
static_assert(kPutBytes100 == 100);

class LogWriterTest : public testing::Test {
 protected:
  LogWriterTest() {
    options_.segment_bytes = kSegment;
    options_.open_group_bytes_max = 8 * 1024;
    options_.log = [this](Severity severity, const std::string& text) {
      if (severity != Severity::kInfo) warnings_.push_back(text);
    };
    manifest_.uuid = {1, 2, 3};
    manifest_.epoch = 7;
    manifest_.next_seq = 100;
  }
  ~LogWriterTest() override { Destroy(); }

  // Starts the writer; with `prepare`, its first segments are there.
  void Start(bool prepare = true) {
    directory_ = disk_.OpenDirectory();
    ASSERT_TRUE(SaveManifest(*directory_, manifest_).ok());
    auto writer = LogWriter::Start(*directory_, manifest_, options_, executor_,
                                   clock_, [] {});
    ASSERT_TRUE(writer.ok()) << writer.error().message();
    log_ = std::move(*writer);
    if (prepare) Settle();
  }
  void Destroy() {
    executor_.set_auto_run(true);
    executor_.RunAll();
    log_.reset();
  }

  // As if nothing had ever been there.
  void StartOver() {
    Destroy();
    executor_.set_auto_run(false);
    disk_.SetCapacity(UINT64_C(1) << 40);
    for (const std::string& name : disk_.Names()) disk_.Remove(name);
  }

  // Lets jobs and completions happen until nothing is under way.
  void Settle() {
    for (int turn = 0; turn < 200; ++turn) {
      log_->Pump();
      const size_t jobs = executor_.RunAll();
      const bool changed = log_->Poll();
      if (jobs == 0 && !changed) return;
    }
    ADD_FAILURE() << "it never settles";
  }
  // Some turns of a loop, each with everything that may happen in one.
  void Turn() {
    log_->Pump();
    executor_.RunAll();
    log_->Poll();
  }

  Room RoomFor(uint64_t bytes, Purpose purpose = Purpose::kWrite) {
    return log_->RoomFor(bytes, purpose);
  }
  // Room for a record of `bytes` after waiting, or why there is none.
  Room WaitForRoom(uint64_t bytes, Purpose purpose = Purpose::kWrite) {
    Room room = RoomFor(bytes, purpose);
    for (int turn = 0; turn < 200 && room == Room::kWait; ++turn) {
      Turn();
      room = RoomFor(bytes, purpose);
    }
    return room;
  }
  // Appends a put whose record has `bytes`; there must be room.
  uint64_t Append(uint64_t bytes, char fill = 'v') {
    const std::string value(bytes - RecordBytes(1, 0), fill);
    const auto appended = log_->Append(RecordKind::kPut, 0, "k", value, 0);
    places_[appended.seq] = appended.place;
    return appended.seq;
  }
  uint64_t Put(uint64_t bytes, char fill = 'v') {
    EXPECT_EQ(WaitForRoom(bytes), Room::kReady);
    return Append(bytes, fill);
  }
  Room TryDelete() {
    const uint64_t bytes = RecordBytes(1, 0);
    const Room room = WaitForRoom(bytes, Purpose::kRemoval);
    if (room == Room::kReady) {
      log_->Append(RecordKind::kDelete, 0, "k", "", 0);
    }
    return room;
  }
  // Puts 100-byte records one by one until there is no room; returns why.
  Room Fill(int* puts = nullptr) {
    while (true) {
      const Room room = WaitForRoom(kPutBytes100);
      if (room != Room::kReady) return room;
      Append(kPutBytes100);
      if (puts != nullptr) ++*puts;
      Turn();
    }
  }

  // The sequence numbers that a reader of `disk` gets, by the manifest there.
  std::vector<uint64_t> SeqsOn(SimFileSystem& disk) {
    const auto directory = disk.OpenDirectory();
    const auto manifest = LoadManifest(*directory);
    std::vector<uint64_t> seqs;
    EXPECT_TRUE(manifest.ok());
    if (!manifest) return seqs;
    const auto tail = ReadLog(
        *directory, *manifest,
        [&](const Record& record, Place) { seqs.push_back(record.seq); },
        [](uint64_t) {});
    EXPECT_TRUE(tail.ok()) << tail.error().message();
    return seqs;
  }
  // What surely survives a power loss now.
  std::vector<uint64_t> DurableSeqs() {
    const auto image = disk_.Image({});
    return SeqsOn(*image);
  }
  static std::vector<uint64_t> UpTo(uint64_t last) {
    std::vector<uint64_t> seqs;
    for (uint64_t seq = 100; seq <= last; ++seq) seqs.push_back(seq);
    return seqs;
  }
  uint64_t Submits() { return disk_.calls(SimFileSystem::Op::kSubmit); }
  // The segments made so far, one letter each: z zeroed, r reserved.
  std::string SegmentsMade() {
    std::string made;
    for (uint64_t n = 0; n < disk_.operations(); ++n) {
      const std::string operation = disk_.DescribeOperation(n);
      if (!operation.ends_with(".seg")) continue;
      if (operation.starts_with("allocate")) made += 'z';
      if (operation.starts_with("reserve")) made += 'r';
    }
    return made;
  }
  int TimesZeroed(const std::string& segment) {
    int times = 0;
    for (uint64_t n = 0; n < disk_.operations(); ++n) {
      if (disk_.DescribeOperation(n) == "write " + segment) ++times;
    }
    return times;
  }
  void PutSmallGroups(int count) {
    for (int i = 0; i < count; ++i) {
      Put(1000);
      Settle();
    }
  }
  // Fills `count` segments with groups of one record each.
  void FillSegments(int count, uint64_t group_bytes) {
    const size_t sealed = log_->manifest().sealed.size();
    const size_t wanted = sealed + static_cast<size_t>(count);
    for (int puts = 0; log_->manifest().sealed.size() < wanted; ++puts) {
      ASSERT_LT(puts, 10'000);
      Put(group_bytes);
      Settle();
    }
  }

  // Has segments, active and prepared, that are reserved for large groups.
  // Returns the name of the prepared one.
  std::string StartWithLargeGroups() {
    options_.segment_bytes = 8 << 20;
    Start();
    FillSegments(3, 2 * kZeroingLimitDefault);
    return SegmentName(log_->manifest().prepared->id);
  }

  SimFileSystem disk_;
  ManualExecutor executor_;
  ManualClock clock_;
  LogWriterOptions options_;
  Manifest manifest_;
  std::vector<std::string> warnings_;
  std::map<uint64_t, Place> places_;
  std::unique_ptr<Directory> directory_;
  std::unique_ptr<LogWriter> log_;
};

// --- Groups ------------------------------------------------------------------

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

// --- Segments ----------------------------------------------------------------

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

// --- A full disk -------------------------------------------------------------

class LogWriterFullDisk : public LogWriterTest {
 protected:
  // Room for `segments` whole segments beside the reserve and the MANIFEST.
  void SetRoomFor(uint64_t segments) {
    disk_.SetCapacity(kDiskReserveBytes + 6 * 4096 + segments * kSegment);
  }
};

TEST_F(LogWriterFullDisk, RefusesBeforeAnythingIsChanged) {
  SetRoomFor(3);
  Start();
  int puts = 0;
  EXPECT_EQ(Fill(&puts), Room::kDiskFull);
  EXPECT_TRUE(log_->disk_full());
  EXPECT_GT(puts, 200);
  const uint64_t last = log_->last_seq();
  EXPECT_EQ(last, 99u + static_cast<uint64_t>(puts));
  EXPECT_EQ(log_->durable_seq(), last);
  EXPECT_FALSE(log_->failure());
  EXPECT_EQ(DurableSeqs(), UpTo(last));
  EXPECT_EQ(warnings_.size(), 1u);
  // It stays that way without being told again and again.
  for (int i = 0; i < 5; ++i) {
    clock_.AdvanceMs(kDiskFullRetryMs);
    log_->Tick();
    Settle();
  }
  EXPECT_EQ(warnings_.size(), 1u);
  EXPECT_EQ(WaitForRoom(kPutBytes100), Room::kDiskFull);
}

TEST_F(LogWriterFullDisk, RemovalsGoOnFromTheReserve) {
  SetRoomFor(3);
  Start();
  ASSERT_EQ(Fill(), Room::kDiskFull);
  int removals = 0;
  while (TryDelete() == Room::kReady && removals < 1000) {
    ++removals;
    EXPECT_EQ(RoomFor(kPutBytes100), Room::kDiskFull);
    Turn();
  }
  // A sixteenth of the segment, in groups of one record and their headers.
  EXPECT_GE(removals, static_cast<int>(kSegment / 16 / (64 + 40)));
  EXPECT_LT(removals, 100);
  Settle();
  EXPECT_EQ(DurableSeqs(), UpTo(log_->last_seq()));
}

// One group may fill the last segment, but not its reserve.
TEST_F(LogWriterFullDisk, ALargeGroupLeavesTheReserveToo) {
  options_.open_group_bytes_max = 1 << 20;
  SetRoomFor(2);
  Start();
  Put(kSegment / 2);
  Settle();
  for (uint64_t bytes = kSegment; bytes > kSegment / 2; bytes -= 8) {
    const Room room = WaitForRoom(bytes);
    ASSERT_NE(room, Room::kWait);
    if (room != Room::kReady) continue;
    Append(bytes);
    break;
  }
  Settle();
  EXPECT_EQ(log_->last_seq(), 101u);
  EXPECT_TRUE(log_->disk_full());
  EXPECT_EQ(TryDelete(), Room::kReady);
}

TEST_F(LogWriterFullDisk, ResumesByItselfWhenThereIsRoom) {
  SetRoomFor(3);
  Start();
  ASSERT_EQ(Fill(), Room::kDiskFull);
  SetRoomFor(6);
  EXPECT_EQ(WaitForRoom(kPutBytes100), Room::kDiskFull);  // Not noticed yet.
  const auto next = log_->Tick();
  ASSERT_TRUE(next.has_value());
  EXPECT_LE(*next, kDiskFullRetryMs);
  clock_.AdvanceMs(kDiskFullRetryMs);
  log_->Tick();
  Settle();
  EXPECT_FALSE(log_->disk_full());
  EXPECT_EQ(WaitForRoom(kPutBytes100), Room::kReady);
  Append(kPutBytes100);
  Settle();
  EXPECT_EQ(DurableSeqs(), UpTo(log_->last_seq()));
}

// Compaction, which would give room, waits for that.
TEST_F(LogWriterFullDisk, TheManifestIsWrittenThoughNoSegmentCanBePrepared) {
  SetRoomFor(3);
  Start();
  ASSERT_EQ(Fill(), Room::kDiskFull);
  Settle();
  clock_.AdvanceMs(kDiskFullRetryMs);
  log_->Tick();
  ASSERT_EQ(executor_.pending(), 1u) << "another segment was tried";
  uint64_t first_id = 0;
  const uint64_t ticket = log_->ReserveSegmentIds(1, &first_id);
  Settle();
  EXPECT_TRUE(log_->disk_full());
  EXPECT_TRUE(log_->InManifest(ticket));
}

TEST_F(LogWriterFullDisk, UsesSmallerSegmentsForWhatIsLeft) {
  constexpr uint64_t kLarge = 64 << 20;
  options_.segment_bytes = kLarge;
  options_.first_segment_bytes = kLarge;
  disk_.SetCapacity(kLarge + (24 << 20));
  Start();
  EXPECT_EQ(log_->manifest().active->bytes, kLarge);
  ASSERT_TRUE(log_->manifest().prepared.has_value());
  const uint64_t small = log_->manifest().prepared->bytes;
  EXPECT_LT(small, kLarge);
  EXPECT_GE(small, kSmallSegmentBytes);
  EXPECT_FALSE(log_->disk_full());
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(LogWriterFullDisk, ALargeValueThatHasNoRoomBlocksNoSmallOnes) {
  SetRoomFor(6);
  Start();
  EXPECT_EQ(WaitForRoom(1 << 20), Room::kDiskFull);
  EXPECT_EQ(log_->last_seq(), 99u);
  int puts = 0;
  EXPECT_EQ(Fill(&puts), Room::kDiskFull);
  EXPECT_GT(puts, 300);  // More than the first segments had room for.
  Settle();
  EXPECT_EQ(DurableSeqs(), UpTo(log_->last_seq()));
}

// However the disk fills up and where, space that was granted suffices.
TEST_F(LogWriterFullDisk, NeverFailsWhateverItsSize) {
  for (uint64_t pages = 0; pages < 40; ++pages) {
    SCOPED_TRACE(pages);
    disk_.SetCapacity(kDiskReserveBytes + (2 + pages) * 4096);
    Start();
    EXPECT_NE(Fill(), Room::kWait);
    while (TryDelete() == Room::kReady) Turn();
    Settle();
    EXPECT_FALSE(log_->failure());
    EXPECT_EQ(DurableSeqs(), UpTo(log_->last_seq()));
    StartOver();
  }
}

TEST_F(LogWriterFullDisk, AMissingMegabyteForTheManifestIsWaitedFor) {
  Start(/*prepare=*/false);
  executor_.RunOne();  // The segment is there …
  log_->Poll();
  disk_.FailAt(SimFileSystem::Op::kWrite, 0, ENOSPC);
  executor_.RunOne();  // … but not its name.
  log_->Poll();
  EXPECT_FALSE(log_->failure());
  EXPECT_GT(disk_.failures(), 0u);
  EXPECT_NE(RoomFor(100), Room::kReady);
  const auto next = log_->Tick();
  ASSERT_TRUE(next.has_value());
  EXPECT_LE(*next, kDiskFullRetryMs);

  clock_.AdvanceMs(kDiskFullRetryMs);
  log_->Tick();
  Settle();
  EXPECT_EQ(WaitForRoom(100), Room::kReady);
  EXPECT_FALSE(log_->disk_full());
  Append(100);
  Settle();
  EXPECT_EQ(DurableSeqs(), UpTo(100));
}

// A shortage is none of room: nobody is refused, and nothing says "full".
TEST_F(LogWriterFullDisk, AShortageOfDescriptorsIsWaitedFor) {
  using Op = SimFileSystem::Op;
  for (const Op op : {Op::kCreate, Op::kOpen, Op::kSync, Op::kDirectorySync}) {
    for (const int sys_errno : {EMFILE, ENFILE, ENOMEM, EAGAIN}) {
      SCOPED_TRACE(sys_errno);
      warnings_.clear();
      Start(/*prepare=*/false);
      const uint64_t before = disk_.failures();
      disk_.FailAt(op, 0, sys_errno);
      Settle();
      EXPECT_GT(disk_.failures(), before);
      EXPECT_FALSE(log_->failure());
      EXPECT_FALSE(log_->disk_full());
      EXPECT_EQ(RoomFor(100), Room::kWait);
      EXPECT_EQ(warnings_.size(), 1u);
      const auto next = log_->Tick();
      ASSERT_TRUE(next.has_value());
      EXPECT_LE(*next, kDiskFullRetryMs);
      clock_.AdvanceMs(kDiskFullRetryMs);
      log_->Tick();
      Settle();
      EXPECT_EQ(WaitForRoom(100), Room::kReady);
      Append(100);
      Settle();
      EXPECT_EQ(DurableSeqs(), UpTo(100));
      StartOver();
    }
  }
}

// A writer that waits for a larger segment than the prepared one hears when to
// ask again.
TEST_F(LogWriterFullDisk, AShortageHoldsUpALargeGroupForAWhile) {
  Start();
  disk_.FailAt(SimFileSystem::Op::kCreate, 0, EMFILE);
  EXPECT_EQ(RoomFor(2 * kSegment), Room::kWait);
  Settle();
  EXPECT_GT(disk_.failures(), 0u);
  EXPECT_EQ(RoomFor(2 * kSegment), Room::kWait);
  EXPECT_FALSE(log_->Poll());
  clock_.AdvanceMs(kDiskFullRetryMs);
  log_->Tick();
  EXPECT_TRUE(log_->Poll());
  EXPECT_EQ(WaitForRoom(2 * kSegment), Room::kReady);
}

// The mark of a full disk goes, too, when nobody needs a segment.
TEST_F(LogWriterFullDisk, IsNotFullForEverBehindALargeGroup) {
  options_.first_segment_bytes = 4 * 4096;
  Start();
  disk_.FailAt(SimFileSystem::Op::kCreate, 0, ENOSPC);
  disk_.FailAt(SimFileSystem::Op::kReserve, 0, ENOSPC);
  disk_.FailAt(SimFileSystem::Op::kAllocate, 0, ENOSPC,
               SimFileSystem::Repeat::kForever);
  (void)WaitForRoom(kSegment / 2);
  Settle();
  disk_.ClearFailures();
  for (int i = 0; i < 3; ++i) {
    clock_.AdvanceMs(kDiskFullRetryMs);
    log_->Tick();
    Settle();
  }
  EXPECT_FALSE(log_->disk_full());
  EXPECT_EQ(WaitForRoom(kSegment / 2), Room::kReady);
}

TEST_F(LogWriterFullDisk, ExpiryLeavesTheReserveToRemovals) {
  SetRoomFor(3);
  Start();
  ASSERT_EQ(Fill(), Room::kDiskFull);
  while (WaitForRoom(RecordBytes(1, 0), Purpose::kExpiry) == Room::kReady) {
    log_->Append(RecordKind::kExpire, 0, "k", "", 0);
    Turn();
  }
  EXPECT_EQ(TryDelete(), Room::kReady);
}

TEST_F(LogWriterFullDisk, OldSpaceIsGivenBackWhenTheManifestHasNoRoom) {
  int times = 0;
  options_.give_space_back = [&] { ++times; };
  Start(/*prepare=*/false);
  executor_.RunOne();
  log_->Poll();
  EXPECT_EQ(times, 0);
  disk_.FailAt(SimFileSystem::Op::kWrite, 0, ENOSPC);
  executor_.RunOne();
  log_->Poll();
  ASSERT_TRUE(log_->disk_full());
  clock_.AdvanceMs(kDiskFullRetryMs);
  log_->Tick();
  executor_.RunOne();
  EXPECT_EQ(times, 1);
  Settle();
  EXPECT_EQ(WaitForRoom(100), Room::kReady);
  EXPECT_EQ(times, 1);
}

// --- Quiet times and lazy modes ----------------------------------------------

TEST_F(LogWriterTest, DeclaresTheLastGroupDurableWhenIdle) {
  Start();
  Put(100);
  Settle();
  EXPECT_EQ(log_->groups_written(), 1u);
  const auto next = log_->Tick();
  ASSERT_TRUE(next.has_value());
  EXPECT_LE(*next, options_.idle_declare_ms);
  Settle();
  EXPECT_EQ(log_->groups_written(), 1u) << "not idle for long enough";

  clock_.AdvanceMs(options_.idle_declare_ms);
  log_->Tick();
  Settle();
  EXPECT_EQ(log_->groups_written(), 2u);
  EXPECT_EQ(log_->last_seq(), 100u);
  // Once is enough, and then there is nothing to wake up for.
  clock_.AdvanceMs(10 * options_.idle_declare_ms);
  EXPECT_FALSE(log_->Tick().has_value());
  Settle();
  EXPECT_EQ(log_->groups_written(), 2u);

  // It is evidence: the damaged group before it does not pass as torn.
  disk_.Flip(SegmentName(1), 200 * 8);
  const auto tail = ReadLog(
      *directory_, *LoadManifest(*directory_), [](const Record&, Place) {},
      [](uint64_t) {});
  ASSERT_FALSE(tail.ok());
  EXPECT_EQ(tail.error().code(), ErrorCode::kCorruption);
}

TEST_F(LogWriterTest, IntervalModeSyncsInTime) {
  options_.sync = SyncMode::kInterval;
  options_.sync_interval_ms = 1000;
  Start();
  Put(100);
  Settle();
  EXPECT_EQ(log_->groups_written(), 1u);
  EXPECT_EQ(log_->durable_seq(), 99u);
  EXPECT_TRUE(DurableSeqs().empty());
  const auto next = log_->Tick();
  ASSERT_TRUE(next.has_value());
  EXPECT_LE(*next, 1000);

  clock_.AdvanceMs(*next);
  log_->Tick();
  Settle();
  EXPECT_EQ(log_->durable_seq(), 100u);
  EXPECT_EQ(log_->syncs(), 1u);
  EXPECT_EQ(DurableSeqs(), UpTo(100));
}

TEST_F(LogWriterTest, IntervalModeSyncsUnderConstantLoadToo) {
  options_.sync = SyncMode::kInterval;
  Start();
  for (int i = 0; i < 100; ++i) {
    Put(100);
    Turn();
    clock_.AdvanceMs(100);
    // At the most an interval and a turn's worth is not durable.
    EXPECT_GE(log_->durable_seq() + 13, log_->last_seq());
  }
  EXPECT_GE(log_->syncs(), 9u);
  EXPECT_LE(log_->syncs(), 12u);
}

TEST_F(LogWriterTest, NeverModeLeavesSyncingToTheSystem) {
  options_.sync = SyncMode::kNever;
  Start();
  Put(100);
  Settle();
  clock_.AdvanceMs(100'000);
  EXPECT_FALSE(log_->Tick().has_value());
  Settle();
  EXPECT_EQ(log_->syncs(), 0u);
  EXPECT_EQ(log_->durable_seq(), 99u);
  EXPECT_EQ(SeqsOn(disk_), UpTo(100));
}

TEST_F(LogWriterTest, LazyModesSyncASegmentBeforeItIsSealed) {
  for (SyncMode sync : {SyncMode::kInterval, SyncMode::kNever}) {
    options_.sync = sync;
    options_.sync_interval_ms = 1'000'000;
    Start();
    for (int i = 0; i < 40; ++i) {
      Put(1500);
      Turn();
      const auto& sealed = log_->manifest().sealed;
      if (!sealed.empty()) {
        EXPECT_GE(log_->durable_seq(), sealed.back().last_seq);
      }
    }
    Settle();
    const auto& sealed = log_->manifest().sealed;
    ASSERT_GE(sealed.size(), 3u);
    EXPECT_EQ(DurableSeqs(), UpTo(sealed.back().last_seq));
    StartOver();
  }
}

TEST_F(LogWriterTest, FlushesAndSwapsEnterTheManifestOnceDurable) {
  Start();
  disk_.SetWriteMode(SimFileSystem::WriteMode::kManual);
  Put(100);
  log_->Pump();
  ASSERT_EQ(RoomFor(200), Room::kReady);
  log_->Append(RecordKind::kFlush, 3, "", "", 0);
  log_->Append(RecordKind::kSwap, 1, "", NumberValue(2).view(), 0);
  disk_.CompleteWrite();
  log_->Poll();
  log_->Pump();
  EXPECT_EQ(log_->manifest().databases, DatabaseMap{});
  disk_.CompleteWrite();
  log_->Poll();
  EXPECT_EQ(log_->manifest().databases.flushed[3], 101u);
  EXPECT_EQ(log_->manifest().databases.internal[1], 2);
  EXPECT_EQ(log_->manifest().databases.internal[2], 1);
}

// --- Failures ----------------------------------------------------------------

TEST_F(LogWriterTest, AFailedWriteEndsWritingForGood) {
  Start();
  Put(100);
  Settle();
  disk_.FailAt(SimFileSystem::Op::kComplete, 0, EIO);
  Put(100);
  log_->Pump();
  Put(100);
  EXPECT_TRUE(log_->Poll());
  ASSERT_TRUE(log_->failure().has_value());
  EXPECT_EQ(log_->failure()->code(), ErrorCode::kIo);
  EXPECT_EQ(log_->durable_seq(), 100u);

  // No second try, of the failed group or of any other, nor a clean stop.
  const uint64_t submits = Submits();
  clock_.AdvanceMs(10'000);
  EXPECT_FALSE(log_->Tick().has_value());
  EXPECT_EQ(RoomFor(100), Room::kWait);
  Settle();
  log_->Stop();
  Settle();
  EXPECT_FALSE(log_->stopped());
  EXPECT_EQ(Submits(), submits);
  EXPECT_EQ(log_->durable_seq(), 100u);
  EXPECT_FALSE(LoadManifest(*directory_)->clean);
}

TEST_F(LogWriterTest, AFaultOfTheDeviceIsTheEndForAGroup) {
  for (const int sys_errno : {EIO, EROFS}) {
    Start();
    disk_.FailAt(SimFileSystem::Op::kComplete, 0, sys_errno);
    Put(100);
    Settle();
    clock_.AdvanceMs(2 * kDiskFullRetryMs);
    log_->Tick();
    Settle();
    EXPECT_TRUE(log_->failure().has_value()) << sys_errno;
    EXPECT_EQ(log_->durable_seq(), 99u);
    disk_.ClearFailures();
    StartOver();
  }
}

// Where a file system takes new blocks for each write, space that was reserved
// may be missing: the same bytes go to the same place once there is room, and
// what a failed sync has left of them does not matter.
TEST_F(LogWriterTest, AGroupThatFindsNoRoomIsWrittenAgain) {
  using Op = SimFileSystem::Op;
  for (const Op op : {Op::kSubmit, Op::kComplete}) {
    for (const int sys_errno : {ENOSPC, EDQUOT, ENOMEM}) {
      for (const bool reaches_disk : {false, true}) {
        for (const bool stays_in_cache : {false, true}) {
          SCOPED_TRACE(sys_errno);
          warnings_.clear();
          disk_.SetFailedSync({reaches_disk, stays_in_cache});
          Start();
          Put(100);
          Settle();
          disk_.FailAt(op, 0, sys_errno, SimFileSystem::Repeat::kForever, 512);
          const uint64_t seq = Put(100);
          Settle();
          EXPECT_FALSE(log_->failure());
          EXPECT_EQ(log_->durable_seq(), seq - 1);
          EXPECT_EQ(log_->disk_full(), sys_errno != ENOMEM);
          EXPECT_EQ(warnings_.size(), 1u);
          // Others may come meanwhile; they wait.
          Put(100, 'w');
          for (int i = 0; i < 3; ++i) {
            const auto next = log_->Tick();
            ASSERT_TRUE(next.has_value());
            EXPECT_LE(*next, kDiskFullRetryMs);
            clock_.AdvanceMs(kDiskFullRetryMs);
            log_->Tick();
            Settle();
          }
          EXPECT_EQ(warnings_.size(), 1u) << "once";
          EXPECT_EQ(log_->durable_seq(), seq - 1);

          disk_.ClearFailures();
          clock_.AdvanceMs(kDiskFullRetryMs);
          log_->Tick();
          Settle();
          EXPECT_EQ(log_->durable_seq(), log_->last_seq());
          EXPECT_FALSE(log_->disk_full());
          EXPECT_EQ(DurableSeqs(), UpTo(log_->last_seq()));
          StartOver();
        }
      }
    }
  }
}

TEST_F(LogWriterTest, AStopDoesNotWaitForRoomForever) {
  Start();
  disk_.FailAt(SimFileSystem::Op::kComplete, 0, ENOSPC,
               SimFileSystem::Repeat::kForever);
  Put(100);
  Settle();
  log_->Stop();
  for (int64_t ms = 0; ms < kStopStallMs; ms += kDiskFullRetryMs) {
    EXPECT_FALSE(log_->failure());
    clock_.AdvanceMs(kDiskFullRetryMs);
    log_->Tick();
    Settle();
  }
  ASSERT_TRUE(log_->failure());
  EXPECT_EQ(log_->failure()->code(), ErrorCode::kNoSpace);
  EXPECT_FALSE(log_->stopped());
}

TEST_F(LogWriterTest, AStopIsCleanWhenRoomComesInTime) {
  Start();
  disk_.FailAt(SimFileSystem::Op::kComplete, 0, ENOSPC);
  Put(100);
  Settle();
  log_->Stop();
  clock_.AdvanceMs(kDiskFullRetryMs);
  log_->Tick();
  Settle();
  EXPECT_TRUE(log_->stopped());
  EXPECT_EQ(log_->durable_seq(), 100u);
}

// A lazy mode keeps no buffers of what waits for a sync: a write may be tried
// again, a sync may not.
TEST_F(LogWriterTest, ALazyModeWritesAgainAndDoesNotSyncAgain) {
  options_.sync = SyncMode::kInterval;
  Start();
  disk_.FailAt(SimFileSystem::Op::kComplete, 0, ENOSPC);
  Put(100);
  Settle();
  EXPECT_FALSE(log_->failure());
  clock_.AdvanceMs(kDiskFullRetryMs);
  log_->Tick();
  Settle();
  EXPECT_EQ(log_->written_seq(), 100u);
  EXPECT_EQ(log_->durable_seq(), 100u);
  Put(100);
  Settle();
  disk_.FailAt(SimFileSystem::Op::kComplete, 0, ENOSPC);
  clock_.AdvanceMs(1000);
  log_->Tick();
  Settle();
  EXPECT_TRUE(log_->failure().has_value());
  EXPECT_EQ(log_->durable_seq(), 100u);
}

TEST_F(LogWriterTest, AFailedSyncOfALazyModeFailsTheLog) {
  options_.sync = SyncMode::kInterval;
  Start();
  Put(100);
  Settle();
  disk_.FailAt(SimFileSystem::Op::kComplete, 0, EIO);
  clock_.AdvanceMs(1000);
  log_->Tick();
  Settle();
  EXPECT_TRUE(log_->failure().has_value());
  EXPECT_EQ(log_->durable_seq(), 99u);
}

TEST_F(LogWriterTest, ADeviceErrorOfTheManifestFailsTheLog) {
  Start(/*prepare=*/false);
  executor_.RunOne();
  log_->Poll();
  disk_.FailAt(SimFileSystem::Op::kSync, 0, EIO);
  executor_.RunOne();
  EXPECT_TRUE(log_->Poll());
  ASSERT_TRUE(log_->failure().has_value());
  EXPECT_EQ(log_->failure()->code(), ErrorCode::kIo);
}

TEST_F(LogWriterTest, ADeviceErrorOfPreparationFailsTheLog) {
  Start();
  disk_.FailAt(SimFileSystem::Op::kAllocate, 0, EIO,
               SimFileSystem::Repeat::kForever);
  while (!log_->failure() && log_->last_seq() < 200) {
    if (WaitForRoom(1000) != Room::kReady) break;
    Append(1000);
    Turn();
  }
  EXPECT_TRUE(log_->failure().has_value());
}

// --- Stopping ----------------------------------------------------------------

TEST_F(LogWriterTest, AStopSealsEverythingInEveryMode) {
  for (SyncMode sync :
       {SyncMode::kAlways, SyncMode::kInterval, SyncMode::kNever}) {
    for (int puts = 0; puts < 25; ++puts) {
      SCOPED_TRACE(puts);
      options_.sync = sync;
      Start();
      for (int i = 0; i < puts; ++i) {
        Put(1500);
        if (i % 3 == 0) Turn();
      }
      log_->Stop();
      Settle();
      ASSERT_TRUE(log_->stopped());
      const Manifest manifest = *LoadManifest(*directory_);
      EXPECT_TRUE(manifest.clean);
      EXPECT_TRUE(manifest.Live().empty());
      EXPECT_EQ(manifest.next_seq, 100u + static_cast<uint64_t>(puts));
      EXPECT_EQ(DurableSeqs(), UpTo(manifest.next_seq - 1));
      // Nothing is left beside what counts.
      EXPECT_EQ(disk_.Names().size(), manifest.sealed.size() + 2);
      StartOver();
    }
  }
}

// Stopped at every moment: before the first segment, while one is prepared or
// named, while a group flies and another one is open.
TEST_F(LogWriterTest, AStopUnderLoadCompletesFromAnyState) {
  for (int steps = 0; steps < 120; ++steps) {
    SCOPED_TRACE(steps);
    Start(/*prepare=*/false);
    for (int step = 0; step < steps; ++step) {
      switch (step % 4) {
        case 0:
        case 2:
          if (RoomFor(3000) == Room::kReady) Append(3000);
          log_->Pump();
          break;
        case 1:
          executor_.RunOne();
          break;
        case 3:
          log_->Poll();
          break;
      }
    }
    const uint64_t last = log_->last_seq();
    log_->Stop();
    EXPECT_EQ(RoomFor(100), Room::kWait);
    Settle();
    ASSERT_TRUE(log_->stopped());
    EXPECT_EQ(log_->last_seq(), last);
    EXPECT_EQ(log_->durable_seq(), last);
    EXPECT_TRUE(LoadManifest(*directory_)->clean);
    EXPECT_EQ(DurableSeqs(), UpTo(last));
    StartOver();
  }
}

TEST_F(LogWriterTest, AStopThatCannotBeRecordedIsUncleanAndComplete) {
  Start();
  Put(100);
  Settle();
  disk_.FailAt(SimFileSystem::Op::kExchange, 0, EIO);
  log_->Stop();
  Settle();
  EXPECT_TRUE(log_->stopped());
  EXPECT_EQ(warnings_.size(), 1u);
  EXPECT_FALSE(LoadManifest(*directory_)->clean);
  EXPECT_EQ(DurableSeqs(), UpTo(100));
}

TEST_F(LogWriterTest, AStopOnAFullDiskCompletes) {
  disk_.SetCapacity(kDiskReserveBytes + 4 * 4096 + 3 * kSegment);
  Start();
  ASSERT_EQ(Fill(), Room::kDiskFull);
  log_->Stop();
  Settle();
  EXPECT_TRUE(log_->stopped());
  EXPECT_TRUE(LoadManifest(*directory_)->clean);
  EXPECT_EQ(DurableSeqs(), UpTo(log_->last_seq()));
}

}  // namespace
}  // namespace kvd
