// SPDX-License-Identifier: MIT
//
// What the log's writes through io_uring make of a kernel that fails, takes a
// part or takes requests one by one. This program has liburing's submission of
// its own, which does to the requests what a test has planted.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <liburing.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fs/posix_file_system.h"
#include "fs/ring_durable_writer.h"
#include "tests/support/rings.h"
#include "tests/support/temp_dir.h"

namespace kvd {
namespace {

// What becomes of a submission.
enum class Planted {
  kNothing,
  kAgain,         // The kernel has no memory for it.
  kOneByOne,      // The kernel has memory for its first request only …
  kOneThatHangs,  // … which does not end before Submissions::hangs is written.
  kRefused,       // The kernel takes none.
  kWriteBad,      // The write fails.
  kWriteBlock,    // The write takes a block.
  kWriteNothing,  // The write takes no byte.
  kSyncBad,       // The sync fails.
};

struct Pipe {
  int reads = -1;
  int writes = -1;
};

struct Submissions {
  std::deque<Planted> planted;
  Pipe hangs;
  // The opcodes that the kernel got, for each submission.
  std::vector<std::vector<int>> seen;
};

Submissions& submissions() {
  static Submissions submissions;
  return submissions;
}

// A descriptor that is none.
constexpr int kNoFile = 1 << 20;

template <typename Each>
void ForEachPrepared(io_uring* ring, Each each) {
  for (unsigned i = ring->sq.sqe_head; i != ring->sq.sqe_tail; ++i) {
    each(ring->sq.sqes[i & *ring->sq.kring_mask]);
  }
}

void Change(io_uring* ring, Planted planted) {
  ForEachPrepared(ring, [&](io_uring_sqe& request) {
    if (planted == Planted::kOneThatHangs) {
      static char byte;
      const uint64_t id = request.user_data;
      io_uring_prep_read(&request, submissions().hangs.reads, &byte, 1, 0);
      request.user_data = id;
      return;
    }
    if (request.opcode == IORING_OP_FSYNC) {
      if (planted == Planted::kSyncBad) request.fd = kNoFile;
      return;
    }
    if (planted == Planted::kWriteBad) request.fd = kNoFile;
    if (planted == Planted::kWriteBlock) request.len = kBlockBytes;
    if (planted == Planted::kWriteNothing) request.len = 0;
  });
}

}  // namespace
}  // namespace kvd

extern "C" int io_uring_submit(io_uring* ring) {
  using kvd::Planted;
  const auto real =
      reinterpret_cast<int (*)(io_uring*)>(dlsym(RTLD_NEXT, "io_uring_submit"));
  kvd::Submissions& submissions = kvd::submissions();
  Planted planted = Planted::kNothing;
  if (!submissions.planted.empty()) {
    planted = submissions.planted.front();
    submissions.planted.pop_front();
  }
  if (planted == Planted::kAgain) return -EAGAIN;
  if (planted == Planted::kRefused) return -EBADR;
  const bool one =
      planted == Planted::kOneByOne || planted == Planted::kOneThatHangs;
  const unsigned kept = one ? io_uring_sq_ready(ring) - 1 : 0;
  ring->sq.sqe_tail -= kept;
  kvd::Change(ring, planted);
  submissions.seen.emplace_back();
  kvd::ForEachPrepared(ring, [&](const io_uring_sqe& request) {
    submissions.seen.back().push_back(request.opcode);
  });
  const int submitted = real(ring);
  ring->sq.sqe_tail += kept;
  return submitted;
}

namespace kvd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Durability = DurableWriter::Durability;

constexpr int kWrite = IORING_OP_WRITE;
constexpr int kSync = IORING_OP_FSYNC;

alignas(kBlockBytes) char blocks[3 * kBlockBytes];

class RingFaults : public ::testing::Test {
 protected:
  RingFaults() {
    directory_ = std::move(*OpenPosixDirectory(temp_.path(), {}));
    file_ = std::move(*directory_->Create("a"));
    std::fill_n(blocks, sizeof blocks, 'x');
  }

  void SetUp() override {
    if (!HasRings(temp_.path())) GTEST_SKIP() << "no io_uring here";
    ASSERT_TRUE(file_->AllocateZeroed(sizeof blocks).ok());
    submissions() = {};
  }

  Result<void> Write(SyncManner manner, std::deque<Planted> planted,
                     Durability durability = Durability::kSynced) {
    auto writer =
        std::move(*RingDurableWriter::Make(event_.wake().event_fd(), manner));
    submissions().seen.clear();
    submissions().planted = std::move(planted);
    writer->Submit(*file_, 0, {blocks, sizeof blocks}, durability);
    while (true) {
      AwaitWake(event_);
      if (std::optional<Result<void>> result = writer->Poll()) return *result;
    }
  }

  bool IsWritten() {
    return ReadWholeFile(*directory_, "a").value() ==
           std::string_view(blocks, sizeof blocks);
  }

  TempDir temp_;
  EventFd event_;
  std::unique_ptr<Directory> directory_;
  std::unique_ptr<File> file_;
};

