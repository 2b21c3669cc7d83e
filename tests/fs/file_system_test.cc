// SPDX-License-Identifier: MIT
//
// The contract of lib/fs/file_system.h, kept by the real disk and by the
// simulated one.
#include "fs/file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "fs/posix_file_system.h"
#include "fs/ring_durable_writer.h"
#include "tests/support/rings.h"
#include "tests/support/sim_file_system.h"
#include "tests/support/temp_dir.h"

namespace kvd {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;
using OpenMode = Directory::OpenMode;
using Durability = DurableWriter::Durability;

// A disk on which directories can be opened.
class Disk {
 public:
  virtual ~Disk() = default;
  virtual std::unique_ptr<Directory> OpenDirectory(bool read_only) = 0;
};

class PosixDisk final : public Disk {
 public:
  std::unique_ptr<Directory> OpenDirectory(bool read_only) override {
    auto directory = OpenPosixDirectory(dir_.path(), {.read_only = read_only});
    EXPECT_TRUE(directory.ok());
    return std::move(*directory);
  }

 private:
  TempDir dir_;
};

class SimDisk final : public Disk {
 public:
  SimDisk() { disk_.SetReadQueues(true); }
  std::unique_ptr<Directory> OpenDirectory(bool read_only) override {
    return disk_.OpenDirectory(read_only);
  }

 private:
  SimFileSystem disk_;
};

std::unique_ptr<Disk> MakePosixDisk() { return std::make_unique<PosixDisk>(); }
std::unique_ptr<Disk> MakeSimDisk() { return std::make_unique<SimDisk>(); }

struct DiskKind {
  const char* name;
  std::unique_ptr<Disk> (*make)();
  WriteDevice device;
  std::optional<SyncManner> manner = std::nullopt;  // Of the ring's writes.
};

class FileSystem : public ::testing::TestWithParam<DiskKind> {
 protected:
  std::unique_ptr<File> Create(std::string_view name,
                               std::string_view content = "") {
    auto file = directory_->Create(name);
    EXPECT_TRUE(file.ok());
    EXPECT_TRUE((*file)->WriteAt(0, content).ok());
    return std::move(*file);
  }

  std::string Read(std::string_view name) {
    auto content = ReadWholeFile(*directory_, name);
    return content ? *content : "<" + content.error().message() + ">";
  }

  std::vector<std::string> List() {
    auto names = directory_->List();
    EXPECT_TRUE(names.ok());
    return *names;
  }

  std::unique_ptr<Disk> disk_ = GetParam().make();
  std::unique_ptr<Directory> directory_ = disk_->OpenDirectory(false);
};

INSTANTIATE_TEST_SUITE_P(
    , FileSystem,
    ::testing::Values(DiskKind{"Posix", MakePosixDisk, WriteDevice::kAuto},
                      DiskKind{"Sim", MakeSimDisk, WriteDevice::kAuto}),
    [](const auto& info) { return info.param.name; });

TEST_P(FileSystem, TellsWhatIsMissing) {
  const auto file = Create("a", "1234");
  Create("b", "1234");
  const uint64_t identity = file->identity();
  EXPECT_NE(identity, 0u);
  const std::vector<ExpectedFile> files = {
      {"a", 4, identity}, {"b", 4, 0}, {"c", 0, 0}};
  const auto names = [&] {
    std::vector<std::string> missing;
    for (const Missing& one : directory_->FindMissing(files)) {
      EXPECT_THAT(one.what, HasSubstr(one.name));
      missing.push_back(one.name);
    }
    return missing;
  };
  EXPECT_THAT(names(), UnorderedElementsAre("c"));
  // Another file of the same bytes; and fewer of them.
  ASSERT_TRUE(directory_->Rename("b", "a"));
  Create("b", "12");
  Create("c");
  EXPECT_THAT(names(), UnorderedElementsAre("a", "b"));
}

TEST_P(FileSystem, ReadsWhatWasWritten) {
  auto file = Create("a", "hello world");
  ASSERT_TRUE(file->WriteAt(6, "WORLD, and more").ok());

  std::string buffer(5, '\0');
  EXPECT_EQ(file->ReadAt(6, buffer).value(), 5u);
  EXPECT_EQ(buffer, "WORLD");
  EXPECT_EQ(Read("a"), "hello WORLD, and more");
  EXPECT_EQ(file->Size().value(), 21u);
}

TEST_P(FileSystem, ReadsLessOnlyAtTheEnd) {
  auto file = Create("a", "hello");
  std::string buffer(10, 'x');
  EXPECT_EQ(file->ReadAt(2, buffer).value(), 3u);
  EXPECT_EQ(buffer, "lloxxxxxxx");
  EXPECT_EQ(file->ReadAt(5, buffer).value(), 0u);
  EXPECT_EQ(file->ReadAt(1000, buffer).value(), 0u);
}

TEST_P(FileSystem, FillsAGapWithZeros) {
  auto file = Create("a", "x");
  ASSERT_TRUE(file->WriteAt(3, "y").ok());
  EXPECT_EQ(Read("a"), std::string("x\0\0y", 4));
}

TEST_P(FileSystem, CreatesOnlyNewFiles) {
  Create("a", "1");
  auto again = directory_->Create("a");
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code(), ErrorCode::kExists);
  EXPECT_EQ(Read("a"), "1");
}

