// SPDX-License-Identifier: MIT
//
// SUBSCRIBE, PUBLISH and their relatives, for a client that publishes to
// itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tests/daemon/command_rig.h"

namespace kvd {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class PubSubCommandsTest : public testing::Test, protected CommandRig {
 protected:
  using CommandRig::Run;  // Not the private one of testing::Test.

  // What has come beside replies since the last call.
  std::string Messages() { return std::exchange(inbox_.text, {}); }
};

TEST_F(PubSubCommandsTest, EveryNameIsConfirmed) {
  const struct {
    const char* command;
    const char* version2;
    const char* version3;
  } kCases[] = {
      {"SUBSCRIBE a b",
       "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
       "*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n",
       ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
       ">3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"},
      {"SUBSCRIBE a", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:2\r\n",
       ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:2\r\n"},
      {"PSUBSCRIBE a*", "*3\r\n$10\r\npsubscribe\r\n$2\r\na*\r\n:3\r\n",
       ">3\r\n$10\r\npsubscribe\r\n$2\r\na*\r\n:3\r\n"},
      {"SSUBSCRIBE s", "*3\r\n$10\r\nssubscribe\r\n$1\r\ns\r\n:1\r\n",
       ">3\r\n$10\r\nssubscribe\r\n$1\r\ns\r\n:1\r\n"},
      {"UNSUBSCRIBE a x",
       "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:2\r\n"
       "*3\r\n$11\r\nunsubscribe\r\n$1\r\nx\r\n:2\r\n",
       ">3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:2\r\n"
       ">3\r\n$11\r\nunsubscribe\r\n$1\r\nx\r\n:2\r\n"},
      {"UNSUBSCRIBE", "*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:1\r\n",
       ">3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:1\r\n"},
      {"UNSUBSCRIBE", "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:1\r\n",
       ">3\r\n$11\r\nunsubscribe\r\n_\r\n:1\r\n"},
      {"PUNSUBSCRIBE", "*3\r\n$12\r\npunsubscribe\r\n$2\r\na*\r\n:0\r\n",
       ">3\r\n$12\r\npunsubscribe\r\n$2\r\na*\r\n:0\r\n"},
      {"SUNSUBSCRIBE s", "*3\r\n$12\r\nsunsubscribe\r\n$1\r\ns\r\n:0\r\n",
       ">3\r\n$12\r\nsunsubscribe\r\n$1\r\ns\r\n:0\r\n"},
  };
  for (const auto& [command, version2, version3] : kCases) {
    EXPECT_EQ(Send(command), version2);
  }
  Send("HELLO 3");
  for (const auto& [command, version2, version3] : kCases) {
    EXPECT_EQ(Send(command), version3);
  }
}

TEST_F(PubSubCommandsTest, AMessageComesBehindTheReplyOfItsOwnSender) {
  Send("HELLO 3");
  Send("SUBSCRIBE a");
  Send("PSUBSCRIBE ?");
  EXPECT_EQ(Send("PUBLISH a 1"), ":2\r\n");
  EXPECT_EQ(Messages(),
            ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n1\r\n"
            ">4\r\n$8\r\npmessage\r\n$1\r\n?\r\n$1\r\na\r\n$1\r\n1\r\n");
  EXPECT_EQ(Send("PUBLISH none 1"), ":0\r\n");
  EXPECT_EQ(Messages(), "");
}

TEST_F(PubSubCommandsTest, ShardsHaveTheirOwnChannels) {
  Send("HELLO 3");
  Send("SSUBSCRIBE a");
  Send("PSUBSCRIBE *");
  EXPECT_EQ(Send("SPUBLISH a 1"), ":1\r\n");
  EXPECT_EQ(Messages(), ">3\r\n$8\r\nsmessage\r\n$1\r\na\r\n$1\r\n1\r\n");
  EXPECT_EQ(Send("PUBLISH a 1"), ":1\r\n");
}

TEST_F(PubSubCommandsTest, PubSubTellsWhoIsSubscribed) {
  Send("HELLO 3");
  Send("SUBSCRIBE b a aa");
  Send("SSUBSCRIBE s");
  Send("PSUBSCRIBE x* y*");
  EXPECT_EQ(Send("PUBSUB CHANNELS"),
            "*3\r\n$1\r\na\r\n$2\r\naa\r\n$1\r\nb\r\n");
  EXPECT_EQ(Send("PUBSUB CHANNELS a*"), "*2\r\n$1\r\na\r\n$2\r\naa\r\n");
  EXPECT_EQ(Send("PUBSUB SHARDCHANNELS"), "*1\r\n$1\r\ns\r\n");
  EXPECT_EQ(Send("PUBSUB NUMPAT"), ":2\r\n");
  EXPECT_EQ(Send("PUBSUB NUMSUB"), "*0\r\n");
  EXPECT_EQ(Send("PUBSUB NUMSUB a s"),
            "*4\r\n$1\r\na\r\n:1\r\n$1\r\ns\r\n:0\r\n");
  EXPECT_EQ(Send("PUBSUB SHARDNUMSUB s"), "*2\r\n$1\r\ns\r\n:1\r\n");
  EXPECT_THAT(Send("CLIENT INFO"), HasSubstr(" flags=PU db=0 sub=3 psub=2 "
                                             "ssub=1 "));
  EXPECT_THAT(Send("INFO stats"),
              HasSubstr("pubsub_channels:3\r\npubsub_patterns:2\r\n"
                        "pubsubshard_channels:1\r\n"));
  EXPECT_THAT(Send("INFO clients"), HasSubstr("pubsub_clients:1\r\n"));
}

TEST_F(PubSubCommandsTest, ManyChannelsTakeSeveralTurns) {
  Send("HELLO 3");
  constexpr int kMany = 20'000;
  std::vector<std::string> words{"SUBSCRIBE"};
  for (int i = 0; i < kMany; ++i) words.push_back("c" + std::to_string(i));
  std::string reply;
  EXPECT_EQ(Run(words, &reply).waits_for, WaitsFor::kOthers);
  EXPECT_EQ(reply, "");
  const std::string begun = Send(words);
  EXPECT_EQ(std::ranges::count(begun, '>'), kMany);
  EXPECT_TRUE(begun.ends_with("$6\r\nc19999\r\n:20000\r\n"));
  EXPECT_EQ(Run({"PUBSUB", "CHANNELS"}, &reply).waits_for, WaitsFor::kOthers);
  EXPECT_EQ(reply, "");
  EXPECT_THAT(Send("PUBSUB CHANNELS"), StartsWith("*20000\r\n"));
  EXPECT_THAT(Send("PUBSUB CHANNELS *99"), StartsWith("*200\r\n"));
  // And they end over several turns.
  EXPECT_EQ(Run({"UNSUBSCRIBE"}, &reply).waits_for, WaitsFor::kOthers);
  EXPECT_GT(session_.subscribed(TopicKind::kChannel), 0u);
  const std::string ended = Send("UNSUBSCRIBE");
  EXPECT_EQ(std::ranges::count(ended, '>'), kMany);
  EXPECT_TRUE(ended.ends_with(":0\r\n"));
}

TEST_F(PubSubCommandsTest, Version2AllowsLittleToASubscriber) {
  Send("SUBSCRIBE a");
  EXPECT_EQ(Send("GET a"),
            "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE "
            "/ PING / QUIT / RESET are allowed in this context\r\n");
  EXPECT_THAT(Send("CONFIG GET x"),
              StartsWith("-ERR Can't execute 'config|get"));
  EXPECT_THAT(Send("NOSUCH"), StartsWith("-ERR unknown command"));
  EXPECT_EQ(Send("PING"), "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
  EXPECT_EQ(Send("PING a"), "*2\r\n$4\r\npong\r\n$1\r\na\r\n");
  EXPECT_THAT(Send("PSUBSCRIBE a"), StartsWith("*3\r\n"));
  Send("PUNSUBSCRIBE");
  Send("UNSUBSCRIBE");
  EXPECT_EQ(Send("PING"), "+PONG\r\n");
  EXPECT_EQ(Send("GET a"), "$-1\r\n");
}

TEST_F(PubSubCommandsTest, Version3AllowsEverything) {
  Send("HELLO 3");
  Send("SUBSCRIBE a");
  EXPECT_EQ(Send("GET a"), "_\r\n");
  EXPECT_EQ(Send("PING"), "+PONG\r\n");
  EXPECT_THAT(Send("HELLO 2"), StartsWith("*14\r\n"));
  EXPECT_THAT(Send("GET a"), StartsWith("-ERR Can't execute"));
}

TEST_F(PubSubCommandsTest, ResetEndsAllSubscriptionsUnsaid) {
  Send("SUBSCRIBE a");
  Send("PSUBSCRIBE a");
  EXPECT_EQ(Send("RESET"), "+RESET\r\n");
  EXPECT_EQ(Send("PUBLISH a 1"), ":0\r\n");
  EXPECT_EQ(Send("PUBSUB NUMPAT"), ":0\r\n");
}

// Source: Valkey.
TEST_F(PubSubCommandsTest, ClientReplyOffDoesNotMatter) {
  Send("HELLO 3");
  Send("CLIENT REPLY OFF");
  EXPECT_THAT(Send("SUBSCRIBE a"), StartsWith(">3\r\n$9\r\nsubscribe"));
  EXPECT_EQ(Send("PUBLISH a 1"), "");
  EXPECT_NE(Messages(), "");
  EXPECT_THAT(Send("UNSUBSCRIBE a"), StartsWith(">3\r\n$11\r\nunsubscribe"));
  EXPECT_EQ(Send("PING"), "");
}

TEST_F(PubSubCommandsTest, InATransactionMessagesComeBehindItsReply) {
  Send("HELLO 3");
  Send("SUBSCRIBE a");
  Send("MULTI");
  Send("PUBLISH a 1");
  Send("UNSUBSCRIBE a");
  Send("PUBLISH a 2");
  Send("SUBSCRIBE b");
  EXPECT_EQ(Messages(), "");
  EXPECT_EQ(Send("EXEC"),
            "*4\r\n:1\r\n>3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n:0\r\n"
            ">3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:1\r\n");
  EXPECT_EQ(Messages(), ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n1\r\n");
}

TEST_F(PubSubCommandsTest, ARefusedTransactionHasSubscribedToNothing) {
  Send("HELLO 3");
  Send("SUBSCRIBE a");
  Send("MULTI");
  Send("SUBSCRIBE b");
  Send("UNSUBSCRIBE");
  Send("PUBLISH a 1");
  config_.limits.transaction_bytes = 1000;
  Send({"SET", "k", std::string(500, 'x')});
  Send({"APPEND", "k", std::string(100, 'x')});
  EXPECT_THAT(Send("EXEC"), StartsWith("-EXECABORT"));
  EXPECT_EQ(Messages(), "");
  EXPECT_EQ(Send("PUBSUB CHANNELS"), "*1\r\n$1\r\na\r\n");
}

TEST_F(PubSubCommandsTest, AMessageShowsWhatItsSenderHasSeen) {
  Send("HELLO 3");
  Send("SUBSCRIBE a");
  std::string reply;
  Run({"SET", "k", "1"}, &reply);
  Run({"PUBLISH", "a", "k"}, &reply);
  EXPECT_EQ(inbox_.newest_seq, store_->last_seq());
  EXPECT_TRUE(inbox_.waits);
  MakeDurable();
  Run({"PUBLISH", "a", "k"}, &reply);
  EXPECT_FALSE(inbox_.waits);
}

TEST_F(PubSubCommandsTest, BadWordsGetClearErrors) {
  EXPECT_THAT(Send("PUBLISH a"), HasSubstr("wrong number of arguments"));
  EXPECT_THAT(Send("SUBSCRIBE"), HasSubstr("wrong number of arguments"));
  EXPECT_THAT(Send("PUBSUB"), HasSubstr("wrong number of arguments"));
  EXPECT_THAT(Send("PUBSUB NOSUCH"), HasSubstr("unknown subcommand"));
  EXPECT_EQ(Send({"PSUBSCRIBE", "a", std::string(4097, '*')}),
            "-ERR pattern is too long (maximum 4096 bytes)\r\n");
  EXPECT_EQ(Send({"SUBSCRIBE", std::string(66561, 'a')}),
            "-ERR channel is too long (maximum 66560 bytes)\r\n");
  EXPECT_EQ(Send({"PUBLISH", std::string(66561, 'a'), "1"}),
            "-ERR channel is too long (maximum 66560 bytes)\r\n");
  EXPECT_EQ(Send("PUBSUB NUMPAT"), ":0\r\n");
  config_.limits.subscriber_bytes = 64 << 10;
  EXPECT_THAT(Send({"PUBLISH", "a", std::string(64 << 10, 'x')}),
              HasSubstr("limits.subscriber_bytes, which is 64KiB"));
}

// What takes long is no reason for others to wait, but a transaction cannot.
TEST_F(PubSubCommandsTest, ManyPatternsMakePublishWait) {
  Send("HELLO 3");
  std::vector<std::string> words{"PSUBSCRIBE"};
  for (int i = 0; i < 80'000; ++i) {
    words.push_back("*x*" + std::to_string(i) + "[y]");
  }
  Send(words);
  Send("SUBSCRIBE x1");
  std::string reply;
  EXPECT_EQ(Run({"PUBLISH", "x1", "1"}, &reply).waits_for, WaitsFor::kOthers);
  EXPECT_EQ(Send("PUBLISH x1 1"), ":1\r\n");
  EXPECT_EQ(Messages(), ">3\r\n$7\r\nmessage\r\n$2\r\nx1\r\n$1\r\n1\r\n");
  Send("MULTI");
  Send("PUBLISH x1 1");
  EXPECT_THAT(Send("EXEC"), HasSubstr("too many patterns"));
  EXPECT_EQ(Messages(), "");
}

}  // namespace
}  // namespace kvd
