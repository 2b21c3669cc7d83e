// SPDX-License-Identifier: MIT
//
// The daemon while it loads, and as it ends.
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "tests/daemon/server/server_rig.h"

namespace kvd {
namespace {

TEST_F(ServerTest, AStopExecutesAndAnswersWhatWasRead) {
  Start();
  Client client = Connect();
  client.Send(Command({"SET", "a", "1"}));
  Turn();
  server_->BeginStop("test");
  Turn();
  EXPECT_FALSE(server_->ended());
  EXPECT_EQ(client.Receive(), "");
  SettleUntil([&] { return server_->ended(); });
  EXPECT_EQ(server_->exit_code(), ExitCode::kStopped);
  EXPECT_TRUE(store_->stopped());
  EXPECT_EQ(client.Receive(), "+OK\r\n");
  EXPECT_TRUE(client.closed());
}

TEST_F(ServerTest, ShutdownStopsWithoutAReply) {
  Start();
  Client client = Connect();
  client.Send(Command({"SET", "a", "1"}) + Command({"SHUTDOWN"}) +
              Command({"SET", "b", "1"}));
  SettleUntil([&] { return server_->ended(); });
  EXPECT_EQ(client.Receive(), "+OK\r\n");
  EXPECT_EQ(server_->exit_code(), ExitCode::kStopped);
  EXPECT_EQ(store_->Stats().keys[0], 1u);
}

TEST_F(ServerTest, AnswersWhileItLoadsAndServesTheSameClientsAfterwards) {
  StartLoading();
  server_->Listen();
  Client client = Connect();
  client.Send("PING\r\n" + Command({"SET", "a", "1"}) + Command({"GET", "a"}));
  Settle();
  const std::string loading = "-LOADING kvd is loading the data; 0% done\r\n";
  EXPECT_EQ(client.Receive(), "+PONG\r\n" + loading + loading);

  server_->ShowProgress({.bytes_done = 1, .bytes_all = 2});
  client.Send(Command({"GET", "a"}));
  Settle();
  EXPECT_TRUE(client.Receive().starts_with(
      "-LOADING kvd is loading the data; 50% done, about "));

  Load();
  EXPECT_FALSE(server_->loading());
  client.Send(Command({"SET", "a", "1"}) + Command({"GET", "a"}));
  Settle();
  EXPECT_EQ(client.Receive(), "+OK\r\n$1\r\n1\r\n");
}

TEST_F(ServerTest, ClientsQueueUntilItListensOrServes) {
  StartLoading();
  Client client = Connect();
  client.Send("PING\r\n" + Command({"SET", "a", "1"}));
  Settle();
  EXPECT_EQ(client.Receive(), "");
  Load();
  EXPECT_EQ(client.Receive(), "+PONG\r\n+OK\r\n");
}

TEST_F(ServerTest, AStopBeforeItListensEndsWithoutClients) {
  StartLoading();
  Client client = Connect();
  client.Send("PING\r\n");
  server_->BeginStop("test");
  server_->Listen();
  SettleUntil([&] { return server_->ended(); });
  client.Receive();
  EXPECT_TRUE(client.closed());
}

TEST_F(ServerTest, AStopWhileItLoadsAnswersAndEnds) {
  StartLoading();
  server_->Listen();
  Client client = Connect();
  Client half = Connect();
  half.Send("*2\r\n$3\r\nGE");
  client.Send(Command({"GET", "a"}));
  Settle();
  server_->BeginStop("test");
  SettleUntil([&] { return server_->ended(); });
  EXPECT_FALSE(server_->loading());
  EXPECT_EQ(server_->exit_code(), ExitCode::kStopped);
  EXPECT_EQ(client.Receive(), "-LOADING kvd is loading the data; 0% done\r\n");
  EXPECT_TRUE(client.closed());
  half.Receive();
  EXPECT_TRUE(half.closed());
}

TEST_F(ServerTest, ShutdownWhileItLoadsEnds) {
  StartLoading();
  server_->Listen();
  Client client = Connect();
  client.Send(Command({"SHUTDOWN"}));
  SettleUntil([&] { return server_->ended(); });
  EXPECT_EQ(client.Receive(), "");
  EXPECT_TRUE(client.closed());
  EXPECT_EQ(server_->exit_code(), ExitCode::kStopped);
}

TEST_F(ServerTest, ADiskFaultAnswersEachWithheldReplyAndEnds) {
  Start();
  Client reader = Connect();
  Client writer = Connect();
  writer.Send("PING\r\n" + Command({"SET", "a", "1"}) + Command({"GET", "a"}));
  Turn();
  EXPECT_EQ(writer.Receive(), "+PONG\r\n");
  disk_.FailAt(SimFileSystem::Op::kComplete, 0, EIO);
  SettleUntil([&] { return server_->ended(); });
  EXPECT_EQ(server_->exit_code(), ExitCode::kDiskFault);
  const std::string replies = writer.Receive();
  const size_t half = replies.size() / 2;
  EXPECT_TRUE(replies.starts_with("-IOERR outcome unknown")) << replies;
  EXPECT_EQ(replies.substr(0, half), replies.substr(half));
  EXPECT_TRUE(writer.closed());
  EXPECT_EQ(reader.Receive(), "");
  EXPECT_TRUE(reader.closed());
}

}  // namespace
}  // namespace kvd