TEST_P(FileSystem, SaysThatAMissingFileIsMissing) {
  auto opened = directory_->Open("a", OpenMode::kRead);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code(), ErrorCode::kNotFound);
  EXPECT_THAT(opened.error().message(), HasSubstr(directory_->path() + "/a"));
  EXPECT_EQ(directory_->Remove("a").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(directory_->Rename("a", "b").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(ReadWholeFile(*directory_, "a").error().code(),
            ErrorCode::kNotFound);
}

TEST_P(FileSystem, WritesNothingThroughAFileOpenedForReading) {
  Create("a", "1");
  auto file = std::move(*directory_->Open("a", OpenMode::kRead));
  EXPECT_FALSE(file->WriteAt(0, "2").ok());
  EXPECT_FALSE(file->Truncate(0).ok());
  EXPECT_EQ(Read("a"), "1");

  file = std::move(*directory_->Open("a", OpenMode::kReadWrite));
  EXPECT_TRUE(file->WriteAt(0, "2").ok());
  EXPECT_EQ(Read("a"), "2");
}

TEST_P(FileSystem, ListsNamesAfterCreateRenameAndRemove) {
  EXPECT_THAT(List(), UnorderedElementsAre());
  Create("a");
  Create("b");
  Create("c");
  ASSERT_TRUE(directory_->Remove("b").ok());
  ASSERT_TRUE(directory_->Rename("c", "d").ok());
  EXPECT_THAT(List(), UnorderedElementsAre("a", "d"));
  EXPECT_TRUE(directory_->Sync().ok());
  EXPECT_THAT(List(), UnorderedElementsAre("a", "d"));
}

TEST_P(FileSystem, ReplacesByRename) {
  Create("old", "1");
  Create("new", "2");
  ASSERT_TRUE(directory_->Rename("new", "old").ok());
  EXPECT_THAT(List(), UnorderedElementsAre("old"));
  EXPECT_EQ(Read("old"), "2");
}

TEST_P(FileSystem, ExchangesNames) {
  auto a = Create("a", "1");
  Create("b", "2");
  const Result<bool> exchanged = directory_->Exchange("a", "b");
  ASSERT_TRUE(exchanged.ok()) << exchanged.error().message();
  if (!*exchanged) GTEST_SKIP() << "not on this file system";
  EXPECT_THAT(List(), UnorderedElementsAre("a", "b"));
  EXPECT_EQ(Read("a"), "2");
  EXPECT_EQ(Read("b"), "1");
  EXPECT_EQ((*directory_->Open("b", OpenMode::kRead))->identity(),
            a->identity());
  EXPECT_EQ(directory_->Exchange("a", "c").error().code(),
            ErrorCode::kNotFound);
  EXPECT_EQ(directory_->Exchange("c", "a").error().code(),
            ErrorCode::kNotFound);
  EXPECT_EQ(Read("a"), "2");
}

TEST_P(FileSystem, KeepsRoomBehindTheEnd) {
  auto file = Create("a", "hello");
  ASSERT_TRUE(file->KeepRoom(3 * kBlockBytes).ok());
  EXPECT_EQ(file->Size().value(), 5u);
  ASSERT_TRUE(file->KeepRoom(1).ok());
  EXPECT_EQ(Read("a"), "hello");
  ASSERT_TRUE(file->WriteAt(5, std::string(2 * kBlockBytes, 'x')).ok());
  EXPECT_EQ(Read("a"), "hello" + std::string(2 * kBlockBytes, 'x'));
}

TEST_P(FileSystem, KeepsARemovedFileForThoseWhoHaveItOpen) {
  auto file = Create("a", "1");
  ASSERT_TRUE(directory_->Remove("a").ok());
  Create("a", "2");
  std::string buffer(1, '\0');
  EXPECT_EQ(file->ReadAt(0, buffer).value(), 1u);
  EXPECT_EQ(buffer, "1");
}

TEST_P(FileSystem, AllocatesZeros) {
  for (const auto allocate : {&File::AllocateZeroed, &File::AllocateReserved}) {
    auto file = Create("a", "not zero");
    // More than a chunk, and no multiple of one.
    const uint64_t bytes = (uint64_t{1} << 20) + kBlockBytes;
    ASSERT_TRUE(((*file).*allocate)(bytes).ok());
    EXPECT_EQ(file->Size().value(), bytes);
    EXPECT_EQ(Read("a"), std::string(bytes, '\0'));
    EXPECT_TRUE(file->Sync().ok());

    ASSERT_TRUE(((*file).*allocate)(kBlockBytes).ok());
    EXPECT_EQ(file->Size().value(), kBlockBytes);
    ASSERT_TRUE(directory_->Remove("a").ok());
  }
}

TEST_P(FileSystem, ZeroesWhatWasReserved) {
  auto file = Create("a");
  const uint64_t bytes = (uint64_t{1} << 20) + kBlockBytes;
  ASSERT_TRUE(file->AllocateReserved(bytes + kBlockBytes).ok());
  ASSERT_TRUE(file->WriteAt(bytes, "kept").ok());
  ASSERT_TRUE(file->ZeroReserved(bytes).ok());
  EXPECT_TRUE(file->Sync().ok());
  EXPECT_EQ(file->Size().value(), bytes + kBlockBytes);
  EXPECT_EQ(Read("a").substr(0, bytes + 4), std::string(bytes, '\0') + "kept");
}

TEST_P(FileSystem, TruncatesAndForgetsWhatWasCutOff) {
  auto file = Create("a", "hello");
  ASSERT_TRUE(file->Truncate(2).ok());
  ASSERT_TRUE(file->Truncate(4).ok());
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_EQ(Read("a"), std::string("he\0\0", 4));
}

TEST_P(FileSystem, IsLockedByOneAtATime) {
  ASSERT_TRUE(directory_->Lock().ok());
  EXPECT_TRUE(directory_->Lock().ok()) << "its own";
  EXPECT_EQ(Read("LOCK"), std::to_string(getpid()) + "\n");

  auto second = disk_->OpenDirectory(false);
  auto refused = second->Lock();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kHeld);
  EXPECT_EQ(refused.error().message(), "data directory " + directory_->path() +
                                           " is held by another kvd (pid " +
                                           std::to_string(getpid()) + ")");

  directory_.reset();
  EXPECT_TRUE(second->Lock().ok());
}

