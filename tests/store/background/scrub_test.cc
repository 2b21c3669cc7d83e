// SPDX-License-Identifier: MIT
//
// The scrub: it finds what rots, takes its time, and minds its own business.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "log/format/segment.h"
#include "tests/store/promises/machine.h"
#include "tests/store/promises/promises.h"

namespace kvd {
namespace {

using testing::HasSubstr;

constexpr int64_t kIntervalMs = 60'000;

class Scrub : public testing::Test {
 protected:
  void Open(uint64_t rate_bytes_per_s = 0) {
    StoreOptions options = SmallStore();
    options.scrub.interval_ms = kIntervalMs;
    options.scrub.rate_bytes_per_s = rate_bytes_per_s;
    // Here it is the scrub that misses files.
    options.look_interval_ms = 0;
    options.log = [this](Severity severity, const std::string& message) {
      if (severity == Severity::kError) errors_.push_back(message);
    };
    machine_ = std::make_unique<Machine>(&disk_, &history_, options);
    const Result<void> opened = machine_->Open();
    ASSERT_TRUE(opened) << opened.error().message();
    for (int i = 0; i < 40; ++i) {
      m().Put(fmt::format("key{}", i % 25), std::string(2000, 'x'));
      m().Settle();
    }
  }
  Machine& m() { return *machine_; }
  const ScrubStatus& status() { return m().store().scrub(); }
  std::string NameOfSealed(size_t i) {
    return SegmentName(m().store().SealedSegments()[i]);
  }
  void Ticks(int count) {
    for (int i = 0; i < count; ++i) {
      m().Tick();
      m().Turn();
    }
  }
  void Round() {
    m().AdvanceMs(kIntervalMs);
    Ticks(100);
  }

  SimFileSystem disk_;
  History history_;
  std::vector<std::string> errors_;
  std::unique_ptr<Machine> machine_;
};

TEST_F(Scrub, ReadsEverySealedSegmentOnceAnInterval) {
  Open();
  Ticks(100);
  EXPECT_EQ(status().rounds, 0u);
  EXPECT_EQ(status().bytes_done, 0u);
  for (uint64_t round = 1; round < 4; ++round) {
    Round();
    EXPECT_EQ(status().rounds, round);
    EXPECT_EQ(status().bytes_done, m().store().Stats().sealed_bytes);
    EXPECT_EQ(status().bytes_all, status().bytes_done);
  }
  EXPECT_EQ(status().errors, 0u);
  EXPECT_TRUE(errors_.empty());
}

TEST_F(Scrub, NamesWhatIsDamaged) {
  EXPECT_EQ(CheckScrubFindsDamage(), "");
  Open();
  disk_.Flip(NameOfSealed(1), 8 * 7000 + 3);
  Round();
  EXPECT_EQ(status().errors, 1u);
  EXPECT_EQ(status().rounds, 1u);
  ASSERT_EQ(errors_.size(), 1u);
  EXPECT_THAT(errors_[0], HasSubstr(NameOfSealed(1)));
  EXPECT_THAT(errors_[0], HasSubstr("kvd verify"));
  // Said once, and left to whoever repairs it.
  Round();
  EXPECT_EQ(errors_.size(), 1u);
  EXPECT_EQ(m().store().Stats().damaged_segments, 1u);
  const std::string damaged = NameOfSealed(1);
  m().Compact();
  EXPECT_TRUE(disk_.Exists(damaged));
  EXPECT_EQ(m().Dump(), history_.states.back());
}

TEST_F(Scrub, MissesFilesAndTheirEnds) {
  Open();
  disk_.Remove(NameOfSealed(0));
  disk_.Truncate(NameOfSealed(1), 5000);
  Round();
  EXPECT_EQ(status().errors, 2u);
}

TEST_F(Scrub, ARetiredSegmentIsNotMissing) {
  Open();
  m().maintenance().set_auto_run(false);
  m().AdvanceMs(kIntervalMs);
  m().Tick();  // A step over the oldest segment is posted, and then …
  ASSERT_TRUE(status().running);
  m().Compact();  // … the steps that retire it come first.
  m().maintenance().set_auto_run(true);
  m().maintenance().RunAll();
  m().AdvanceMs(1000);
  Ticks(100);
  EXPECT_EQ(status().errors, 0u);
  EXPECT_EQ(status().rounds, 1u);
}

TEST_F(Scrub, KeepsToItsRate) {
  Open(/*rate_bytes_per_s=*/1000);
  Round();
  // One segment of 16 KiB or so, and no time for another one.
  EXPECT_TRUE(status().running);
  EXPECT_LE(status().bytes_done, 16u * 1024);
  for (int i = 0; i < 20; ++i) {
    m().AdvanceMs(17'000);
    Ticks(2);
  }
  EXPECT_GE(status().rounds, 1u);
}

TEST_F(Scrub, PausesWhileCompactionRuns) {
  Open();
  m().maintenance().set_auto_run(false);
  m().store().Compact();
  m().AdvanceMs(kIntervalMs);
  Ticks(20);
  EXPECT_TRUE(m().store().compaction().running);
  EXPECT_EQ(status().bytes_done, 0u);
  m().maintenance().set_auto_run(true);
  m().maintenance().RunAll();
  Ticks(1000);
  EXPECT_EQ(status().rounds, 1u);
}

TEST_F(Scrub, AShortageIsNoDamage) {
  Open();
  disk_.FailAt(SimFileSystem::Op::kOpen, 0, EMFILE);
  Round();
  EXPECT_EQ(status().rounds, 1u);
  EXPECT_EQ(status().errors, 0u);
  EXPECT_EQ(m().store().Stats().damaged_segments, 0u);
}

// What the device does not give is damage when it does not come with the second
// try either.
TEST_F(Scrub, AFailedReadIsTriedAgain) {
  Open();
  disk_.FailAt(SimFileSystem::Op::kRead, 0, EIO);
  Round();
  EXPECT_EQ(status().rounds, 1u);
  EXPECT_EQ(status().bytes_done, status().bytes_all);
  EXPECT_EQ(status().errors, 0u);
  disk_.FailAt(SimFileSystem::Op::kRead, 0, EIO);
  Round();
  EXPECT_EQ(status().errors, 1u);
  EXPECT_EQ(m().store().Stats().damaged_segments, 1u);
}

TEST_F(Scrub, StopsInTheMiddle) {
  Open();
  m().maintenance().set_auto_run(false);
  m().AdvanceMs(kIntervalMs);
  m().Tick();
  ASSERT_TRUE(status().running);
  EXPECT_TRUE(m().Stop());
}

}  // namespace
}  // namespace kvd
