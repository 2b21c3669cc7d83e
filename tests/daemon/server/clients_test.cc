// SPDX-License-Identifier: MIT
//
// Clients as they come, send, read and leave.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/planted_bug.h"
#include "tests/daemon/server/server_rig.h"

namespace kvd {
namespace {

TEST_F(ServerTest, AHalfCloseIsAnsweredThenClosed) {
  Start();
  Client client = Connect();
  client.Send(Command({"SET", "a", "1"}) + Command({"GET", "a"}) + "*2\r\n$3");
  client.EndSending();
  Turn();
  EXPECT_EQ(client.Receive(), "");
  EXPECT_FALSE(client.closed());
  Settle();
  EXPECT_EQ(client.Receive(), "+OK\r\n$1\r\n1\r\n");
  EXPECT_TRUE(client.closed());
}

TEST_F(ServerTest, WhatALeavingClientSentIsExecuted) {
  Start();
  Client client = Connect();
  client.Send(Command({"SET", "a", "1"}));
  client.Leave();
  Settle();
  Client other = Connect();
  other.Send(Command({"GET", "a"}));
  Settle();
  EXPECT_EQ(other.Receive(), "$1\r\n1\r\n");
}

TEST_F(ServerTest, BytesOneByOneMakeACommand) {
  Start();
  Client client = Connect();
  for (const char byte : Command({"ECHO", "hello"})) {
    client.Send({&byte, 1});
    loop_.RunOnce();
  }
  Turn();
  EXPECT_EQ(client.Receive(), "$5\r\nhello\r\n");
}

TEST_F(ServerTest, QuitAnswersAndIgnoresTheRest) {
  Start();
  Client client = Connect();
  client.Send("QUIT\r\n" + Command({"SET", "a", "1"}));
  Settle();
  EXPECT_EQ(client.Receive(), "+OK\r\n");
  EXPECT_TRUE(client.closed());
  EXPECT_EQ(store_->Stats().keys[0], 0u);
}

TEST_F(ServerTest, GarbageGetsAnErrorAfterWhatCameBefore) {
  Start();
  Client client = Connect();
  client.Send(Command({"SET", "a", "1"}) + "*1\r\n$99999999999999\r\n");
  Settle();
  EXPECT_EQ(client.Receive(),
            "+OK\r\n-ERR Protocol error: invalid bulk length\r\n");
  EXPECT_TRUE(client.closed());
}

TEST_F(ServerTest, AHalfCommandIsGivenUpInTheEnd) {
  config_.limits.half_command_timeout_ms = 40;
  Start();
  Client client = Connect();
  Client idle = Connect();
  client.Send("*2\r\n$3\r\nGE");
  std::string reply;
  SettleUntil([&] {
    reply += client.Receive();
    return client.closed();
  });
  EXPECT_TRUE(reply.starts_with("-ERR timeout")) << reply;
  idle.Send("PING\r\n");
  Settle();
  EXPECT_EQ(idle.Receive(), "+PONG\r\n");
}

// Blocks the loop for longer than a half command may be silent; the rest of the
// command comes in meanwhile. Returns what the client gets.
class BlockedServerTest : public ServerTest {
 protected:
  std::string SendRestWhileBlocked() {
    constexpr int64_t kTimeoutMs = 400;
    config_.limits.half_command_timeout_ms = kTimeoutMs;
    Start();
    Client client = Connect();
    client.Send("*2\r\n$4\r\nECHO\r\n");
    Turn();
    client.Send("$4\r\nrest\r\n");
    std::this_thread::sleep_for(std::chrono::milliseconds(3 * kTimeoutMs));
    Turn();
    return client.Receive();
  }
};

TEST_F(BlockedServerTest, ACommandThatIsAllThereIsExecutedHoweverLate) {
  EXPECT_EQ(SendRestWhileBlocked(), "$4\r\nrest\r\n");
}

#ifdef KVD_PLANTED_BUGS
TEST_F(BlockedServerTest, ThePlantedBugIsCaught) {
  const ScopedPlantedBug planted(PlantedBug::kJudgeUnreadInput);
  EXPECT_TRUE(SendRestWhileBlocked().starts_with("-ERR timeout"));
}
#endif

// A byte now and then is enough, however long all of it takes.
TEST_F(ServerTest, ASlowButSteadyUploadIsNotCut) {
  constexpr int64_t kTimeoutMs = 200;
  config_.limits.half_command_timeout_ms = kTimeoutMs;
  Start();
  Client client = Connect();
  const std::string command = Command({"ECHO", "abcdefghij"});
  const auto start = std::chrono::steady_clock::now();
  size_t sent = 0;
  // Sent evenly over three times the limit, by the clock.
  while (sent < command.size()) {
    const auto passed = std::chrono::steady_clock::now() - start;
    const auto due = static_cast<size_t>(
        passed * command.size() / std::chrono::milliseconds(3 * kTimeoutMs));
    if (due > sent) {
      client.Send(std::string_view(command).substr(sent, due - sent));
      sent = std::min(due, command.size());
    }
    loop_.RunOnce();
  }
  Settle();
  EXPECT_EQ(client.Receive(), "$10\r\nabcdefghij\r\n");
}

TEST_F(ServerTest, AClientThatDoesNotReadIsNotReadEither) {
  Start();
  Client setter = Connect();
  setter.Send(Command({"SET", "big", std::string(50'000, 'x')}));
  Settle();
  Client slow = Connect();
  const std::string get = Command({"GET", "big"});
  std::string burst;
  for (int i = 0; i < 2000; ++i) burst += get;
  ASSERT_EQ(slow.Send(burst), burst.size());
  Settle();
  Client status = Connect();
  status.Send(Command({"CLIENT", "LIST", "ID", "2"}));
  Settle();
  const std::string line = status.Receive();
  const size_t at = line.find("omem=") + 5;
  // The mark, one reply beyond it, and no more.
  EXPECT_LT(std::stoul(line.substr(at)), (1u << 20) + 60'000) << line;

  size_t received = 0;
  const size_t expected = 2000 * (50'000 + 10);
  SettleUntil([&] { return (received += slow.Receive().size()) >= expected; });
  EXPECT_EQ(received, expected);
}

TEST_F(ServerTest, ATooLargeReplyIsAnErrorAndTheNextOneIsNot) {
  Start();
  Client setter = Connect();
  setter.Send(Command({"SET", "big", std::string(50'000, 'x')}));
  Settle();
  std::vector<std::string> words(200, "big");
  words[0] = "MGET";
  Client greedy = Connect();
  greedy.Send(Command(words) + "PING\r\n");
  Settle();
  const std::string replies = greedy.Receive();
  EXPECT_TRUE(replies.starts_with("-ERR the reply takes 9950000 bytes"));
  EXPECT_TRUE(replies.ends_with("\r\n+PONG\r\n"));
  EXPECT_FALSE(greedy.closed());
}

// Whatever waits to be sent before it, a reply that fits alone is sent.
TEST_F(ServerTest, AReplyFitsBehindOthers) {
  Start();
  Client client = Connect();
  const std::string big(900'000, 'x');
  const auto execute = [&](const std::string& command, size_t bytes) {
    std::string received;
    for (size_t sent = 0; sent < command.size();) {
      sent += client.Send(std::string_view(command).substr(sent));
      Settle();
    }
    SettleUntil([&] {
      received += client.Receive();
      return received.size() >= bytes || client.closed();
    });
    return received.size();
  };
  execute(Command({"SET", "big", big}), 5);
  // Together they are more than limits.output_bytes.
  std::vector<std::string> words(10, "big");
  words[0] = "MGET";
  const size_t reply = 4 + 9 * (9 + big.size() + 2);
  ASSERT_LT(reply, config_.limits.output_bytes);
  EXPECT_EQ(execute(Command({"GET", "big"}) + Command(words) +
                        Command({"GETDEL", "big"}) + Command({"GET", "big"}),
                    reply + 2 * (9 + big.size() + 2) + 5),
            reply + 2 * (9 + big.size() + 2) + 5);
  EXPECT_FALSE(client.closed());
}

// Large values go out from where the store keeps them, as the client reads.
TEST_F(ServerTest, ASlowReaderGetsTheValueThatItAskedFor) {
  Start();
  const std::string old(1 << 20, 'o');
  const std::string expected =
      "$" + std::to_string(old.size()) + "\r\n" + old + "\r\n+PONG\r\n";
  Client writer = Connect();
  const auto execute = [&](const std::string& command) {
    for (size_t sent = 0; sent < command.size();) {
      sent += writer.Send(std::string_view(command).substr(sent));
      Settle();
    }
    return writer.Receive();
  };
  const std::vector<std::string> changes = {
      Command({"SET", "big", std::string(old.size(), 'n')}),
      Command({"SET", "big", "short"}),
      Command({"DEL", "big"}),
      Command({"RENAME", "other", "big"}),
      Command({"FLUSHALL"}),
  };
  for (const std::string& change : changes) {
    for (const std::string get : {"GET", "GETDEL"}) {
      execute(Command({"SET", "other", "value"}));
      ASSERT_EQ(execute(Command({"SET", "big", old})), "+OK\r\n");
      Client slow = Connect();
      slow.Send(Command({get, "big"}) + "PING\r\n");
      // What is not durable has to be kept, too.
      Turn();
      execute(change);
      std::string received;
      SettleUntil([&] {
        received += slow.Receive();
        return received.size() >= expected.size() || slow.closed();
      });
      EXPECT_EQ(received == expected, true) << get << ", then " << change[5];
    }
  }
}

TEST_F(ServerTest, TooManyClientsAreToldSo) {
  Start({.clients = 2});
  Client first = Connect();
  Client second = Connect();
  Settle();
  Client third = Connect();
  Settle();
  EXPECT_EQ(third.Receive(), "-ERR max number of clients reached\r\n");
  EXPECT_TRUE(third.closed());
  first.Leave();
  Settle();
  Client fourth = Connect();
  fourth.Send("PING\r\n");
  Settle();
  EXPECT_EQ(fourth.Receive(), "+PONG\r\n");
}

// Acts as another user for as long as it lives.
class OtherUser {
 public:
  OtherUser() { KVD_CHECK(seteuid(kNobody) == 0); }
  ~OtherUser() { KVD_CHECK(seteuid(0) == 0); }

 private:
  static constexpr uid_t kNobody = 65534;
};

TEST_F(ServerTest, WhenOthersHaveAllPlacesRootStillGetsOne) {
  if (geteuid() != 0) GTEST_SKIP() << "takes root";
  config_.socket.mode = 0666;
  ASSERT_EQ(chmod(dir_.path().c_str(), 0755), 0);
  Start({.clients = 2, .reserved = 2});
  std::optional<Client> first;
  std::optional<Client> second;
  {
    const OtherUser other;
    first.emplace(config_.socket.path);
    second.emplace(config_.socket.path);
    Client third(config_.socket.path);
    Settle();
    EXPECT_EQ(third.Receive(), "-ERR max number of clients reached\r\n");
  }
  Client root = Connect();
  root.Send(Command({"CLIENT", "KILL", "ID", "1"}));
  Settle();
  EXPECT_EQ(root.Receive(), ":1\r\n");
  first->Receive();
  EXPECT_TRUE(first->closed());
  // The place that became free is root's own now: others get none before there
  // are less than two.
  {
    const OtherUser other;
    Client again(config_.socket.path);
    Settle();
    EXPECT_EQ(again.Receive(), "-ERR max number of clients reached\r\n");
  }
}

// A process of root's that takes all places does not get the reserve as well.
TEST_F(ServerTest, AProcessWithConnectionsGetsNothingOfTheReserve) {
  Start({.clients = 1, .reserved = 2});
  Client first = Connect();
  Settle();
  Client second = Connect();
  Settle();
  EXPECT_EQ(second.Receive(), "-ERR max number of clients reached\r\n");
  EXPECT_TRUE(second.closed());
}

TEST_F(ServerTest, HttpEndsTheConnectionUnanswered) {
  Start();
  struct Case {
    std::string sent;
    std::string answered;
  };
  const std::string body = "SET hacked 1\r\n" + Command({"SET", "hacked", "1"});
  const Case cases[] = {
      {"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n" + body, ""},
      {"post /\r\n" + body, ""},
      {"PING\r\nhOsT: a\r\n" + body, "+PONG\r\n"},
      {Command({"Host:", "a"}) + body, ""},
      {Command({"POST"}) + body, ""},
      {"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + body,
       "-ERR wrong number of arguments for 'get' command\r\n"},
      {"SET before 1\r\nPOST\r\n" + body, "+OK\r\n"},
  };
  for (const Case& http : cases) {
    Client client = Connect();
    client.Send(http.sent);
    Settle();
    EXPECT_EQ(client.Receive(), http.answered) << http.sent;
    EXPECT_TRUE(client.closed()) << http.sent;
  }
  Client client = Connect();
  client.Send(Command({"EXISTS", "hacked"}) + Command({"EXISTS", "before"}) +
              Command({"HOST", ":"}));
  Settle();
  EXPECT_EQ(client.Receive(),
            ":0\r\n:1\r\n-ERR unknown command 'HOST', with args beginning "
            "with: ':' \r\n");
}

}  // namespace
}  // namespace kvd