TEST_F(RingFaults, AWriteCarriesItsSyncOrASyncFollowsIt) {
  EXPECT_TRUE(Write(SyncManner::kWithWrite, {}).ok());
  EXPECT_THAT(submissions().seen, ElementsAre(ElementsAre(kWrite)));
  EXPECT_TRUE(Write(SyncManner::kAfterWrite, {}).ok());
  EXPECT_THAT(submissions().seen, ElementsAre(ElementsAre(kWrite, kSync)));
  EXPECT_TRUE(Write(SyncManner::kAfterWrite, {}, Durability::kUnsynced).ok());
  EXPECT_THAT(submissions().seen, ElementsAre(ElementsAre(kWrite)));
  EXPECT_TRUE(IsWritten());
}

TEST_F(RingFaults, TriesAgainWhereTheKernelHasNoMemory) {
  for (SyncManner manner : {SyncManner::kWithWrite, SyncManner::kAfterWrite}) {
    EXPECT_TRUE(Write(manner, {Planted::kAgain, Planted::kAgain}).ok());
    EXPECT_EQ(submissions().seen.size(), 1u);
  }
}

TEST_F(RingFaults, AFailedWriteIsNamed) {
  for (SyncManner manner : {SyncManner::kWithWrite, SyncManner::kAfterWrite}) {
    const Result<void> result = Write(manner, {Planted::kWriteBad});
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().message(), "write " + temp_.path() +
                                            "/a at offset 0: Bad file "
                                            "descriptor");
    EXPECT_EQ(submissions().seen.size(), 1u);
  }
}

TEST_F(RingFaults, AFailedSyncIsNotTriedAgain) {
  const Result<void> result =
      Write(SyncManner::kAfterWrite, {Planted::kSyncBad});
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message(), HasSubstr("sync " + temp_.path()));
  EXPECT_EQ(submissions().seen.size(), 1u);
}

TEST_F(RingFaults, TheRestOfAShortWriteFollows) {
  EXPECT_TRUE(Write(SyncManner::kWithWrite, {Planted::kWriteBlock}).ok());
  EXPECT_THAT(submissions().seen,
              ElementsAre(ElementsAre(kWrite), ElementsAre(kWrite)));
  EXPECT_TRUE(IsWritten());

  // The sync that came after the part covers nothing of the rest.
  std::fill_n(blocks, sizeof blocks, 'y');
  EXPECT_TRUE(Write(SyncManner::kAfterWrite,
                    {Planted::kWriteBlock, Planted::kWriteBlock})
                  .ok());
  EXPECT_THAT(submissions().seen, ElementsAre(ElementsAre(kWrite, kSync),
                                              ElementsAre(kWrite, kSync),
                                              ElementsAre(kWrite, kSync)));
  EXPECT_TRUE(IsWritten());
}

TEST_F(RingFaults, NoProgressIsAnError) {
  for (SyncManner manner : {SyncManner::kWithWrite, SyncManner::kAfterWrite}) {
    const Result<void> result = Write(manner, {Planted::kWriteNothing});
    ASSERT_FALSE(result.ok());
    EXPECT_THAT(result.error().message(), HasSubstr("took 0 of 12288 bytes"));
  }
}

// The link does not hold then: the sync may have been there first.
TEST_F(RingFaults, ASyncThatDidNotWaitForTheWriteIsRepeated) {
  EXPECT_TRUE(Write(SyncManner::kAfterWrite, {Planted::kOneByOne}).ok());
  EXPECT_THAT(
      submissions().seen,
      ElementsAre(ElementsAre(kWrite), ElementsAre(kSync), ElementsAre(kSync)));
  EXPECT_TRUE(IsWritten());
}

// It uses the memory of the group.
TEST_F(RingFaults, AWriteWhoseSyncIsRefusedIsWaitedFor) {
  Pipe& hangs = submissions().hangs;
  ASSERT_EQ(pipe(&hangs.reads), 0);
  auto writer = std::move(*RingDurableWriter::Make(event_.wake().event_fd(),
                                                   SyncManner::kAfterWrite));
  submissions().planted = {Planted::kOneThatHangs, Planted::kRefused};
  writer->Submit(*file_, 0, {blocks, sizeof blocks}, Durability::kSynced);
  EXPECT_FALSE(writer->Poll().has_value());
  EXPECT_TRUE(writer->busy());

  ASSERT_EQ(write(hangs.writes, "x", 1), 1);
  std::optional<Result<void>> result;
  while (!result) {
    AwaitWake(event_);
    result = writer->Poll();
  }
  ASSERT_FALSE(result->ok());
  EXPECT_THAT(result->error().message(), HasSubstr("submit requests"));
  EXPECT_FALSE(writer->busy());
  close(hangs.reads);
  close(hangs.writes);
}

TEST_F(RingFaults, ARefusedWriteIsAnError) {
  for (SyncManner manner : {SyncManner::kWithWrite, SyncManner::kAfterWrite}) {
    const Result<void> result = Write(manner, {Planted::kRefused});
    ASSERT_FALSE(result.ok());
    EXPECT_THAT(result.error().message(), HasSubstr("submit requests"));
  }
}

}  // namespace
}  // namespace kvd
