// SPDX-License-Identifier: MIT
//
// What only the real disk does.
#include "fs/posix_file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "tests/support/temp_dir.h"

namespace kvd {
namespace {

using ::testing::HasSubstr;
using OpenMode = Directory::OpenMode;

std::unique_ptr<Directory> OpenDirectory(const std::string& path) {
  auto directory = OpenPosixDirectory(path, {});
  EXPECT_TRUE(directory.ok());
  return std::move(*directory);
}

mode_t ModeOf(const std::string& path) {
  struct stat info;
  EXPECT_EQ(stat(path.c_str(), &info), 0);
  return info.st_mode & 07777;
}

// A child that ran `body`; ended and reaped by the destructor.
class Child {
 public:
  template <typename Body>
  explicit Child(Body body) {
    int pipe_fds[2];
    EXPECT_EQ(pipe(pipe_fds), 0);
    pid_ = fork();
    if (pid_ == 0) {
      const char ok = body() ? 1 : 0;
      (void)!write(pipe_fds[1], &ok, 1);
      pause();
      _exit(0);
    }
    const UniqueFd reader(pipe_fds[0]);
    close(pipe_fds[1]);
    char ok = 0;
    EXPECT_EQ(read(reader.get(), &ok, 1), 1);
    EXPECT_EQ(ok, 1);
  }
  ~Child() { Kill(); }

  pid_t pid() const { return pid_; }
  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
};

// What a look at the directory alone says.
std::string LookAt(Directory& directory) {
  const std::vector<Missing> missing = directory.FindMissing({});
  return missing.empty() ? "" : missing.front().what;
}

TEST(PosixDirectory, IsMissingWhenItIsNotAtItsPathAnyMore) {
  const TempDir dir;
  const std::string path = dir.Path("data");
  const std::string elsewhere = dir.Path("elsewhere");
  std::filesystem::create_directory(path);
  const auto directory = OpenDirectory(path);
  EXPECT_EQ(LookAt(*directory), "");
  std::filesystem::rename(path, elsewhere);
  EXPECT_THAT(LookAt(*directory), HasSubstr(path + " is not there any more"));
  std::filesystem::create_directory(path);
  EXPECT_THAT(LookAt(*directory), HasSubstr(path + " is another directory"));
  // The same one by another way.
  std::filesystem::remove(path);
  std::filesystem::create_directory_symlink(elsewhere, path);
  EXPECT_EQ(LookAt(*directory), "");
  std::filesystem::remove(elsewhere);
  EXPECT_THAT(LookAt(*directory), HasSubstr("was removed"));
}

TEST(PosixDirectory, IsMadePrivateWhenAskedFor) {
  const TempDir temp;
  const std::string path = temp.Path("data");
  auto missing = OpenPosixDirectory(path, {});
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(missing.error().message(),
            "open data directory " + path + ": No such file or directory");

  ASSERT_TRUE(OpenPosixDirectory(path, {.create = true}).ok());
  EXPECT_EQ(ModeOf(path), 0700u);
  auto again = OpenPosixDirectory(path + "/", {.create = true});
  ASSERT_TRUE(again.ok());
  ASSERT_TRUE((*again)->Create("a").ok());
  EXPECT_EQ(ModeOf(temp.Path("data/a")), 0600u);
}

TEST(PosixDirectory, IsNotMadeWithoutItsParents) {
  const TempDir temp;
  auto result = OpenPosixDirectory(temp.Path("a/b"), {.create = true});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), ErrorCode::kNotFound);
}

TEST(PosixDirectory, IsRefusedWhenItIsAFile) {
  const TempDir temp;
  std::ofstream(temp.Path("file")) << "x";
  for (const bool create : {false, true}) {
    auto result = OpenPosixDirectory(temp.Path("file"), {.create = create});
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code(), ErrorCode::kInvalid);
    EXPECT_EQ(result.error().message(),
              temp.Path("file") + " is not a directory");
  }
}

TEST(PosixDirectory, FollowsNoLinkToAFile) {
  const TempDir temp;
  std::ofstream(temp.Path("target")) << "x";
  std::filesystem::create_symlink(temp.Path("target"), temp.Path("link"));
  auto directory = OpenDirectory(temp.path());
  for (const OpenMode mode : {OpenMode::kRead, OpenMode::kReadWrite}) {
    auto result = directory->Open("link", mode);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code(), ErrorCode::kInvalid);
    EXPECT_THAT(result.error().message(), HasSubstr("symbolic link"));
  }
}

TEST(PosixDirectory, OpensOnlyRegularFiles) {
  const TempDir temp;
  ASSERT_EQ(mkfifo(temp.Path("fifo").c_str(), 0600), 0);
  ASSERT_TRUE(std::filesystem::create_directory(temp.Path("directory")));
  auto directory = OpenDirectory(temp.path());
  for (const char* name : {"fifo", "directory"}) {
    auto result = directory->Open(name, OpenMode::kRead);
    ASSERT_FALSE(result.ok()) << name;
    EXPECT_EQ(result.error().code(), ErrorCode::kInvalid);
    EXPECT_THAT(result.error().message(), HasSubstr("not a regular file"));
  }
}

TEST(PosixDirectory, IsKeptFromASecondProcessUntilTheFirstDies) {
  const TempDir temp;
  // Outlives body(), as a daemon's would.
  std::unique_ptr<Directory> childs;
  Child child([&] {
    childs = OpenDirectory(temp.path());
    return childs->Lock().ok();
  });

  auto directory = OpenDirectory(temp.path());
  auto refused = directory->Lock();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kHeld);
  EXPECT_EQ(refused.error().message(), "data directory " + temp.path() +
                                           " is held by another kvd (pid " +
                                           std::to_string(child.pid()) + ")");

  child.Kill();
  EXPECT_TRUE(directory->Lock().ok());
}