TEST_P(FileSystem, ChangesNothingWhenOpenedForReading) {
  Create("a", "1");
  auto reader = disk_->OpenDirectory(true);
  EXPECT_EQ(ReadWholeFile(*reader, "a").value(), "1");
  const auto expect_refused = [](const auto& result) {
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code(), ErrorCode::kPermission);
  };
  expect_refused(reader->Create("b"));
  expect_refused(reader->Open("a", OpenMode::kReadWrite));
  expect_refused(reader->Remove("a"));
  expect_refused(reader->Rename("a", "b"));
  expect_refused(reader->Exchange("a", "b"));
  EXPECT_TRUE(reader->Lock().ok());
  EXPECT_THAT(List(), UnorderedElementsAre("a"));
  EXPECT_EQ(directory_->Lock().error().code(), ErrorCode::kHeld);
}

TEST_P(FileSystem, KnowsItsFreeSpace) {
  EXPECT_GT(directory_->FreeBytes().value(), 0u);
}

// Blocks at an address such as a durable writer asks for.
class Blocks {
 public:
  Blocks(size_t count, char fill)
      : bytes_(static_cast<char*>(
                   std::aligned_alloc(kBlockBytes, count * kBlockBytes)),
               std::free),
        size_(count * kBlockBytes) {
    std::fill_n(bytes_.get(), size_, fill);
  }
  std::string_view view() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<char, decltype(&std::free)> bytes_;
  size_t size_;
};

