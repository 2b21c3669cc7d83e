// SPDX-License-Identifier: MIT
//
// Messages from one client to others, with a disk that takes its time and
// subscribers that do not read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/planted_bug.h"
#include "tests/daemon/server/server_rig.h"

namespace kvd {
namespace {

using ::testing::HasSubstr;

class MessagesTest : public ServerTest {
 protected:
  Client Subscribed(const std::string& channel) {
    Client client = Connect();
    client.Send(Command({"SUBSCRIBE", channel}));
    Settle();
    client.Receive();
    return client;
  }

  std::string Reply(Client& client, const std::vector<std::string>& words) {
    client.Send(Command(words));
    Settle();
    return client.Receive();
  }

  static std::string MessageText(const std::string& channel,
                                 const std::string& payload) {
    return Command({"message", channel, payload});
  }

  // How many bytes of messages the daemon holds.
  std::string Held(Client& client) {
    const std::string info = Reply(client, {"INFO", "stats"});
    const size_t at = info.find("kvd_message_bytes:");
    return info.substr(at, info.find('\r', at) - at);
  }

  // Whether a message waits for what its sender has changed.
  bool WaitsForTheDisk() {
    Start();
    Client reader = Subscribed("a");
    Client sender = Connect();
    sender.Send(Command({"SET", "k", "1"}) + Command({"PUBLISH", "a", "k"}));
    Turn();
    const bool waits = reader.Receive().empty();
    Settle();
    return waits && reader.Receive() == MessageText("a", "k");
  }