TEST(PosixDirectory, NamesNoHolderThatLockDoesNotKnow) {
  const TempDir temp;
  auto holder =
      std::move(*OpenPosixDirectory(temp.path(), {.read_only = true}));
  ASSERT_TRUE(holder->Lock().ok());
  auto directory = OpenDirectory(temp.path());
  const std::string held =
      "data directory " + temp.path() + " is held by another kvd";
  EXPECT_EQ(directory->Lock().error().message(), held);

  // A dead process, garbage, a link: nobody either.
  pid_t dead = 0;
  {
    Child child([] { return true; });
    dead = child.pid();
  }
  for (const std::string& text :
       {std::to_string(dead), std::string("-1"), std::string("garbage")}) {
    std::ofstream(temp.Path("LOCK")) << text;
    EXPECT_EQ(directory->Lock().error().message(), held) << text;
  }
}

TEST(PosixDirectory, LocksThroughNoLink) {
  const TempDir temp;
  std::ofstream(temp.Path("precious")) << "x";
  std::filesystem::create_symlink(temp.Path("precious"), temp.Path("LOCK"));
  auto directory = OpenDirectory(temp.path());
  EXPECT_TRUE(directory->Lock().ok());
  EXPECT_EQ(std::filesystem::file_size(temp.Path("precious")), 1u);
}

TEST(PosixDirectory, ShortensTheLockFileOfALongerPid) {
  const TempDir temp;
  std::ofstream(temp.Path("LOCK")) << "99999999999999999\n";
  auto directory = OpenDirectory(temp.path());
  ASSERT_TRUE(directory->Lock().ok());
  EXPECT_EQ(ReadWholeFile(*directory, "LOCK").value(),
            std::to_string(getpid()) + "\n");
}

TEST(PosixDirectory, TellsNetworkFileSystemsFromOthers) {
  EXPECT_EQ(NetworkFileSystemName(NFS_SUPER_MAGIC), "NFS");
  EXPECT_EQ(NetworkFileSystemName(SMB2_SUPER_MAGIC), "SMB");
  // As a 32-bit f_type would have it.
  EXPECT_EQ(NetworkFileSystemName(static_cast<int32_t>(CIFS_SUPER_MAGIC)),
            "SMB");
  EXPECT_EQ(NetworkFileSystemName(EXT4_SUPER_MAGIC), "");
  EXPECT_EQ(NetworkFileSystemName(TMPFS_MAGIC), "");
}

// Restores the limit; the signal would end the process before an error.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(uint64_t bytes) {
    EXPECT_EQ(getrlimit(RLIMIT_FSIZE, &before_), 0);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    handler_before_ = signal(SIGXFSZ, SIG_IGN);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_before_);
  }

 private:
  rlimit before_;
  sighandler_t handler_before_;
};

TEST(PosixFile, AnswersAFileSizeLimitAsNoSpace) {
  const TempDir temp;
  auto directory = OpenDirectory(temp.path());
  auto file = std::move(*directory->Create("a"));
  const FileSizeLimit limit(10'000);

  // The first part is taken, so that the second attempt meets the limit.
  const auto written = file->WriteAt(0, std::string(12'000, 'x'));
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().code(), ErrorCode::kNoSpace);
  EXPECT_EQ(written.error().message(),
            "write " + temp.path() + "/a at offset 10000: File too large");
  EXPECT_EQ(file->Size().value(), 10'000u);

  for (const auto& allocated :
       {file->AllocateZeroed(12'000), file->AllocateReserved(12'000)}) {
    ASSERT_FALSE(allocated.ok());
    EXPECT_EQ(allocated.error().code(), ErrorCode::kNoSpace);
  }
}

// A file system of 1 MiB.
class SmallDisk : public ::testing::Test {
 protected:
  void SetUp() override {
    if (mount("kvd-test", temp_.path().c_str(), "tmpfs", 0, "size=1m") != 0) {
      GTEST_SKIP() << "no tmpfs can be mounted here: " << std::strerror(errno);
    }
    mounted_ = true;
    directory_ = OpenDirectory(temp_.path());
  }
  void TearDown() override {
    directory_.reset();
    if (!mounted_) return;
    EXPECT_EQ(umount2(temp_.path().c_str(), MNT_DETACH), 0);
  }

  TempDir temp_;
  bool mounted_ = false;
  std::unique_ptr<Directory> directory_;
};

TEST_F(SmallDisk, HasNoSpaceForMore) {
  auto file = std::move(*directory_->Create("a"));
  for (const auto& allocated :
       {file->AllocateZeroed(2 << 20), file->AllocateReserved(2 << 20)}) {
    ASSERT_FALSE(allocated.ok());
    EXPECT_EQ(allocated.error().code(), ErrorCode::kNoSpace);
    EXPECT_THAT(allocated.error().message(), HasSubstr(temp_.path() + "/a"));
  }

  const auto written = file->WriteAt(0, std::string(2 << 20, 'x'));
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().code(), ErrorCode::kNoSpace);
  EXPECT_EQ(directory_->FreeBytes().value(), 0u);

  file.reset();
  ASSERT_TRUE(directory_->Remove("a").ok());
  EXPECT_GT(directory_->FreeBytes().value(), 900u << 10);
}

TEST_F(SmallDisk, IsLockedEvenWhenItIsFull) {
  auto file = std::move(*directory_->Create("a"));
  EXPECT_FALSE(file->WriteAt(0, std::string(2 << 20, 'x')).ok());
  EXPECT_TRUE(directory_->Lock().ok());
}

}  // namespace
}  // namespace kvd
