// SPDX-License-Identifier: MIT
//
// Who is served when, and which replies wait for the disk.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "tests/daemon/server/server_rig.h"

namespace kvd {
namespace {

TEST_F(ServerTest, OkComesWhenTheWriteIsOnDiskAndNotBefore) {
  Start();
  Client client = Connect();
  client.Send(Command({"SET", "a", "1"}));
  Turn();
  EXPECT_EQ(client.Receive(), "");
  Settle();
  EXPECT_EQ(client.Receive(), "+OK\r\n");
}

TEST_F(ServerTest, WhoSeesAnUndurableValueWaitsOthersDoNot) {
  Start();
  Client writer = Connect();
  writer.Send(Command({"SET", "old", "1"}));
  Settle();
  EXPECT_EQ(writer.Receive(), "+OK\r\n");
  writer.Send(Command({"SET", "a", "1"}) + Command({"DEL", "old"}));
  Turn();

  Client sees_value = Connect();
  Client sees_absence = Connect();
  Client sees_neither = Connect();
  sees_value.Send(Command({"GET", "a"}));
  sees_absence.Send(Command({"GET", "old"}));
  sees_neither.Send(Command({"GET", "never"}) + "PING\r\n");
  Turn();
  EXPECT_EQ(sees_value.Receive(), "");
  EXPECT_EQ(sees_absence.Receive(), "");
  EXPECT_EQ(sees_neither.Receive(), "$-1\r\n+PONG\r\n");
  Settle();
  EXPECT_EQ(sees_value.Receive(), "$1\r\n1\r\n");
  EXPECT_EQ(sees_absence.Receive(), "$-1\r\n");
  EXPECT_EQ(writer.Receive(), "+OK\r\n:1\r\n");
}

TEST_F(ServerTest, RepliesOfAConnectionStayInOrder) {
  Start();
  Client client = Connect();
  client.Send("PING one\r\n" + Command({"SET", "a", "1"}) + "PING two\r\n");
  Turn();
  EXPECT_EQ(client.Receive(), "$3\r\none\r\n");
  Settle();
  EXPECT_EQ(client.Receive(), "+OK\r\n$3\r\ntwo\r\n");
}

TEST_F(ServerTest, WritersWaitForRoomInOrderAndReadersDoNot) {
  Start();
  Client flood = Connect();
  std::string burst;
  for (int i = 0; i < 20; ++i) {
    burst += Command({"KV.SET", "log", std::string(10'000, 'x')});
  }
  ASSERT_EQ(flood.Send(burst), burst.size());
  Turn();
  // There would be room for this one, but it is not its turn.
  Client late = Connect();
  late.Send(Command({"KV.SET", "late", "1"}));
  Client reader = Connect();
  reader.Send(Command({"GET", "never"}));
  Turn();
  EXPECT_EQ(reader.Receive(), "$-1\r\n");
  EXPECT_EQ(flood.Receive() + late.Receive(), "");
  const Seq newest_when_full = store_->last_seq();
  Settle();
  // The one that waited, then this one, then the rest of the flood.
  EXPECT_EQ(Number(late.Receive()), newest_when_full + 2);
  EXPECT_GT(Number(flood.Receive()), newest_when_full + 2);
}

TEST_F(ServerTest, ALongPipelineIsBehindTheOthersInTheNextTurn) {
  Start();
  Client flood = Connect();
  Client other = Connect();
  Turn();
  std::string pings;
  for (int i = 0; i < 100; ++i) pings += Command({"PING", "x"});
  for (int i = 0; i < 30; ++i) ASSERT_EQ(flood.Send(pings), pings.size());
  ASSERT_EQ(other.Send(pings), pings.size());
  std::string first;
  for (int i = 0; i < 20 && first.empty(); ++i) {
    loop_.RunOnce();
    first = flood.Receive();
  }
  ASSERT_NE(first, "");
  ASSERT_EQ(other.Receive(), "");
  loop_.RunOnce();
  EXPECT_NE(other.Receive(), "");
}

// Of pipelining clients, whose commands are all there at once.
class FloodedServerTest : public ServerTest {
 protected:
  static constexpr size_t kClients = 40;
  static constexpr size_t kCommands = 100;

  explicit FloodedServerTest(std::string command = Command({"PING", "x"}),
                             std::string reply = "$1\r\nx\r\n")
      : command_(std::move(command)), reply_(std::move(reply)) {
    Start();
    for (size_t i = 0; i < kClients; ++i) {
      clients_.push_back(Connect());
      left_.push_back(kCommands);
    }
    Turn();
    for (Client& client : clients_) Flood(client);
  }

  void Flood(Client& client) {
    std::string commands;
    for (size_t i = 0; i < kCommands; ++i) commands += command_;
    KVD_CHECK(client.Send(commands) == commands.size());
  }

  // One turn; returns how many commands were answered.
  size_t AnswerSome() {
    loop_.RunOnce();
    size_t answered = 0;
    for (size_t i = 0; i < clients_.size(); ++i) {
      const std::string replies = clients_[i].Receive();
      const size_t count = replies.size() / reply_.size();
      EXPECT_EQ(replies.size() % reply_.size(), 0u);
      answered += count;
      left_[i] -= count;
    }
    return answered;
  }
  size_t left() const {
    return std::accumulate(left_.begin(), left_.end(), 0u);
  }

  void AnswersAllInSeveralTurns() {
    size_t turns = 0;
    while (left() > 0) {
      const size_t answered = AnswerSome();
      EXPECT_LT(answered, kClients * kCommands / 4);
      if (answered == 0) continue;
      ++turns;
      // Nobody has to wake it for the others.
      if (left() > 0) {
        EXPECT_EQ(uv_backend_timeout(loop_.get()), 0);
      }
    }
    EXPECT_GT(turns, 4u);
  }

  const std::string command_;
  const std::string reply_;
  std::vector<Client> clients_;
  std::vector<size_t> left_;
};

TEST_F(FloodedServerTest, ManyCommandsThatComeAtOnceTakeSeveralTurns) {
  AnswersAllInSeveralTurns();
}

// There is nothing to fetch for them, which is no reason to parse all of them.
class FloodedWithoutKeysTest : public FloodedServerTest {
 protected:
  FloodedWithoutKeysTest()
      : FloodedServerTest(Command({"PING"}), "+PONG\r\n") {}
};

TEST_F(FloodedWithoutKeysTest, ManyCommandsThatComeAtOnceTakeSeveralTurns) {
  AnswersAllInSeveralTurns();
}

TEST_F(FloodedServerTest, WhoWasLeftForTheNextTurnIsFirstInIt) {
  while (AnswerSome() == 0) {
  }
  // Whoever was answered is back before the others had their turn.
  std::vector<size_t> waited;
  for (size_t i = 0; i < kClients; ++i) {
    if (left_[i] > 0) waited.push_back(i);
    if (left_[i] > 0) continue;
    Flood(clients_[i]);
    left_[i] += kCommands;
  }
  ASSERT_FALSE(waited.empty());
  const size_t back = left() - waited.size() * kCommands;
  size_t waiting = waited.size() * kCommands;
  while (waiting > 0) {
    AnswerSome();
    waiting = 0;
    for (const size_t i : waited) waiting += left_[i];
    // The turn that ends with the last of them may take up some who came back.
    if (waiting > 0) {
      EXPECT_EQ(left() - waiting, back);
    }
  }
}

TEST_F(FloodedServerTest, WhoSendsLittleDoesNotWaitForAll) {
  Client brief = Connect();
  while (AnswerSome() == 0) {
  }
  brief.Send("PING brief\r\n");
  // It is accepted, read, and answered with what the turn executes.
  for (int i = 0; i < 3; ++i) AnswerSome();
  EXPECT_EQ(brief.Receive(), "$5\r\nbrief\r\n");
  EXPECT_GT(left(), kClients * kCommands / 4);
}

TEST_F(FloodedServerTest, InputThatComesForALaterTurnIsAnsweredInOrder) {
  while (AnswerSome() == 0) {
  }
  ASSERT_GT(left_.back(), 0u);
  Client& client = clients_.back();
  client.Send(Command({"ECHO", "first"}) + Command({"ECHO", "second"}));
  client.EndSending();
  std::string replies;
  while (!client.closed()) {
    loop_.RunOnce();
    replies += client.Receive();
  }
  std::string expected;
  for (size_t i = 0; i < left_.back(); ++i) expected += reply_;
  EXPECT_EQ(replies, expected + "$5\r\nfirst\r\n$6\r\nsecond\r\n");
}

TEST_F(FloodedServerTest, AStopExecutesWhatLaterTurnsWereToExecute) {
  while (AnswerSome() == 0) {
  }
  ASSERT_GT(left(), 0u);
  server_->BeginStop("test");
  while (!server_->ended()) {
    AnswerSome();
    while (disk_.pending_writes() > 0) disk_.CompleteWrite();
  }
  EXPECT_EQ(server_->exit_code(), ExitCode::kStopped);
  AnswerSome();
  EXPECT_EQ(left(), 0u);
}

constexpr int kManyKeys = 60'000;

// Adds that many keys of 8 bytes.
void AddManyKeys(const std::function<void(const std::string&)>& execute) {
  for (int i = 0; i < kManyKeys; i += 500) {
    std::vector<std::string> words = {"MSET"};
    for (int k = i; k < i + 500; ++k) {
      words.push_back(fmt::format("key{:05}", k));
      words.push_back("v");
    }
    execute(ServerTest::Command(words));
  }
}

TEST_F(ServerTest, OthersAreAnsweredWhileManyKeysAreListed) {
  Start();
  Client client = Connect();
  AddManyKeys([&](const std::string& command) {
    client.Send(command);
    Settle();
    ASSERT_EQ(client.Receive(), "+OK\r\n");
  });
  std::vector<Client> listers;
  for (int i = 0; i < 4; ++i) {
    listers.push_back(Connect());
    listers.back().Send(Command({"KEYS", "*"}));
  }
  loop_.RunOnce();
  loop_.RunOnce();
  client.Send("PING\r\n");
  loop_.RunOnce();
  EXPECT_EQ(client.Receive(), "+PONG\r\n");
  for (Client& lister : listers) EXPECT_EQ(lister.Receive(), "");
  // One goes before its reply is made.
  listers.back().Leave();
  listers.pop_back();
  for (Client& lister : listers) {
    std::string received;
    const size_t expected = 8 + kManyKeys * (4 + 8 + 2);
    SettleUntil([&] {
      received += lister.Receive();
      return received.size() >= expected || lister.closed();
    });
    EXPECT_EQ(received.size(), expected);
    EXPECT_TRUE(received.starts_with("*60000\r\n$8\r\nkey"));
  }
}

TEST_F(ServerTest, AStopAnswersWhoListsKeys) {
  Start();
  Client client = Connect();
  AddManyKeys([&](const std::string& command) {
    client.Send(command);
    Settle();
    ASSERT_EQ(client.Receive(), "+OK\r\n");
  });
  client.Send(Command({"KEYS", "*"}));
  loop_.RunOnce();
  EXPECT_EQ(client.Receive(), "");
  server_->BeginStop("test");
  std::string received;
  SettleUntil([&] {
    received += client.Receive();
    return client.closed();
  });
  EXPECT_TRUE(received.starts_with("*60000\r\n")) << received.substr(0, 100);
}

}  // namespace
}  // namespace kvd