  // Whether a subscriber that reads nothing gets all in the end, as it is
  // within its limit.
  bool KeepsAllForASlowOne() {
    Start();
    Client reader = Subscribed("a");
    Client sender = Connect();
    const std::string payload(100'000, 'x');
    constexpr int kMessages = 50;
    for (int i = 0; i < kMessages; ++i) {
      EXPECT_EQ(Reply(sender, {"PUBLISH", "a", payload}), ":1\r\n");
    }
    std::string got;
    for (int i = 0; i < 1000 && !reader.closed(); ++i) {
      got += reader.Receive();
      Turn();
    }
    return static_cast<size_t>(std::ranges::count(got, 'x')) ==
           kMessages * payload.size();
  }

  // Whether nothing is left of messages that everybody has read.
  bool ForgetsWhatWasRead() {
    Start();
    Client readers[] = {Subscribed("a"), Subscribed("a")};
    Client sender = Connect();
    Reply(sender, {"PUBLISH", "a", std::string(10'000, 'x')});
    for (Client& reader : readers) {
      EXPECT_EQ(reader.Receive().size(),
                MessageText("a", std::string(10'000, 'x')).size());
    }
    return Held(sender) == "kvd_message_bytes:0";
  }
};

TEST_F(MessagesTest, AMessageWaitsForWhatItsSenderHasSeen) {
  EXPECT_TRUE(WaitsForTheDisk());
}

#ifdef KVD_PLANTED_BUGS
TEST_F(MessagesTest, AMessageBeforeTheDiskIsFound) {
  const ScopedPlantedBug planted(PlantedBug::kMessageBeforeDurable);
  EXPECT_FALSE(WaitsForTheDisk());
}

TEST_F(MessagesTest, ALostMessageIsFound) {
  const ScopedPlantedBug planted(PlantedBug::kLoseSlowMessage);
  EXPECT_FALSE(KeepsAllForASlowOne());
}

TEST_F(MessagesTest, AKeptMessageIsFound) {
  const ScopedPlantedBug planted(PlantedBug::kLeakMessage);
  EXPECT_FALSE(ForgetsWhatWasRead());
}
#endif

TEST_F(MessagesTest, ASlowSubscriberLosesNothing) {
  EXPECT_TRUE(KeepsAllForASlowOne());
}

TEST_F(MessagesTest, WhatAllHaveReadIsGone) {
  EXPECT_TRUE(ForgetsWhatWasRead());
}

// What a reader has read, too, not only what it has written.
TEST_F(MessagesTest, AMessageWaitsForWhatItsSenderHasRead) {
  Start();
  Client reader = Subscribed("a");
  Client writer = Connect();
  Client sender = Connect();
  writer.Send(Command({"SET", "k", "1"}));
  sender.Send(Command({"CLIENT", "REPLY", "OFF"}) + Command({"GET", "k"}) +
              Command({"PUBLISH", "a", "k"}));
  Turn();
  EXPECT_EQ(reader.Receive(), "");
  Settle();
  EXPECT_EQ(reader.Receive(), MessageText("a", "k"));
}

TEST_F(MessagesTest, WhoHasSeenNothingNewDoesNotWait) {
  Start();
  Client reader = Subscribed("a");
  Client writer = Connect();
  Client sender = Connect();
  writer.Send(Command({"SET", "k", "1"}));
  Turn();
  sender.Send(Command({"PUBLISH", "a", "1"}));
  Turn();
  EXPECT_EQ(reader.Receive(), MessageText("a", "1"));
  EXPECT_EQ(sender.Receive(), ":1\r\n");
  EXPECT_EQ(writer.Receive(), "");
  Settle();
}

TEST_F(MessagesTest, MessagesKeepTheirOrderBehindOneThatWaits) {
  Start();
  Client reader = Subscribed("a");
  Client writer = Connect();
  Client sender = Connect();
  writer.Send(Command({"SET", "k", "1"}) + Command({"PUBLISH", "a", "1"}));
  Turn();
  sender.Send(Command({"PUBLISH", "a", "2"}));
  Turn();
  EXPECT_EQ(reader.Receive(), "");
  Settle();
  EXPECT_EQ(reader.Receive(), MessageText("a", "1") + MessageText("a", "2"));
}

TEST_F(MessagesTest, ATransactionsMessagesWaitForAllOfIt) {
  Start();
  Client reader = Subscribed("a");
  Client sender = Connect();
  sender.Send(Command({"MULTI"}) + Command({"PUBLISH", "a", "1"}) +
              Command({"SET", "k", "1"}) + Command({"EXEC"}));
  Turn();
  EXPECT_EQ(reader.Receive(), "");
  Settle();
  EXPECT_EQ(reader.Receive(), MessageText("a", "1"));
}

TEST_F(MessagesTest, AMessageAfterADiskFaultIsNoError) {
  Start();
  Client reader = Subscribed("a");
  Client sender = Connect();
  sender.Send(Command({"SET", "k", "1"}) + Command({"PUBLISH", "a", "1"}));
  Turn();
  disk_.FailAt(SimFileSystem::Op::kComplete, 0, EIO);
  SettleUntil([&] { return server_->ended(); });
  EXPECT_EQ(reader.Receive(), "");
  EXPECT_THAT(sender.Receive(), HasSubstr("-IOERR outcome unknown"));
}

TEST_F(MessagesTest, WhoDoesNotReadIsClosedAndNobodyWaits) {
  config_.limits.subscriber_bytes = 2 << 20;
  Start();
  Client stopped = Subscribed("a");
  Client reader = Subscribed("a");
  Client sender = Connect();
  const std::string payload(100'000, 'x');
  size_t got = 0;
  for (int i = 0; i < 60; ++i) {
    const std::string count = Reply(sender, {"PUBLISH", "a", payload});
    EXPECT_TRUE(count == ":2\r\n" || count == ":1\r\n");
    got += static_cast<size_t>(std::ranges::count(reader.Receive(), 'x'));
  }
  EXPECT_EQ(got, 60 * payload.size());
  EXPECT_EQ(Reply(sender, {"PUBLISH", "a", "1"}), ":1\r\n");
  EXPECT_THAT(Reply(sender, {"INFO", "stats"}),
              HasSubstr("client_output_buffer_limit_disconnections:1\r\n"));
  EXPECT_FALSE(reader.closed());
  stopped.Receive();
  EXPECT_TRUE(stopped.closed());
}

// Each is within its limit, and all together are not.
TEST_F(MessagesTest, AllTogetherAreBoundedAndTheSlowestGoes) {
  config_.limits.subscriber_bytes = 1 << 20;
  Start();
  std::vector<Client> stopped;
  for (int i = 0; i < 16; ++i) {
    stopped.push_back(Subscribed("c" + std::to_string(i)));
  }
  Client reader = Subscribed("r");
  Client sender = Connect();
  const std::string payload(90'000, 'x');
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 16; ++i) {
      Reply(sender, {"PUBLISH", "c" + std::to_string(i), payload});
    }
  }
  const std::string info = Reply(sender, {"INFO", "stats"});
  const size_t at = info.find("kvd_message_bytes:");
  EXPECT_LE(std::stoul(info.substr(at + 18)), 13u << 20);
  EXPECT_THAT(info, Not(HasSubstr("output_buffer_limit_disconnections:0\r\n")));
  EXPECT_EQ(Reply(sender, {"PUBLISH", "r", "1"}), ":1\r\n");
  EXPECT_EQ(reader.Receive(), MessageText("r", "1"));
}

TEST_F(MessagesTest, RepliesDoNotCountAsMessages) {
  config_.limits.subscriber_bytes = 64 << 10;
  Start();
  Client client = Connect();
  Reply(client, {"HELLO", "3"});
  Reply(client, {"SET", "k", std::string(100'000, 'v')});
  constexpr int kReplies = 9;  // More than the limit, and than a socket holds.
  client.Send(Command({"SUBSCRIBE", "a"}));
  for (int i = 0; i < kReplies; ++i) client.Send(Command({"GET", "k"}));
  Settle();
  Client sender = Connect();
  EXPECT_EQ(Reply(sender, {"PUBLISH", "a", "1"}), ":1\r\n");
  std::string got;
  for (int i = 0; i < 200; ++i) {
    got += client.Receive();
    Turn();
  }
  EXPECT_EQ(std::ranges::count(got, 'v'), kReplies * 100'000);
  EXPECT_TRUE(got.ends_with("$7\r\nmessage\r\n$1\r\na\r\n$1\r\n1\r\n"));
}

TEST_F(MessagesTest, ManySubscribersAllGetAll) {
  Start({.clients = 300});
  std::vector<Client> readers;
  for (int i = 0; i < 250; ++i) readers.push_back(Subscribed("a"));
  Client sender = Connect();
  sender.Send(Command({"PUBLISH", "a", "1"}) + Command({"PUBLISH", "a", "2"}));
  Settle();
  EXPECT_EQ(sender.Receive(), ":250\r\n:250\r\n");
  for (Client& reader : readers) {
    EXPECT_EQ(reader.Receive(), MessageText("a", "1") + MessageText("a", "2"));
  }
}

// It is not the readers' fault when more is published than kvd comes to send.
TEST_F(MessagesTest, AFloodWaitsForWhatWasPublishedBefore) {
  Start();
  std::vector<Client> readers;
  for (int i = 0; i < 64; ++i) readers.push_back(Subscribed("a"));
  Client sender = Connect();
  constexpr int kMessages = 20;
  const std::string payload(90'000, 'x');
  std::vector<int64_t> got(readers.size());
  std::string replies;
  for (int sent = 0; sent < kMessages; ++sent) {
    sender.Send(Command({"PUBLISH", "a", payload}));
    Turn();
    replies += sender.Receive();
    for (size_t i = 0; i < readers.size(); ++i) {
      got[i] += std::ranges::count(readers[i].Receive(), 'x');
    }
  }
  for (int round = 0; round < 100; ++round) {
    Settle();
    replies += sender.Receive();
    for (size_t i = 0; i < readers.size(); ++i) {
      got[i] += std::ranges::count(readers[i].Receive(), 'x');
    }
  }
  EXPECT_EQ(std::ranges::count(replies, ':'), kMessages);
  for (const int64_t count : got) EXPECT_EQ(count, kMessages * 90'000);
}

TEST_F(MessagesTest, EventsOfManyKeysComeInOrder) {
  config_.pubsub.keyspace_events = "E$";
  Start();
  Client reader = Subscribed("__keyevent@0__:set");
  Client writer = Connect();
  std::vector<std::string> words{"MSET"};
  constexpr int kKeys = 3000;
  std::string expected;
  for (int i = 0; i < kKeys; ++i) {
    words.push_back("k" + std::to_string(i));
    words.push_back("v");
    expected += MessageText("__keyevent@0__:set", "k" + std::to_string(i));
  }
  writer.Send(Command(words) + Command({"SET", "last", "v"}));
  expected += MessageText("__keyevent@0__:set", "last");
  Turn();
  EXPECT_EQ(reader.Receive(), "");  // Nothing of it is on disk.
  std::string got;
  for (int i = 0; i < 50; ++i) {
    Settle();
    got += reader.Receive();
  }
  EXPECT_EQ(got, expected);
}

TEST_F(MessagesTest, ASubscriberMayLeaveAtAnyTime) {
  Start();
  std::vector<Client> readers;
  for (int i = 0; i < 60; ++i) readers.push_back(Subscribed("a"));
  Client sender = Connect();
  sender.Send(Command({"PUBLISH", "a", "1"}));
  for (Client& reader : readers) reader.Leave();
  Settle();
  sender.Receive();
  EXPECT_EQ(Reply(sender, {"PUBLISH", "a", "1"}), ":0\r\n");
  EXPECT_EQ(Reply(sender, {"PUBSUB", "CHANNELS"}), "*0\r\n");
}

TEST_F(MessagesTest, ClientKillEndsSubscribers) {
  Start();
  Client reader = Subscribed("a");
  Client sender = Connect();
  EXPECT_EQ(Reply(sender, {"CLIENT", "KILL", "TYPE", "pubsub"}), ":1\r\n");
  reader.Receive();
  EXPECT_TRUE(reader.closed());
  EXPECT_EQ(Reply(sender, {"PUBLISH", "a", "1"}), ":0\r\n");
}

TEST_F(MessagesTest, APausedWriterHoldsMessagesBack) {
  Start();
  Client reader = Subscribed("a");
  Client admin = Connect();
  Reply(admin, {"CLIENT", "PAUSE", "100000", "WRITE"});
  Client sender = Connect();
  EXPECT_EQ(Reply(sender, {"PUBLISH", "a", "1"}), "");
  Reply(admin, {"CLIENT", "UNPAUSE"});
  EXPECT_EQ(reader.Receive(), MessageText("a", "1"));
}

}  // namespace
}  // namespace kvd
