// SPDX-License-Identifier: MIT
#include "log/read/sealed_verifier.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "log/read/chunk_reader.h"
#include "tests/log/handmade_store.h"
#include "tests/support/sim_file_system.h"

namespace kvd {
namespace {

// One segment, and what reading it to its end says.
class SealedVerifierTest : public testing::Test {
 protected:
  void Seal(std::vector<OwnRecord> records) {
    HandmadeStore store;
    store.AddSealed(SegmentKind::kLog, std::move(records));
    disk_ = store.Disk();
    uuid_ = store.manifest().uuid;
    segment_ = store.manifest().sealed[0];
    name_ = SegmentName(segment_.id);
  }
  void SealSmall() {
    Seal({{RecordKind::kPut, 1, "a", "1"},
          {RecordKind::kDelete, 2, "b", ""},
          {RecordKind::kPut, 3, "c", std::string(100, 'c')},
          {RecordKind::kPut, 4, "d", "4"}});
  }

  Result<void> Verify() {
    const auto directory = disk_->OpenDirectory();
    SealedVerifier verifier(*directory, uuid_, segment_);
    bytes_read_ = 0;
    Result<void> step;
    while (step && !verifier.done()) {
      step = verifier.Step();
      EXPECT_LE(verifier.bytes_read(), kChunkBytes);
      bytes_read_ += verifier.bytes_read();
      EXPECT_EQ(verifier.bytes_verified(), bytes_read_);
    }
    EXPECT_TRUE(verifier.done());
    return step;
  }
  void ExpectDamage() {
    const Result<void> verified = Verify();
    ASSERT_FALSE(verified);
    EXPECT_EQ(verified.error().code(), ErrorCode::kCorruption);
    EXPECT_NE(verified.error().message().find(name_), std::string::npos);
  }

  std::unique_ptr<SimFileSystem> disk_;
  StoreUuid uuid_ = {};
  SealedSegment segment_;
  std::string name_;
  uint64_t bytes_read_ = 0;
};

TEST_F(SealedVerifierTest, ReadsAllOfASegment) {
  SealSmall();
  EXPECT_TRUE(Verify());
  EXPECT_EQ(bytes_read_, segment_.bytes);
}

TEST_F(SealedVerifierTest, ReadsAGroupOfAnySizeInChunks) {
  Seal({{RecordKind::kPut, 1, "a", std::string(3 * kChunkBytes, 'a')}});
  EXPECT_TRUE(Verify());
  EXPECT_EQ(bytes_read_, segment_.bytes);
}

TEST_F(SealedVerifierTest, FindsEveryFlippedBit) {
  SealSmall();
  for (uint64_t bit = 0; bit < 8 * segment_.bytes; ++bit) {
    SCOPED_TRACE(bit);
    disk_->Flip(name_, bit);
    ExpectDamage();
    disk_->Flip(name_, bit);
    if (HasFailure()) return;
  }
}

TEST_F(SealedVerifierTest, FindsEveryCut) {
  SealSmall();
  const std::string whole = disk_->ReadAll(name_);
  for (uint64_t size = 0; size < segment_.bytes; ++size) {
    SCOPED_TRACE(size);
    disk_->Put(name_, whole.substr(0, size));
    ExpectDamage();
    if (HasFailure()) return;
  }
  disk_->Put(name_, whole + "behind the end");
  EXPECT_TRUE(Verify());
}

TEST_F(SealedVerifierTest, BelievesNoSegmentOfAnotherStore) {
  SealSmall();
  ++uuid_[0];
  ExpectDamage();
}

TEST_F(SealedVerifierTest, WhatCannotBeReadIsNotDamage) {
  SealSmall();
  disk_->FailAt(SimFileSystem::Op::kRead, 0, EIO);
  EXPECT_EQ(Verify().error().code(), ErrorCode::kIo);
  EXPECT_TRUE(Verify());
  disk_->Remove(name_);
  EXPECT_EQ(Verify().error().code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace kvd
