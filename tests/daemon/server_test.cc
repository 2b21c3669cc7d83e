// SPDX-License-Identifier: MIT
//
// The daemon from a client's socket to a simulated disk, one turn of the loop
// at a time: the test decides when a write to the disk completes.
#include "daemon/server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <functional>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/planted_bug.h"
#include "tests/daemon/store_rig.h"
#include "tests/daemon/test_loop.h"
#include "tests/support/temp_dir.h"

namespace kvd {
namespace {

std::string Command(const std::vector<std::string>& words) {
  std::string bytes = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) {
    bytes += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  }
  return bytes;
}

// A client that never blocks.
class Client {
 public:
  explicit Client(const std::string& path)
      : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    KVD_CHECK(connect(fd_.get(), reinterpret_cast<sockaddr*>(&address),
                      sizeof(address)) == 0);
  }

  // Sends as much as the socket takes; returns how much that was.
  size_t Send(std::string_view bytes) {
    const ssize_t sent =
        send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    KVD_CHECK(sent >= 0 || errno == EAGAIN);
    return sent < 0 ? 0 : static_cast<size_t>(sent);
  }
  void EndSending() { shutdown(fd_.get(), SHUT_WR); }
  void Leave() { fd_.Reset(); }

  // What has arrived since the last call.
  std::string Receive() {
    std::string bytes;
    char buffer[1 << 16];
    while (true) {
      const ssize_t size = recv(fd_.get(), buffer, sizeof(buffer), 0);
      if (size > 0) {
        bytes.append(buffer, static_cast<size_t>(size));
        continue;
      }
      closed_ = size == 0 || errno != EAGAIN;
      return bytes;
    }
  }
  // Whether the last Receive() met the end.
  bool closed() const { return closed_; }

 private:
  UniqueFd fd_;
  bool closed_ = false;
};

class ServerTest : public testing::Test, protected StoreRig {
 protected:
  ServerTest() {
    std::signal(SIGPIPE, SIG_IGN);  // As the daemon does.
    config_.socket.path = dir_.Path("s.sock");
    config_.limits.output_bytes = 8 << 20;
  }

  ~ServerTest() override {
    disk_.SetWriteMode(SimFileSystem::WriteMode::kAtPoll);
    reads_.RunAll();  // The store waits for them.
    // Before the loop that it wakes.
    server_.reset();
    store_.reset();
  }

  void Start(ConnectionBounds bounds = {.clients = 100}) {
    StartLoading(bounds);
    Load();
  }

  void StartLoading(ConnectionBounds bounds = {.clients = 100}) {
    auto socket = ListeningSocket::Bind(config_.socket);
    KVD_CHECK(socket.ok() && (*socket)->Publish().ok());
    std::vector<std::unique_ptr<ListeningSocket>> sockets;
    sockets.push_back(std::move(*socket));
    server_.emplace(loop_, waker_, signals_, clock_, config_, bounds,
                    std::move(sockets));
    Settle();
  }

  void Load() {
    StoreOptions options = SmallStore();
    options.segment_bytes = 16 << 20;
    options.value_cache_bytes = value_cache_bytes_;
    OpenStore(options, [this] { waker_.Wake(); });
    disk_.SetWriteMode(SimFileSystem::WriteMode::kManual);
    server_->Serve(*store_);
    Settle();
  }

  Client Connect() { return Client(config_.socket.path); }

  // Turns the loop until nothing more happens, the disk standing still.
  void Turn() {
    for (int i = 0; i < 20; ++i) loop_.RunOnce();
  }
  // The same with a disk that works.
  void Settle() {
    for (int i = 0; i < 20; ++i) {
      loop_.RunOnce();
      while (disk_.pending_writes() > 0) disk_.CompleteWrite();
    }
  }
  // Turns the loop until `done`; a wrong daemon makes the test run into ctest's
  // timeout.
  template <typename Done>
  void SettleUntil(Done done) {
    while (!done()) Settle();
  }

  TempDir dir_;
  Config config_;
  uint64_t value_cache_bytes_ = UINT64_MAX;
  TestLoop loop_;
  LoopWaker waker_{loop_};
  StopSignals signals_{loop_};
  std::optional<Server> server_;
};

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

