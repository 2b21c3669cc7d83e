// SPDX-License-Identifier: MIT
//
// What one client's command does to the others, or to the whole daemon.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/daemon/server/server_rig.h"

namespace kvd {
namespace {

TEST_F(ServerTest, ClientKillClosesTheOther) {
  Start();
  Client victim = Connect();
  Settle();
  Client killer = Connect();
  killer.Send(Command({"CLIENT", "KILL", "ID", "1"}));
  Settle();
  EXPECT_EQ(killer.Receive(), ":1\r\n");
  victim.Receive();
  EXPECT_TRUE(victim.closed());
  EXPECT_FALSE(killer.closed());
}

TEST_F(ServerTest, APauseEndsByItself) {
  Start();
  Client client = Connect();
  client.Send(Command({"CLIENT", "PAUSE", "5", "WRITE"}) +
              Command({"SET", "a", "1"}) + Command({"GET", "a"}));
  Settle();
  EXPECT_EQ(client.Receive(), "+OK\r\n");
  Client other = Connect();
  other.Send(Command({"GET", "a"}));
  Settle();
  EXPECT_EQ(other.Receive(), "$-1\r\n");
  clock_.AdvanceMs(5);
  std::string received;
  SettleUntil([&] { return (received += client.Receive()).size() >= 12; });
  EXPECT_EQ(received, "+OK\r\n$1\r\n1\r\n");
}

TEST_F(ServerTest, UnpauseAndAStopEndAPause) {
  Start();
  Client client = Connect();
  Client root = Connect();
  for (const std::vector<std::string>& end :
       {std::vector<std::string>{"CLIENT", "UNPAUSE"}, {"SHUTDOWN"}}) {
    root.Send(Command({"CLIENT", "PAUSE", "1000000"}));
    Settle();
    client.Send(Command({"SET", "a", "1"}));
    Settle();
    EXPECT_EQ(client.Receive(), "");
    root.Send(Command(end));
    std::string received;
    SettleUntil([&] {
      received += client.Receive();
      return received.size() >= 5 || client.closed();
    });
    EXPECT_EQ(received, "+OK\r\n");
  }
  SettleUntil([&] { return server_->ended(); });
}

TEST_F(ServerTest, KeysDoNotExpireDuringAPause) {
  Start();
  Client client = Connect();
  client.Send(Command({"SET", "a", "1", "PX", "1"}) +
              Command({"CLIENT", "PAUSE", "1000", "WRITE"}));
  Settle();
  clock_.AdvanceMs(100);
  for (int i = 0; i < 3; ++i) store_->Tick();
  EXPECT_EQ(store_->Stats().expired_keys, 0u);
  client.Send(Command({"CLIENT", "UNPAUSE"}));
  SettleUntil([&] { return store_->Stats().expired_keys == 1; });
}

TEST_F(ServerTest, AMonitorSeesAChangeWhenItIsOnDisk) {
  Start();
  Client monitor = Connect();
  monitor.Send(Command({"MONITOR"}));
  Settle();
  EXPECT_EQ(monitor.Receive(), "+OK\r\n");
  Client client = Connect();
  client.Send(Command({"PING"}));
  Turn();
  EXPECT_NE(monitor.Receive().find("\"PING\"\r\n"), std::string::npos);
  client.Send(Command({"SET", "a", "1"}));
  Turn();
  EXPECT_EQ(monitor.Receive(), "");
  Settle();
  EXPECT_NE(monitor.Receive().find("\"SET\" \"a\" \"1\"\r\n"),
            std::string::npos);
  // It sees its own commands, too, until it has enough.
  monitor.Send(Command({"PING"}));
  Settle();
  const std::string own = monitor.Receive();
  EXPECT_TRUE(own.starts_with("+PONG\r\n+")) << own;
  EXPECT_TRUE(own.ends_with("\"PING\"\r\n")) << own;
  monitor.Send(Command({"RESET"}));
  Settle();
  monitor.Receive();
  client.Send(Command({"PING"}));
  Settle();
  EXPECT_EQ(monitor.Receive(), "");
}

// What a transaction did is shown once it is certain, which is before the reply
// is.
TEST_F(ServerTest, AMonitorsOwnTransactionIsAnsweredWhenItIsOnDisk) {
  Start();
  Client monitor = Connect();
  monitor.Send(Command({"MONITOR"}));
  Settle();
  EXPECT_EQ(monitor.Receive(), "+OK\r\n");
  monitor.Send(Command({"MULTI"}) + Command({"PING"}) +
               Command({"SET", "a", "1"}) + Command({"EXEC"}));
  Turn();
  EXPECT_EQ(monitor.Receive().find("PONG"), std::string::npos);
  Settle();
  const std::string seen = monitor.Receive();
  EXPECT_TRUE(seen.starts_with("*2\r\n+PONG\r\n+OK\r\n+")) << seen;
  EXPECT_TRUE(seen.ends_with("\"EXEC\"\r\n")) << seen;
}

TEST_F(ServerTest, AMonitorWithoutRepliesSeesItsOwnTransaction) {
  Start();
  Client monitor = Connect();
  monitor.Send(Command({"MONITOR"}) + Command({"CLIENT", "REPLY", "OFF"}));
  Settle();
  monitor.Receive();
  for (int i = 0; i < 20; ++i) {
    monitor.Send(Command({"MULTI"}) +
                 Command({"SET", "a", std::string(1000, 'x')}) +
                 Command({"PING"}) + Command({"EXEC"}));
    Settle();
    const std::string seen = monitor.Receive();
    const std::vector<std::string> words = {"MULTI", "SET", "PING", "EXEC"};
    size_t at = 0;
    for (const std::string& word : words) {
      at = seen.find('"' + word + '"', at);
      ASSERT_NE(at, std::string::npos) << word << " in " << seen;
    }
    EXPECT_TRUE(seen.starts_with('+')) << seen;
    EXPECT_TRUE(seen.ends_with("\"EXEC\"\r\n")) << seen;
  }
  monitor.Send(Command({"CLIENT", "REPLY", "ON"}) + Command({"RESET"}));
  Settle();
  EXPECT_TRUE(monitor.Receive().ends_with("+RESET\r\n"));
}

TEST_F(ServerTest, AMonitorThatDoesNotReadIsClosedAndOthersGoOn) {
  Start();
  Client monitor = Connect();
  monitor.Send(Command({"MONITOR"}));
  Settle();
  Client client = Connect();
  // A megabyte that has a short reply.
  std::vector<std::string> words(20, std::string(60'000, 'x'));
  words[0] = "EXISTS";
  const std::string long_command = Command(words);
  bool closed = false;
  for (int i = 0; i < 40 && !closed; ++i) {
    for (size_t sent = 0; sent < long_command.size(); Settle()) {
      sent += client.Send(std::string_view(long_command).substr(sent));
    }
    client.Send(Command({"CLIENT", "LIST", "ID", "1"}));
    Settle();
    const std::string received = client.Receive();
    EXPECT_TRUE(received.starts_with(":0\r\n")) << received;
    closed = received.find("id=1 ") == std::string::npos;
  }
  EXPECT_TRUE(closed);
  client.Send(Command({"PING"}));
  Settle();
  EXPECT_EQ(client.Receive(), "+PONG\r\n");
}

TEST_F(ServerTest, SettingsCountAtOnce) {
  config_.limits.value_bytes = 1 << 20;
  Start({.clients = 100, .possible = 200});
  Client client = Connect();
  client.Send(Command({"CONFIG", "SET", "maxclients", "150", "maxmemory",
                       "64mb", "slowlog.length", "1", "slowlog.threshold",
                       "0us", "memory.value_cache", "1MiB"}) +
              Command({"PING"}) + Command({"PING"}) +
              Command({"CONFIG", "GET", "maxclients", "maxmemory"}) +
              Command({"SLOWLOG", "LEN"}) +
              Command({"CONFIG", "SET", "maxclients", "201"}));
  Settle();
  const std::string received = client.Receive();
  EXPECT_TRUE(received.starts_with(
      "+OK\r\n+PONG\r\n+PONG\r\n*4\r\n$10\r\nmaxclients\r\n$3\r\n150"
      "\r\n$9\r\nmaxmemory\r\n$8\r\n67108864\r\n:1\r\n-ERR CONFIG SET "
      "failed"))
      << received;
  EXPECT_EQ(store_->Stats().value_cache_bytes, 1u << 20);
  EXPECT_EQ(store_->memory_limit_bytes(), 64u << 20);
}

TEST_F(ServerTest, SettingsOfALoadingDaemonCountOnceItServes) {
  config_.limits.value_bytes = 1 << 20;
  StartLoading();
  server_->Listen();
  Client client = Connect();
  client.Send(Command({"CONFIG", "SET", "memory.limit", "64MiB"}));
  Settle();
  EXPECT_EQ(client.Receive(), "+OK\r\n");
  Load();
  EXPECT_EQ(store_->memory_limit_bytes(), 64u << 20);
}

TEST_F(ServerTest, UnblockWakesWhoWaits) {
  Start();
  Client client = Connect();
  Client root = Connect();
  client.Send(Command({"SET", "a", "1"}));
  Turn();
  client.Send(Command({"WAITAOF", "1", "0", "0"}));
  Turn();
  root.Send(Command({"CLIENT", "UNBLOCK", "1", "ERROR"}));
  Turn();
  EXPECT_EQ(root.Receive(), ":1\r\n");
  // Its reply is behind that to SET.
  Settle();
  EXPECT_EQ(client.Receive(),
            "+OK\r\n-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
}

}  // namespace
}  // namespace kvd
