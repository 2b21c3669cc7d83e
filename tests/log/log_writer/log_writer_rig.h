// SPDX-License-Identifier: MIT
//
// What tests of the log's writer inherit: one on a simulated disk.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "log/log_writer.h"
#include "tests/log/read/read_log.h"
#include "tests/support/manual_clock.h"
#include "tests/support/manual_executor.h"
#include "tests/support/sim_file_system.h"

namespace kvd {

inline constexpr uint64_t kSegment = 16 * 1024;

inline constexpr uint64_t kPutBytes100 = RecordBytes(1, 67);
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

}  // namespace kvd
