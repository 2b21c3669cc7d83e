// SPDX-License-Identifier: MIT
//
// What the real disk makes of system calls that fail, are interrupted or do
// only a part. This program has some of libc's calls of its own, which do what
// a test has planted and otherwise ask the kernel.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fs/posix_file_system.h"
#include "fs/thread_durable_writer.h"
#include "tests/support/rings.h"
#include "tests/support/temp_dir.h"

namespace kvd {
namespace {

// What a call does instead of its work: fails with `sys_errno`, or, for reads
// and writes, takes at most `bytes`.
struct Planted {
  int sys_errno = 0;
  size_t bytes = 0;
};

struct Calls {
  std::map<std::string, std::deque<Planted>> planted;
  std::vector<std::string> seen;
};

Calls& calls() {
  static Calls calls;
  return calls;
}

// Notes the call and takes what is planted for it. True: it fails with errno.
bool Fails(const char* name, size_t* bytes = nullptr) {
  calls().seen.push_back(name);
  std::deque<Planted>& planted = calls().planted[name];
  if (planted.empty()) return false;
  const Planted next = planted.front();
  planted.pop_front();
  if (next.sys_errno == 0 && bytes != nullptr) {
    *bytes = std::min(*bytes, next.bytes);
  }
  errno = next.sys_errno;
  return next.sys_errno != 0;
}

}  // namespace
}  // namespace kvd

extern "C" {

ssize_t pread(int fd, void* buffer, size_t bytes, off_t offset) {
  if (kvd::Fails("pread", &bytes)) return -1;
  return syscall(SYS_pread64, fd, buffer, bytes, offset);
}

ssize_t pwrite(int fd, const void* buffer, size_t bytes, off_t offset) {
  if (kvd::Fails("pwrite", &bytes)) return -1;
  return syscall(SYS_pwrite64, fd, buffer, bytes, offset);
}

int fdatasync(int fd) {
  if (kvd::Fails("fdatasync")) return -1;
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

int fsync(int fd) {
  if (kvd::Fails("fsync")) return -1;
  return static_cast<int>(syscall(SYS_fsync, fd));
}

int fallocate(int fd, int mode, off_t offset, off_t bytes) {
  if (kvd::Fails("fallocate")) return -1;
  return static_cast<int>(syscall(SYS_fallocate, fd, mode, offset, bytes));
}

int ftruncate(int fd, off_t bytes) noexcept {
  if (kvd::Fails("ftruncate")) return -1;
  return static_cast<int>(syscall(SYS_ftruncate, fd, bytes));
}

int renameat2(int from_at, const char* from, int to_at, const char* to,
              unsigned flags) noexcept {
  if (kvd::Fails("renameat2")) return -1;
  return static_cast<int>(
      syscall(SYS_renameat2, from_at, from, to_at, to, flags));
}

int flock(int fd, int operation) noexcept {
  if (kvd::Fails("flock")) return -1;
  return static_cast<int>(syscall(SYS_flock, fd, operation));
}

}  // extern "C"

namespace kvd {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

class PosixFaults : public ::testing::Test {
 protected:
  PosixFaults() {
    directory_ = std::move(*OpenPosixDirectory(temp_.path(), {}));
    file_ = std::move(*directory_->Create("a"));
    calls() = {};
  }
  ~PosixFaults() override { calls() = {}; }

  // The next calls of `name` do that, in order.
  void Plant(const std::string& name, std::deque<Planted> planted) {
    calls().planted[name] = std::move(planted);
  }

  std::string Read() { return ReadWholeFile(*directory_, "a").value(); }

  TempDir temp_;
  std::unique_ptr<Directory> directory_;
  std::unique_ptr<File> file_;
};

TEST_F(PosixFaults, ResumesWritesAtTheOffset) {
  Plant("pwrite", {{EINTR}, {0, 3}, {EINTR}, {0, 1}, {0, 2}});
  ASSERT_TRUE(file_->WriteAt(0, "0123456789").ok());
  EXPECT_EQ(Read(), "0123456789");
}

TEST_F(PosixFaults, ResumesReadsAtTheOffset) {
  ASSERT_TRUE(file_->WriteAt(0, "0123456789").ok());
  Plant("pread", {{EINTR}, {0, 3}, {EINTR}, {0, 1}, {0, 2}});
  EXPECT_EQ(Read(), "0123456789");
}

TEST_F(PosixFaults, TreatsNoProgressAsAnError) {
  Plant("pwrite", {{0, 4}, {0, 0}});
  const auto written = file_->WriteAt(100, "0123456789");
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().code(), ErrorCode::kIo);
  EXPECT_EQ(written.error().message(), "write " + temp_.path() +
                                           "/a at offset 104: the kernel "
                                           "takes no bytes");
}

TEST_F(PosixFaults, SaysWhereAReadFailed) {
  ASSERT_TRUE(file_->WriteAt(0, "0123456789").ok());
  Plant("pread", {{0, 3}, {EIO}});
  std::string buffer(10, '\0');
  const auto got = file_->ReadAt(0, buffer);
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code(), ErrorCode::kIo);
  EXPECT_EQ(got.error().sys_errno(), EIO);
  EXPECT_EQ(got.error().message(),
            "read " + temp_.path() + "/a at offset 3: Input/output error");
}