// The last integer in a reply.
size_t Number(const std::string& reply) {
  const size_t colon = reply.rfind(':');
  EXPECT_NE(colon, std::string::npos) << reply;
  return colon == std::string::npos ? 0 : std::stoul(reply.substr(colon + 1));
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

constexpr int kManyKeys = 60'000;

// Adds that many keys of 8 bytes.
void AddManyKeys(const std::function<void(const std::string&)>& execute) {
  for (int i = 0; i < kManyKeys; i += 500) {
    std::vector<std::string> words = {"MSET"};
    for (int k = i; k < i + 500; ++k) {
      words.push_back(fmt::format("key{:05}", k));
      words.push_back("v");
    }
    execute(Command(words));
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

// A daemon with values that are on disk alone, and a disk that waits: Reads
// finish when the test says so.
class ColdServerTest : public ServerTest {
 protected:
  ColdServerTest() {
    value_cache_bytes_ = 0;
    Start();
    Client client = Connect();
    client.Send(Command({"MSET", "cold", "value", "number", "41"}));
    Settle();
    KVD_CHECK(client.Receive() == "+OK\r\n");
    client.Leave();
    Settle();
    disk_.SetReadsWait(true);
    reads_.set_auto_run(false);
  }

  void FinishReads() {
    reads_.RunAll();
    Settle();
  }
};

TEST_F(ColdServerTest, RepliesStayInOrderBehindARead) {
  Client client = Connect();
  client.Send("PING one\r\n" + Command({"GET", "cold"}) + "PING two\r\n" +
              Command({"SET", "a", "1"}) + Command({"GET", "number"}) +
              "PING three\r\n");
  Settle();
  EXPECT_EQ(client.Receive(), "$3\r\none\r\n");
  EXPECT_EQ(reads_.pending(), 1u);
  EXPECT_EQ(store_->Stats().keys[0], 2u);  // SET has not been executed.
  FinishReads();
  EXPECT_EQ(client.Receive(), "$5\r\nvalue\r\n$3\r\ntwo\r\n+OK\r\n");
  FinishReads();
  EXPECT_EQ(client.Receive(), "$2\r\n41\r\n$5\r\nthree\r\n");
}

TEST_F(ColdServerTest, ManyValuesThatComeAtOnceAreAnsweredInSeveralTurns) {
  std::vector<Client> readers;
  for (int i = 0; i < 20; ++i) {
    readers.push_back(Connect());
    readers.back().Send(Command({"GET", "cold"}));
  }
  Settle();
  reads_.RunAll();
  const auto answer_some = [&] {
    loop_.RunOnce();
    return std::erase_if(readers, [](Client& reader) {
      return reader.Receive() == "$5\r\nvalue\r\n";
    });
  };
  size_t turns = 0;
  for (; !readers.empty(); ++turns) {
    const size_t answered = answer_some();
    EXPECT_LT(answered, 20u);
    // Nobody has to wake it for the others.
    if (answered > 0 && !readers.empty()) {
      EXPECT_EQ(uv_backend_timeout(loop_.get()), 0);
    }
  }
  EXPECT_GT(turns, 1u);
}

// It would move the words of the command that is to run again.
TEST_F(ColdServerTest, InputThatComesDuringAReadStaysInTheSocket) {
  Client client = Connect();
  client.Send(Command({"GET", "cold"}));
  Settle();
  const std::string large(100'000, 'x');
  client.Send(Command({"SET", "large", large}));
  Settle();
  client.Send("PING one\r\n*2\r\n$4\r\nPI");
  Settle();
  EXPECT_EQ(client.Receive(), "");
  FinishReads();
  EXPECT_EQ(client.Receive(), "$5\r\nvalue\r\n+OK\r\n$3\r\none\r\n");
  client.Send("NG\r\n$3\r\ntwo\r\n");
  Settle();
  EXPECT_EQ(client.Receive(), "$3\r\ntwo\r\n");
}

TEST_F(ColdServerTest, OthersGoOnWhileOneReads) {
  Client reader = Connect();
  reader.Send(Command({"GET", "cold"}));
  Settle();
  Client other = Connect();
  other.Send(Command({"SET", "a", "1"}) + Command({"EXISTS", "cold"}) +
             Command({"SET", "cold", "newer"}));
  Settle();
  EXPECT_EQ(other.Receive(), "+OK\r\n:1\r\n+OK\r\n");
  EXPECT_EQ(reader.Receive(), "");
  // What is written and on its way out of memory is read again in its turn.
  FinishReads();
  FinishReads();
  EXPECT_EQ(reader.Receive(), "$5\r\nnewer\r\n");
}

// The effect is of the moment in which the command runs, not of the one in
// which it came.
TEST_F(ColdServerTest, ChangesHappenInTheOrderOfExecution) {
  Client one = Connect();
  one.Send(Command({"INCR", "number"}));
  Settle();
  Client other = Connect();
  other.Send(Command({"SET", "number", "100"}));
  Turn();
  FinishReads();
  FinishReads();
  EXPECT_EQ(other.Receive(), "+OK\r\n");
  EXPECT_EQ(one.Receive(), ":101\r\n");
}

TEST_F(ColdServerTest, TwoWhoChangeOneColdValueBothDo) {
  Client one = Connect();
  Client other = Connect();
  one.Send(Command({"INCR", "number"}));
  other.Send(Command({"INCR", "number"}));
  Settle();
  EXPECT_EQ(reads_.pending(), 2u);
  while (reads_.pending() > 0) FinishReads();
  EXPECT_EQ(Number(one.Receive()) + Number(other.Receive()), 42u + 43);
}

TEST_F(ColdServerTest, AClientMayLeaveWhileItsCommandReads) {
  Client client = Connect();
  client.Send(Command({"GETDEL", "cold"}));
  Settle();
  client.Leave();
  FinishReads();
  // What was read from it is executed all the same.
  Client other = Connect();
  other.Send(Command({"EXISTS", "cold"}) + Command({"CLIENT", "LIST"}));
  Settle();
  const std::string replies = other.Receive();
  EXPECT_TRUE(replies.starts_with(":0\r\n")) << replies;
  EXPECT_EQ(replies.find("cmd=getdel"), std::string::npos) << replies;
}

TEST_F(ColdServerTest, AClientMayBeKilledWhileItsCommandReads) {
  for (const bool is_done : {false, true}) {
    Client victim = Connect();
    victim.Send(Command({"CLIENT", "ID"}) + Command({"GETDEL", "cold"}));
    Settle();
    const std::string id = std::to_string(Number(victim.Receive()));
    Client killer = Connect();
    killer.Send(Command({"CLIENT", "KILL", "ID", id}));
    // The last turn of the victim may be the one in which its value arrives.
    if (is_done) reads_.RunAll();
    Settle();
    EXPECT_EQ(killer.Receive(), ":1\r\n");
    victim.Receive();
    EXPECT_TRUE(victim.closed());
    FinishReads();
  }
}

TEST_F(ColdServerTest, AHalfCloseWaitsForTheRead) {
  Client client = Connect();
  client.Send(Command({"GET", "cold"}) + "PING\r\n");
  client.EndSending();
  Settle();
  EXPECT_EQ(client.Receive(), "");
  EXPECT_FALSE(client.closed());
  FinishReads();
  EXPECT_EQ(client.Receive(), "$5\r\nvalue\r\n+PONG\r\n");
  EXPECT_TRUE(client.closed());
}

TEST_F(ColdServerTest, AStopWaitsForReads) {
  Client client = Connect();
  client.Send(Command({"INCR", "number"}) + Command({"GET", "cold"}));
  Settle();
  server_->BeginStop("test");
  Settle();
  EXPECT_FALSE(server_->ended());
  FinishReads();
  FinishReads();
  SettleUntil([&] { return server_->ended(); });
  EXPECT_EQ(server_->exit_code(), ExitCode::kStopped);
  EXPECT_EQ(client.Receive(), ":42\r\n$5\r\nvalue\r\n");
  EXPECT_TRUE(client.closed());
}

TEST_F(ColdServerTest, AStopDoesNotWaitForADiskThatHangs) {
  Client client = Connect();
  client.Send(Command({"INCR", "number"}) + "PING\r\n");
  Settle();
  server_->BeginStop("test");
  SettleUntil([&] { return server_->ended(); });
  EXPECT_EQ(server_->exit_code(), ExitCode::kStopped);
  EXPECT_EQ(client.Receive(),
            "-ERR kvd is stopping; the command was not executed, nothing was "
            "changed\r\n");
  EXPECT_TRUE(client.closed());
}

TEST_F(ColdServerTest, ADiskFaultAnswersWhoReads) {
  Client reader = Connect();
  reader.Send(Command({"GET", "cold"}));
  Settle();
  Client writer = Connect();
  writer.Send(Command({"SET", "a", "1"}));
  disk_.FailAt(SimFileSystem::Op::kComplete, 0, EIO);
  SettleUntil([&] { return server_->ended(); });
  EXPECT_EQ(server_->exit_code(), ExitCode::kDiskFault);
  EXPECT_EQ(reader.Receive(),
            "-IOERR disk fault; the command was not executed, nothing was "
            "changed\r\n");
  EXPECT_TRUE(reader.closed());
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
