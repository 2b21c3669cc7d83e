// SPDX-License-Identifier: MIT
//
// What tests of compaction and of hints inherit.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "log/format/segment.h"
#include "log/read/chunk_reader.h"
#include "tests/store/promises/machine.h"
#include "tests/store/promises/promises.h"

namespace kvd {

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

}  // namespace kvd