class DurableWrite : public FileSystem {
 protected:
  void SetUp() override {
    EXPECT_TRUE(file_->AllocateZeroed(4 * kBlockBytes).ok());
    auto writer =
        directory_->NewDurableWriter(GetParam().device, wakes_.wake());
    if (!writer.ok() && GetParam().device == WriteDevice::kRing) {
      GTEST_SKIP() << writer.error().message();
    }
    ASSERT_TRUE(writer.ok());
    writer_ = std::move(*writer);
    if (const auto manner = GetParam().manner) {
      writer_ = std::move(
          *RingDurableWriter::Make(wakes_.wake().event_fd(), *manner));
    }
  }

  // Waits until the writer has called for a look, as a loop does.
  Result<void> Complete() {
    while (true) {
      AwaitWake(wakes_);
      if (std::optional<Result<void>> result = writer_->Poll()) return *result;
    }
  }

  EventFd wakes_;
  std::unique_ptr<File> file_ = Create("log");
  std::unique_ptr<DurableWriter> writer_;
};

INSTANTIATE_TEST_SUITE_P(
    , DurableWrite,
    ::testing::Values(
        DiskKind{"PosixByThread", MakePosixDisk, WriteDevice::kThread},
        DiskKind{"PosixByRing", MakePosixDisk, WriteDevice::kRing,
                 SyncManner::kWithWrite},
        DiskKind{"PosixByRingThenSync", MakePosixDisk, WriteDevice::kRing,
                 SyncManner::kAfterWrite},
        DiskKind{"PosixByRingAsItComes", MakePosixDisk, WriteDevice::kRing},
        DiskKind{"Sim", MakeSimDisk, WriteDevice::kAuto}),
    [](const auto& info) { return info.param.name; });

TEST_P(DurableWrite, CompletesOnceWithItsBytesInPlace) {
  EXPECT_FALSE(writer_->busy());
  EXPECT_FALSE(writer_->Poll().has_value());

  const Blocks blocks(2, 'x');
  writer_->Submit(*file_, kBlockBytes, blocks.view(), Durability::kSynced);
  EXPECT_TRUE(writer_->busy());
  EXPECT_TRUE(Complete().ok());
  EXPECT_FALSE(writer_->busy());
  EXPECT_FALSE(writer_->Poll().has_value());
  EXPECT_EQ(Read("log"), std::string(kBlockBytes, '\0') +
                             std::string(2 * kBlockBytes, 'x') +
                             std::string(kBlockBytes, '\0'));
}