TEST_F(PosixFaults, ReportsAFailedSyncOnceAndDoesNotRetryIt) {
  Plant("fdatasync", {{EIO}});
  const auto synced = file_->Sync();
  ASSERT_FALSE(synced.ok());
  EXPECT_EQ(synced.error().message(),
            "sync " + temp_.path() + "/a: Input/output error");
  EXPECT_THAT(calls().seen, ElementsAre("fdatasync"));

  Plant("fsync", {{EIO}});
  const auto names_synced = directory_->Sync();
  ASSERT_FALSE(names_synced.ok());
  EXPECT_EQ(names_synced.error().message(),
            "sync directory " + temp_.path() + ": Input/output error");
}

TEST_F(PosixFaults, RepeatsInterruptedCalls) {
  for (const char* name :
       {"fdatasync", "fsync", "fallocate", "ftruncate", "flock"}) {
    Plant(name, {{EINTR}, {EINTR}});
  }
  EXPECT_TRUE(file_->AllocateZeroed(kBlockBytes).ok());
  EXPECT_TRUE(file_->Sync().ok());
  EXPECT_TRUE(directory_->Sync().ok());
  EXPECT_TRUE(directory_->Lock().ok());
  for (const auto& [name, planted] : calls().planted) {
    EXPECT_TRUE(planted.empty()) << name;
  }
}

TEST_F(PosixFaults, AllocatesWhereFallocateIsUnknown) {
  for (const int unknown : {EOPNOTSUPP, ENOSYS}) {
    Plant("fallocate", {{unknown}, {unknown}});
    ASSERT_TRUE(file_->AllocateZeroed(2 * kBlockBytes).ok());
    EXPECT_EQ(Read(), std::string(2 * kBlockBytes, '\0'));
    ASSERT_TRUE(file_->AllocateReserved(3 * kBlockBytes).ok());
    EXPECT_EQ(Read(), std::string(3 * kBlockBytes, '\0'));
    EXPECT_THAT(calls().seen, Contains("pwrite").Times(2))
        << "that takes space";
    calls().seen.clear();
  }
}

TEST_F(PosixFaults, ReservesWithoutWriting) {
  ASSERT_TRUE(file_->AllocateReserved(2 * kBlockBytes).ok());
  EXPECT_THAT(calls().seen, ElementsAre("ftruncate", "fallocate"));
  Plant("fallocate", {{ENOSPC}});
  EXPECT_EQ(file_->AllocateReserved(2 * kBlockBytes).error().code(),
            ErrorCode::kNoSpace);
  EXPECT_THAT(calls().seen, Not(Contains("pwrite")));
}

TEST_F(PosixFaults, KeepsRoomWhereItCan) {
  for (const int unknown : {EOPNOTSUPP, ENOSYS}) {
    Plant("fallocate", {{unknown}});
    EXPECT_TRUE(file_->KeepRoom(2 * kBlockBytes).ok());
  }
  Plant("fallocate", {{ENOSPC}});
  EXPECT_EQ(file_->KeepRoom(2 * kBlockBytes).error().code(),
            ErrorCode::kNoSpace);
  EXPECT_THAT(calls().seen, ElementsAre("fallocate", "fallocate", "fallocate"));
}

TEST_F(PosixFaults, SaysWhereNamesCannotBeExchanged) {
  ASSERT_TRUE(directory_->Create("b").ok());
  for (const int unknown : {EINVAL, ENOSYS, EOPNOTSUPP}) {
    Plant("renameat2", {{unknown}});
    const Result<bool> exchanged = directory_->Exchange("a", "b");
    ASSERT_TRUE(exchanged.ok()) << exchanged.error().message();
    EXPECT_FALSE(*exchanged);
  }
  Plant("renameat2", {{EIO}});
  EXPECT_EQ(directory_->Exchange("a", "b").error().message(),
            "exchange " + temp_.path() + "/a and b: Input/output error");
}

TEST_F(PosixFaults, WritesNoZerosWhenTheDiskIsFull) {
  Plant("fallocate", {{ENOSPC}});
  const auto allocated = file_->AllocateZeroed(2 * kBlockBytes);
  ASSERT_FALSE(allocated.ok());
  EXPECT_EQ(allocated.error().code(), ErrorCode::kNoSpace);
  EXPECT_EQ(allocated.error().message(), "allocate 8192 bytes for " +
                                             temp_.path() +
                                             "/a: No space left on device");
  EXPECT_THAT(calls().seen, Not(Contains("pwrite")));
}

