// SPDX-License-Identifier: MIT
#include "daemon/loop/connection.h"

#include <gtest/gtest.h>

#include <string>

#include "daemon/loop/keys_ahead.h"
#include "tests/daemon/loop/connection_rig.h"

namespace kvd {
namespace {

class ConnectionTest : public testing::Test {
 protected:
  ParseOutcome Next() { return client_.connection->NextCommand(keys_); }

  ConnectionRig rig_;
  KeysAhead keys_{rig_.service()};
  ConnectionRig::Client client_ = rig_.Connect();
};

TEST_F(ConnectionTest, TellsOfAReadOnceHoweverManyCommandsItBrought) {
  client_.Send("PING\r\nECHO a\r\n");
  rig_.loop().RunOnce();
  EXPECT_EQ(rig_.arrived, 1);
  EXPECT_EQ(Next(), ParseOutcome::kCommand);
  EXPECT_EQ(client_.connection->args().front(), "PING");
  client_.connection->CommandDone();
  EXPECT_EQ(Next(), ParseOutcome::kCommand);
  EXPECT_EQ(client_.connection->args().back(), "a");
  client_.connection->CommandDone();
  EXPECT_EQ(Next(), ParseOutcome::kNeedMore);
  EXPECT_EQ(rig_.arrived, 1);
}

TEST_F(ConnectionTest, TellsOfTheEndOfInput) {
  client_.fd = UniqueFd();
  rig_.loop().RunOnce();
  EXPECT_EQ(rig_.arrived, 1);
  EXPECT_TRUE(client_.connection->input_ended());
  EXPECT_EQ(rig_.closed, 0);
}

TEST_F(ConnectionTest, ReadsNothingWhileParked) {
  client_.connection->set_parked(true);
  client_.Send("PING\r\n");
  rig_.loop().RunOnce();
  EXPECT_EQ(rig_.arrived, 0);
  EXPECT_FALSE(client_.connection->MayExecute());
  client_.connection->set_parked(false);
  client_.connection->UpdateReading();
  rig_.loop().RunOnce();
  EXPECT_EQ(rig_.arrived, 1);
  EXPECT_TRUE(client_.connection->MayExecute());
}

TEST_F(ConnectionTest, TellsWhenTheSocketHasTakenWhatItHadNoRoomFor) {
  Connection& connection = *client_.connection;
  const std::string reply(4 << 20, 'r');
  *connection.replies().buffer() += reply;
  connection.replies().Commit(0, /*wait=*/false);
  connection.Flush();
  EXPECT_TRUE(connection.OutputIsFull());
  std::string received;
  for (int i = 0; i < 10'000 && rig_.drained == 0; ++i) {
    received += client_.Receive(1 << 20);
    rig_.loop().RunOnce();
  }
  EXPECT_EQ(rig_.drained, 1);
  EXPECT_FALSE(connection.OutputIsFull());
  while (received.size() < reply.size()) {
    const std::string more = client_.Receive(1 << 20);
    ASSERT_FALSE(more.empty());
    received += more;
  }
  EXPECT_EQ(received, reply);
}

TEST_F(ConnectionTest, TellsOnceThatItClosed) {
  client_.connection->Close();
  client_.connection->Close();
  EXPECT_EQ(rig_.closed, 1);
  EXPECT_TRUE(client_.connection->closed());
}

}  // namespace
}  // namespace kvd
