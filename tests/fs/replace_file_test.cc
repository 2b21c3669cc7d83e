// SPDX-License-Identifier: MIT
#include "fs/replace_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace kvd {
namespace {

namespace fs = std::filesystem;

class ReplaceFileTest : public testing::Test {
 protected:
  ReplaceFileTest() {
    std::string name = testing::TempDir() + "replace_file_XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    Write(file_, "old");
  }
  ~ReplaceFileTest() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const {
    return folder_ + "/" + name;
  }
  void Write(const std::string& name, std::string_view text) const {
    std::ofstream(Path(name)) << text;
  }
  std::string Read(const std::string& name) const {
    std::ifstream stream(Path(name));
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  size_t Files() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(folder_), {}));
  }

  std::string folder_;
  const std::string file_ = "kvd.toml";
};

TEST_F(ReplaceFileTest, HasTheNewContentsAndTheOldPermissions) {
  ASSERT_EQ(chmod(Path(file_).c_str(), 0640), 0);
  const std::string text(1 << 20, 'x');
  ASSERT_TRUE(ReplaceFile(Path(file_), text));
  EXPECT_EQ(Read(file_), text);
  struct stat info;
  ASSERT_EQ(stat(Path(file_).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0640u);
  EXPECT_EQ(Files(), 1u);
}

TEST_F(ReplaceFileTest, FollowsALinkAndLeavesIt) {
  fs::create_symlink(file_, Path("link"));
  ASSERT_TRUE(ReplaceFile(Path("link"), "new"));
  EXPECT_EQ(Read(file_), "new");
  EXPECT_TRUE(fs::is_symlink(Path("link")));
  EXPECT_EQ(Files(), 2u);
}

TEST_F(ReplaceFileTest, MakesNoFile) {
  const auto missing = ReplaceFile(Path("nope"), "new");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), ErrorCode::kNotFound);
  fs::create_directory(Path("folder"));
  EXPECT_FALSE(ReplaceFile(Path("folder"), "new"));
  EXPECT_EQ(Read(file_), "old");
  EXPECT_EQ(Files(), 2u);
}

// A link in the place of the temporary name leads nowhere.
TEST_F(ReplaceFileTest, WritesThroughNoPlantedLink) {
  Write("other", "other");
  fs::create_symlink(Path("other"),
                     Path(file_) + ".new." + std::to_string(getpid()));
  ASSERT_TRUE(ReplaceFile(Path(file_), "new"));
  EXPECT_EQ(Read(file_), "new");
  EXPECT_EQ(Read("other"), "other");
}

}  // namespace
}  // namespace kvd