TEST_P(DurableWrite, TakesOneAfterAnother) {
  for (int i = 0; i < 1000; ++i) {
    const Blocks block(1, static_cast<char>('a' + i % 26));
    writer_->Submit(*file_, i % 4 * kBlockBytes, block.view(),
                    i % 50 == 0 ? Durability::kSynced : Durability::kUnsynced);
    ASSERT_TRUE(Complete().ok()) << i;
  }
  EXPECT_EQ(Read("log"),
            std::string(kBlockBytes, 'i') + std::string(kBlockBytes, 'j') +
                std::string(kBlockBytes, 'k') + std::string(kBlockBytes, 'l'));
}

TEST_P(DurableWrite, MixesLargeAndSmallOnes) {
  constexpr size_t kBlocks = 450;
  ASSERT_TRUE(file_->AllocateZeroed((kBlocks + 1) * kBlockBytes).ok());
  std::string expected;
  for (int i = 0; i < 6; ++i) {
    // Each writes the last block of the one before anew.
    const Blocks blocks(i % 2 == 0 ? kBlocks / 3 : 1,
                        static_cast<char>('a' + i));
    const size_t at = i == 0 ? 0 : expected.size() - kBlockBytes;
    expected.replace(at, std::string::npos, blocks.view());
    writer_->Submit(*file_, at, blocks.view(), Durability::kUnsynced);
    ASSERT_TRUE(Complete().ok()) << i;
    EXPECT_EQ(Read("log").starts_with(expected), true) << i;
  }
}

TEST_P(DurableWrite, SyncsWithoutBytes) {
  writer_->Submit(*file_, 0, {}, Durability::kSynced);
  EXPECT_TRUE(Complete().ok());
}

TEST_P(DurableWrite, ReportsAFailedWrite) {
  auto unwritable = std::move(*directory_->Open("log", OpenMode::kRead));
  const Blocks block(1, 'x');
  writer_->Submit(*unwritable, 0, block.view(), Durability::kSynced);
  const Result<void> result = Complete();
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message(), HasSubstr(directory_->path() + "/log"));

  writer_->Submit(*file_, 0, block.view(), Durability::kSynced);
  EXPECT_TRUE(Complete().ok());
}

TEST_P(DurableWrite, IsFinishedByTheDestructor) {
  const Blocks block(1, 'x');
  writer_->Submit(*file_, 0, block.view(), Durability::kSynced);
  writer_.reset();
  EXPECT_EQ(Read("log").substr(0, kBlockBytes), block.view());
}

TEST_P(DurableWrite, IsRefusedWhenItIsMisaligned) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const Blocks block(1, 'x');
  const auto submit = [&](uint64_t offset, std::string_view bytes) {
    writer_->Submit(*file_, offset, bytes, Durability::kUnsynced);
  };
  EXPECT_DEATH(submit(1, block.view()), "offset");
  EXPECT_DEATH(submit(0, block.view().substr(0, 512)), "size");
  EXPECT_DEATH(submit(0, {}), "empty");
}

TEST_P(DurableWrite, SaysWhoWrites) {
  constexpr std::string_view kNames[] = {"simulated", "io_uring", "thread"};
  EXPECT_EQ(writer_->device(), kNames[static_cast<int>(GetParam().device) - 1]);
  EXPECT_EQ(writer_->why(), "");
}

TEST(WriteDevices, AThreadWritesWhereIoUringDoesNotWork) {
  const TempDir temp;
  auto directory = std::move(*OpenPosixDirectory(temp.path(), {}));
  // Without an eventfd nothing could be said of completions.
  const Wake deaf = [] {};
  auto best = std::move(*directory->NewDurableWriter(WriteDevice::kAuto, deaf));
  EXPECT_EQ(best->device(), "thread");
  EXPECT_THAT(best->why(), HasSubstr("io_uring: register an eventfd"));
  EXPECT_FALSE(directory->NewDurableWriter(WriteDevice::kRing, deaf).ok());
  EXPECT_EQ(directory->NewReadQueue(1, deaf), nullptr);
}

class QueuedRead : public FileSystem {
 protected:
  static constexpr size_t kReads = 8;

  void SetUp() override {
    queue_ = directory_->NewReadQueue(kReads, wakes_.wake());
    if (queue_ == nullptr) GTEST_SKIP() << "this kernel has no io_uring for us";
  }

