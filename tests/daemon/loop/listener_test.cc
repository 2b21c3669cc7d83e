// SPDX-License-Identifier: MIT
#include "daemon/loop/listener.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <string>

#include "tests/support/temp_dir.h"

namespace kvd {
namespace {

class ListeningSocketTest : public testing::Test {
 protected:
  std::string path() const { return dir_.Path("kvd.sock"); }

  Result<std::unique_ptr<ListeningSocket>> Listen(uint32_t mode = 0660) {
    Config::Socket socket;
    socket.path = path();
    socket.mode = mode;
    auto listening = ListeningSocket::Bind(socket);
    if (!listening) return listening;
    if (auto published = (*listening)->Publish(); !published) {
      return Unexpected(published.error());
    }
    return listening;
  }

  bool CanConnect() const {
    const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path().c_str(),
                 sizeof(address.sun_path) - 1);
    return connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
                   sizeof(address)) == 0;
  }

  bool Exists() const {
    struct stat found;
    return lstat(path().c_str(), &found) == 0;
  }

  // Leaves a socket behind that nobody serves, as a crash does.
  void LeaveStaleSocket() {
    auto listening = Listen();
    ASSERT_TRUE(listening.ok()) << listening.error().message();
    ASSERT_EQ(rename(path().c_str(), dir_.Path("aside").c_str()), 0);
    listening->reset();
    ASSERT_EQ(rename(dir_.Path("aside").c_str(), path().c_str()), 0);
    ASSERT_FALSE(CanConnect());
  }

  TempDir dir_;
};

TEST_F(ListeningSocketTest, HasItsModeFromTheFirstMoment) {
  const auto listening = Listen(0640);
  ASSERT_TRUE(listening.ok()) << listening.error().message();
  struct stat found;
  ASSERT_EQ(stat(path().c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0640u);
  EXPECT_TRUE(CanConnect());
}

TEST_F(ListeningSocketTest, IsInvisibleBeforePublish) {
  Config::Socket socket;
  socket.path = path();
  const auto listening = ListeningSocket::Bind(socket);
  ASSERT_TRUE(listening.ok());
  EXPECT_FALSE(Exists());
}

TEST_F(ListeningSocketTest, LeavesNothingBehind) {
  Listen().value().reset();
  EXPECT_FALSE(Exists());
  // The directory is empty again: rmdir would fail otherwise.
  EXPECT_EQ(rmdir(dir_.path().c_str()), 0);
  EXPECT_EQ(mkdir(dir_.path().c_str(), 0700), 0);
}

TEST_F(ListeningSocketTest, IsNotTakenFromALivingDaemon) {
  const auto first = Listen();
  ASSERT_TRUE(first.ok());
  const auto second = Listen();
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code(), ErrorCode::kHeld);
  EXPECT_NE(second.error().message().find(path()), std::string::npos);
  EXPECT_TRUE(CanConnect());
}

TEST_F(ListeningSocketTest, IsNotTakenFromADaemonThatCameBetween) {
  Config::Socket socket;
  socket.path = path();
  const auto slow = ListeningSocket::Bind(socket);
  ASSERT_TRUE(slow.ok());
  ASSERT_EQ(
      rename((path() + "." + std::to_string(getpid())).c_str(), path().c_str()),
      0);
  const auto published = (*slow)->Publish();
  ASSERT_FALSE(published.ok());
  EXPECT_EQ(published.error().code(), ErrorCode::kHeld);
}

TEST_F(ListeningSocketTest, ReplacesAStaleSocket) {
  LeaveStaleSocket();
  const auto listening = Listen();
  ASSERT_TRUE(listening.ok()) << listening.error().message();
  EXPECT_TRUE(CanConnect());
}

TEST_F(ListeningSocketTest, LeavesASocketThatReplacedItsOwn) {
  auto first = Listen();
  ASSERT_EQ(unlink(path().c_str()), 0);
  const auto second = Listen();
  ASSERT_TRUE(second.ok());
  first->reset();
  EXPECT_TRUE(CanConnect());
}

TEST_F(ListeningSocketTest, RefusesASymbolicLink) {
  LeaveStaleSocket();
  ASSERT_EQ(rename(path().c_str(), dir_.Path("real").c_str()), 0);
  ASSERT_EQ(symlink("real", path().c_str()), 0);
  const auto listening = Listen();
  ASSERT_FALSE(listening.ok());
  EXPECT_NE(listening.error().message().find("symbolic link"),
            std::string::npos);
}

TEST_F(ListeningSocketTest, RefusesAndKeepsAFileThatIsNoSocket) {
  std::ofstream(path()) << "precious";
  const auto listening = Listen();
  ASSERT_FALSE(listening.ok());
  EXPECT_NE(listening.error().message().find("not a socket"),
            std::string::npos);
  std::string content;
  std::ifstream(path()) >> content;
  EXPECT_EQ(content, "precious");
}

TEST_F(ListeningSocketTest, SaysWhyALongPathIsRefused) {
  Config::Socket socket;
  socket.path = "/" + std::string(107, 'x');
  const auto listening = ListeningSocket::Bind(socket);
  ASSERT_FALSE(listening.ok());
  EXPECT_NE(listening.error().message().find("107"), std::string::npos);
}

TEST_F(ListeningSocketTest, TheLongestPathWorks) {
  Config::Socket socket;
  socket.path = dir_.path() + "/";
  socket.path += std::string(107 - socket.path.size(), 'x');
  const auto listening = ListeningSocket::Bind(socket);
  ASSERT_TRUE(listening.ok()) << listening.error().message();
  EXPECT_TRUE((*listening)->Publish().ok());
}

TEST_F(ListeningSocketTest, RefusesAnUnknownGroup) {
  Config::Socket socket;
  socket.path = path();
  socket.group = "no-such-group-here";
  const auto listening = ListeningSocket::Bind(socket);
  ASSERT_FALSE(listening.ok());
  EXPECT_NE(listening.error().message().find("no-such-group-here"),
            std::string::npos);
}

TEST_F(ListeningSocketTest, KeepsTheNameOfAnAdoptedSocket) {
  auto original = Listen();
  ASSERT_TRUE(original.ok());
  auto adopted = ListeningSocket::Adopt(UniqueFd(dup((*original)->fd())));
  ASSERT_TRUE(adopted.ok()) << adopted.error().message();
  adopted->reset();
  EXPECT_TRUE(CanConnect());
}

TEST_F(ListeningSocketTest, AdoptsListeningSocketsOnly) {
  EXPECT_FALSE(
      ListeningSocket::Adopt(UniqueFd(socket(AF_UNIX, SOCK_STREAM, 0))).ok());
  EXPECT_FALSE(ListeningSocket::Adopt(UniqueFd(dup(0))).ok());
}

}  // namespace
}  // namespace kvd