TEST_F(PosixFaults, ZeroesWhatItAllocatesAndSyncsOnTheWay) {
  ASSERT_TRUE(file_->AllocateZeroed(uint64_t{32} << 20).ok());
  int writes = 0;
  std::vector<int> writes_at_sync;
  for (const std::string& name : calls().seen) {
    writes += name == "pwrite";
    if (name == "fdatasync") writes_at_sync.push_back(writes);
  }
  EXPECT_EQ(writes, 256);
  EXPECT_THAT(writes_at_sync, ElementsAre(128, 256));
}

TEST_F(PosixFaults, CompletesADurableWriteAfterItsSync) {
  ASSERT_TRUE(file_->AllocateZeroed(kBlockBytes).ok());
  alignas(kBlockBytes) static const char block[kBlockBytes] = {};
  const std::string_view bytes(block, kBlockBytes);
  using Durability = DurableWriter::Durability;
  const auto write = [&](std::string_view bytes, Durability durability) {
    calls().seen.clear();
    std::atomic<bool> woken = false;
    auto writer =
        std::move(*directory_->NewDurableWriter(WriteDevice::kThread, [&] {
          woken = true;
          woken.notify_one();
        }));
    writer->Submit(*file_, 0, bytes, durability);
    woken.wait(false);
    return *writer->Poll();
  };

  EXPECT_TRUE(write(bytes, Durability::kSynced).ok());
  EXPECT_THAT(calls().seen, ElementsAre("pwrite", "fdatasync"));
  EXPECT_TRUE(write(bytes, Durability::kUnsynced).ok());
  EXPECT_THAT(calls().seen, ElementsAre("pwrite"));
  EXPECT_TRUE(write({}, Durability::kSynced).ok());
  EXPECT_THAT(calls().seen, ElementsAre("fdatasync"));

  Plant("fdatasync", {{EIO}});
  EXPECT_EQ(write(bytes, Durability::kSynced).error().sys_errno(), EIO);
  // Large writes go past the page cache; where that fails they go through it.
  constexpr size_t kLarge = ThreadDurableWriter::kPastCacheBytesMin;
  alignas(kBlockBytes) static const char large[kLarge] = {};
  ASSERT_TRUE(file_->AllocateZeroed(kLarge).ok());
  Plant("pwrite", {{EINVAL}});
  EXPECT_TRUE(write({large, kLarge}, Durability::kUnsynced).ok());
  EXPECT_THAT(calls().seen, ElementsAre("pwrite", "pwrite"));
  Plant("pwrite", {{EIO}});
  EXPECT_EQ(write({large, kLarge}, Durability::kUnsynced).error().sys_errno(),
            EIO);

  // What was not written is not synced either.
  Plant("pwrite", {{ENOSPC}});
  EXPECT_EQ(write(bytes, Durability::kSynced).error().sys_errno(), ENOSPC);
  EXPECT_THAT(calls().seen, ElementsAre("pwrite"));
}

// Which device works cannot be found out then, and the store has to open.
TEST_F(PosixFaults, AFullDiskRulesOutNoDevice) {
  if (!HasRings(temp_.path())) GTEST_SKIP() << "no io_uring here";
  EventFd event;
  Plant("fallocate", {{ENOSPC}});
  auto best = directory_->NewDurableWriter(WriteDevice::kAuto, event.wake());
  ASSERT_TRUE(best.ok());
  EXPECT_EQ((*best)->device(), "thread");
  EXPECT_THAT((*best)->why(), testing::HasSubstr("No space left"));

  Plant("fallocate", {{ENOSPC}});
  auto ring = directory_->NewDurableWriter(WriteDevice::kRing, event.wake());
  ASSERT_TRUE(ring.ok());
  EXPECT_EQ((*ring)->device(), "io_uring");

  Plant("fallocate", {{EIO}});
  EXPECT_FALSE(
      directory_->NewDurableWriter(WriteDevice::kRing, event.wake()).ok());
}

TEST_F(PosixFaults, SyncsTheParentOfADirectoryThatItMakes) {
  ASSERT_TRUE(OpenPosixDirectory(temp_.Path("new"), {.create = true}).ok());
  EXPECT_THAT(calls().seen, ElementsAre("fsync"));
  // A start that crashed may have made it and not come to the sync.
  ASSERT_TRUE(OpenPosixDirectory(temp_.Path("new"), {.create = true}).ok());
  EXPECT_THAT(calls().seen, ElementsAre("fsync", "fsync"));

  Plant("fsync", {{EIO}});
  EXPECT_FALSE(OpenPosixDirectory(temp_.Path("new"), {.create = true}).ok());
}

TEST_F(PosixFaults, LocksEvenIfTheHolderCannotBeRecorded) {
  Plant("pwrite", {{ENOSPC}});
  EXPECT_TRUE(directory_->Lock().ok());
}

TEST_F(PosixFaults, FailsToLockWhereThereAreNoLocks) {
  Plant("flock", {{ENOLCK}});
  const auto locked = directory_->Lock();
  ASSERT_FALSE(locked.ok());
  EXPECT_EQ(locked.error().message(),
            "lock " + temp_.path() + ": No locks available");
}

}  // namespace
}  // namespace kvd