  // The completions of so many reads, by id.
  std::map<uint64_t, bool> Complete(size_t count) {
    std::map<uint64_t, bool> filled;
    while (filled.size() < count) {
      AwaitWake(wakes_);
      for (const auto& done : queue_->Poll()) filled[done.id] = done.filled;
    }
    return filled;
  }

  EventFd wakes_;
  std::unique_ptr<ReadQueue> queue_;
};

INSTANTIATE_TEST_SUITE_P(
    , QueuedRead,
    ::testing::Values(DiskKind{"Posix", MakePosixDisk, WriteDevice::kAuto},
                      DiskKind{"Sim", MakeSimDisk, WriteDevice::kAuto}),
    [](const auto& info) { return info.param.name; });

TEST_P(QueuedRead, ReadsManyAtATime) {
  std::string content(100'000, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = char(i * 31 >> 4);
  Create("a", content);
  auto file = std::move(*directory_->Open("a", OpenMode::kReadHere));
  for (uint64_t round = 0; round < 50; ++round) {
    std::array<std::string, kReads> out;
    std::map<uint64_t, bool> all;
    for (uint64_t i = 0; i < kReads; ++i) {
      out[i].resize(1 + i * 700);
      queue_->Add(*file, round * 1000 + i, out[i], round * kReads + i);
      all[round * kReads + i] = true;
    }
    EXPECT_THAT(queue_->Poll(), testing::IsEmpty());  // Nothing has begun.
    queue_->Submit();
    EXPECT_EQ(Complete(kReads), all);
    for (uint64_t i = 0; i < kReads; ++i) {
      ASSERT_EQ(out[i], content.substr(round * 1000 + i, out[i].size()));
    }
  }
}

TEST_P(QueuedRead, ReportsAReadThatWasNotFilled) {
  Create("a", "hello");
  auto file = std::move(*directory_->Open("a", OpenMode::kReadHere));
  std::string whole(5, '\0'), too_long(6, '\0'), beyond(1, '\0');
  queue_->Add(*file, 0, whole, 1);
  queue_->Add(*file, 0, too_long, 2);
  queue_->Add(*file, 9, beyond, 3);
  queue_->Submit();
  EXPECT_THAT(Complete(3), testing::ElementsAre(testing::Pair(1, true),
                                                testing::Pair(2, false),
                                                testing::Pair(3, false)));
  EXPECT_EQ(whole, "hello");
}

// Wherever it begins and ends, and also when it is large or was not synced.
TEST_P(QueuedRead, ReadsAnyBytes) {
  std::string content(300'000, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = char(i * 31 >> 4);
  Create("a", content);
  auto file = std::move(*directory_->Open("a", OpenMode::kReadHere));
  uint64_t id = 0;
  for (const uint64_t offset : {0, 1, 511, 512, 4095, 4096, 4097, 12'345}) {
    for (const size_t size :
         {1, 511, 512, 513, 4095, 4096, 4097, 65'536, 70'000, 250'000}) {
      SCOPED_TRACE(testing::Message() << offset << ' ' << size);
      std::string out(size, '\0');
      queue_->Add(*file, offset, out, ++id);
      queue_->Submit();
      EXPECT_THAT(Complete(1), testing::ElementsAre(testing::Pair(id, true)));
      ASSERT_EQ(out, content.substr(offset, size));
    }
  }
}

TEST_P(QueuedRead, IsFinishedByTheDestructor) {
  Create("a", std::string(kBlockBytes, 'x'));
  auto file = std::move(*directory_->Open("a", OpenMode::kReadHere));
  std::string out(kBlockBytes, '\0'), other(kBlockBytes, '\0');
  queue_->Add(*file, 0, out, 1);
  queue_->Add(*file, 0, other, 2);
  queue_->Submit();
  queue_.reset();
  EXPECT_EQ(out, std::string(kBlockBytes, 'x'));
  EXPECT_EQ(other, out);
}

}  // namespace
}  // namespace kvd
