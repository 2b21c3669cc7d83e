// SPDX-License-Identifier: MIT
#include "client/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "tests/client/fake_server.h"
#include "tests/support/temp_dir.h"

namespace kvd {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

// Long enough to never end a test that works, on any machine.
constexpr milliseconds kForever{60'000};
// For tests in which nothing comes: any value will do.
constexpr milliseconds kMoment{20};

constexpr ClientOptions kPatient = {.timeout = kForever, .wait = kForever};
constexpr ClientOptions kImpatient = {.timeout = kMoment, .wait = {}};
constexpr ClientOptions kUsual = {.timeout = kForever, .wait = {}};

ClientFault ConnectFault(const std::string& path,
                         ClientOptions options = kUsual) {
  const ClientResult<Client> client = Client::Connect(path, options);
  EXPECT_FALSE(client.ok());
  return client ? ClientFault::kSystem : client.error().fault;
}

ClientFault CallFault(Client& client) {
  const ClientResult<Reply> reply = client.Call({"PING"});
  EXPECT_FALSE(reply.ok());
  return reply ? ClientFault::kSystem : reply.error().fault;
}

Client MustConnect(const std::string& path, ClientOptions options = kUsual) {
  ClientResult<Client> client = Client::Connect(path, options);
  EXPECT_TRUE(client.ok()) << client.error().message;
  return std::move(*client);
}

std::string Echo(const FakeServer::Command& command) {
  return "$" + std::to_string(command.back().size()) + "\r\n" + command.back() +
         "\r\n";
}

TEST(Client, CallsAndGetsTheReply) {
  TempDir dir;
  FakeServer server(dir.Path("s"), Echo);
  Client client = MustConnect(server.path());
  for (const std::string text : {"hello", "", "two\r\nlines"}) {
    const ClientResult<Reply> reply = client.Call({"ECHO", text});
    ASSERT_TRUE(reply.ok()) << reply.error().message;
    EXPECT_EQ(reply->type, ReplyType::kString);
    EXPECT_EQ(reply->text, text);
  }
  EXPECT_EQ(server.commands().size(), 3u);
}

TEST(Client, GivesTheServersErrorsAsReplies) {
  TempDir dir;
  FakeServer server(dir.Path("s"), [](auto&) { return "-ERR no\r\n"; });
  Client client = MustConnect(server.path());
  const ClientResult<Reply> reply = client.Call({"PING"});
  ASSERT_TRUE(reply.ok());
  EXPECT_TRUE(reply->is_error());
  EXPECT_EQ(reply->text, "ERR no");
}

// A listening socket on a free port of this host.
UniqueFd ListenOnTcp(std::string* port) {
  UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(listener.get(), generic, size), 0);
  EXPECT_EQ(::listen(listener.get(), 1), 0);
  EXPECT_EQ(::getsockname(listener.get(), generic, &size), 0);
  *port = std::to_string(ntohs(address.sin_port));
  return listener;
}

TEST(Client, ReachesAServerByTcp) {
  std::string port;
  UniqueFd listener = ListenOnTcp(&port);
  const ServerAddress address = {.path = "", .host = "127.0.0.1", .port = port};
  ClientResult<Client> client = Client::Connect(address, kUsual);
  ASSERT_TRUE(client.ok()) << client.error().message;
  const UniqueFd accepted(::accept(listener.get(), nullptr, nullptr));
  ASSERT_EQ(::write(accepted.get(), "+PONG\r\n", 7), 7);
  const ClientResult<Reply> reply = client->Call({"PING"});
  ASSERT_TRUE(reply.ok()) << reply.error().message;
  EXPECT_EQ(reply->text, "PONG");

  listener.Reset();
  client = Client::Connect(address, kUsual);
  ASSERT_FALSE(client.ok());
  EXPECT_EQ(client.error().fault, ClientFault::kRefused);
  client = Client::Connect(
      ServerAddress{.path = "", .host = "127.0.0.1", .port = "x"}, kUsual);
  ASSERT_FALSE(client.ok());
  EXPECT_EQ(client.error().fault, ClientFault::kBadPath);
}

TEST(Client, TellsAMissingSocketFromOneThatNobodyServes) {
  TempDir dir;
  EXPECT_EQ(ConnectFault(dir.Path("none")), ClientFault::kNoSocket);
  EXPECT_EQ(ConnectFault(dir.Path("none/s")), ClientFault::kNoSocket);
  { FakeServer gone(dir.Path("stale"), Echo); }
  EXPECT_EQ(ConnectFault(dir.Path("stale")), ClientFault::kRefused);
  std::ofstream(dir.Path("file")) << "x";
  EXPECT_EQ(ConnectFault(dir.Path("file")), ClientFault::kRefused);
}

TEST(Client, NamesTheLengthOfAPathThatIsTooLong) {
  EXPECT_EQ(ConnectFault(""), ClientFault::kBadPath);
  const std::string path = "/tmp/" + std::string(kSocketPathBytesMax - 4, 'x');
  const ClientResult<Client> client = Client::Connect(path, kUsual);
  ASSERT_FALSE(client.ok());
  EXPECT_EQ(client.error().fault, ClientFault::kBadPath);
  EXPECT_THAT(client.error().message, HasSubstr("108 bytes"));
}

TEST(Client, ConnectsAtTheLongestPath) {
  TempDir dir;
  std::string path = dir.Path("");
  path.append(kSocketPathBytesMax - path.size(), 'x');
  FakeServer server(path, Echo);
  Client client = MustConnect(path);
  EXPECT_TRUE(client.Call({"PING"}).ok());
}

TEST(Client, SaysWhenTheSocketsModeKeepsItOut) {
  TempDir dir;
  FakeServer server(dir.Path("s"), Echo);
  ASSERT_EQ(::chmod(server.path().c_str(), 0), 0);
  constexpr uid_t kNobody = 65534;
  const bool is_root = ::geteuid() == 0;  // Whom no mode keeps out.
  if (is_root) {
    ASSERT_EQ(::chmod(dir.path().c_str(), 0755), 0);
    ASSERT_EQ(::seteuid(kNobody), 0);
  }
  EXPECT_EQ(ConnectFault(server.path()), ClientFault::kPermission);
  if (is_root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
}

TEST(Client, WaitsForAServerThatIsNotThereYet) {
  TempDir dir;
  { FakeServer gone(dir.Path("s"), Echo); }
  std::optional<ClientResult<Client>> client;
  std::thread thread(
      [&] { client = Client::Connect(dir.Path("s"), kPatient); });
  std::this_thread::sleep_for(kMoment);  // Likely enough for a first attempt.
  std::filesystem::remove(dir.Path("s"));
  FakeServer server(dir.Path("s"), Echo);
  thread.join();
  ASSERT_TRUE(client->ok()) << client->error().message;
  EXPECT_TRUE((*client)->Call({"PING"}).ok());
}

TEST(Client, StopsWaitingAtTheEnd) {
  TempDir dir;
  EXPECT_EQ(ConnectFault(dir.Path("s"), {.timeout = kForever, .wait = kMoment}),
            ClientFault::kNoSocket);
}

// A socket with room for one client that nobody accepts.
UniqueFd ListenForOne(const std::string& path) {
  UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address),
                   sizeof address),
            0);
  EXPECT_EQ(::listen(listener.get(), 0), 0);
  return listener;
}

TEST(Client, SaysWhenTheQueueOfTheSocketStaysFull) {
  TempDir dir;
  const UniqueFd listener = ListenForOne(dir.Path("s"));
  Client first = MustConnect(dir.Path("s"));
  EXPECT_EQ(ConnectFault(dir.Path("s"), kImpatient), ClientFault::kBusy);
}

TEST(Client, QueuesForASocketThatIsFull) {
  TempDir dir;
  const UniqueFd listener = ListenForOne(dir.Path("s"));
  Client first = MustConnect(dir.Path("s"));
  std::optional<ClientResult<Client>> second;
  std::thread thread([&] { second = Client::Connect(dir.Path("s"), kUsual); });
  std::this_thread::sleep_for(kMoment);  // Likely enough for a first attempt.
  const UniqueFd accepted(::accept(listener.get(), nullptr, nullptr));
  thread.join();
  EXPECT_TRUE(second->ok());
}

// Says LOADING `times` times before it works.
FakeServer::Script LoadingFor(int times) {
  return [left = std::make_shared<int>(times)](auto&) -> std::string {
    return (*left)-- > 0 ? "-LOADING segment 1 of 2\r\n" : "+PONG\r\n";
  };
}

TEST(Client, WaitsWhileTheServerIsLoading) {
  TempDir dir;
  FakeServer server(dir.Path("s"), LoadingFor(3));
  Client client = MustConnect(server.path(), kPatient);
  const ClientResult<Reply> reply = client.Call({"PING"});
  ASSERT_TRUE(reply.ok()) << reply.error().message;
  EXPECT_EQ(reply->text, "PONG");
  EXPECT_EQ(server.commands().size(), 4u);
}

TEST(Client, PassesOnWhatALoadingServerSays) {
  TempDir dir;
  FakeServer server(dir.Path("s"), LoadingFor(3));
  Client client = MustConnect(server.path(), kUsual);
  const ClientResult<Reply> reply = client.Call({"PING"});
  ASSERT_FALSE(reply.ok());
  EXPECT_EQ(reply.error().fault, ClientFault::kLoading);
  EXPECT_EQ(reply.error().message, "LOADING segment 1 of 2");
  EXPECT_EQ(server.commands().size(), 1u);
}

TEST(Client, GivesUpOnASilentServer) {
  TempDir dir;
  FakeServer server(dir.Path("s"), [](auto&) { return ""; });
  Client client = MustConnect(server.path(), kImpatient);
  EXPECT_EQ(CallFault(client), ClientFault::kTimeout);
}

TEST(Client, GivesUpOnAServerThatTakesNothing) {
  TempDir dir;
  std::promise<void> test_is_over;
  FakeServer server(
      dir.Path("s"),
      [over = test_is_over.get_future().share()](auto&) -> std::string {
        over.wait();
        return std::string(FakeServer::kClose);
      });
  Client client = MustConnect(server.path(), kImpatient);
  ClientResult<void> sent = client.Send({"PING"});
  for (int i = 0; i < 100 && sent.ok(); ++i) {
    sent = client.Send({"SET", "k", std::string(1 << 20, 'x')});
  }
  test_is_over.set_value();
  ASSERT_FALSE(sent.ok());
  EXPECT_EQ(sent.error().fault, ClientFault::kTimeout);
}

TEST(Client, SaysWhenTheConnectionClosesBeforeOrWithinTheReply) {
  TempDir dir;
  for (const std::string_view reply : {"", "$10\r\nhal", "+PON"}) {
    FakeServer server(dir.Path("s"), [&](auto&) {
      return std::string(reply).append(FakeServer::kClose);
    });
    Client client = MustConnect(server.path());
    EXPECT_EQ(CallFault(client), ClientFault::kClosed);
    std::filesystem::remove(dir.Path("s"));
  }
}

TEST(Client, ReadsWhyTheServerHungUpBeforeAnyCommand) {
  TempDir dir;
  FakeServer server(dir.Path("s"), Echo,
                    std::string("-ERR max number of clients reached\r\n")
                        .append(FakeServer::kClose));
  Client client = MustConnect(server.path());
  // Big enough that the server's close meets it half sent.
  const ClientResult<Reply> reply =
      client.Call({"SET", "k", std::string(4 << 20, 'x')});
  ASSERT_TRUE(reply.ok()) << reply.error().message;
  EXPECT_EQ(reply->text, "ERR max number of clients reached");
}

TEST(Client, RefusesBytesThatAreNoReply) {
  TempDir dir;
  FakeServer server(dir.Path("s"),
                    [](auto&) { return "HTTP/1.1 400 Bad\r\n"; });
  Client client = MustConnect(server.path());
  EXPECT_EQ(CallFault(client), ClientFault::kProtocol);
}

TEST(Client, PipelinesMoreThanTheSocketsHold) {
  TempDir dir;
  FakeServer server(dir.Path("s"), Echo);
  Client client = MustConnect(server.path());
  constexpr int kCommands = 2000;
  const std::string padding(10'000, 'x');
  for (int i = 0; i < kCommands; ++i) {
    const ClientResult<void> sent =
        client.Send({"ECHO", padding + std::to_string(i)});
    ASSERT_TRUE(sent.ok()) << sent.error().message;
  }
  for (int i = 0; i < kCommands; ++i) {
    const ClientResult<Reply> reply = client.Receive();
    ASSERT_TRUE(reply.ok()) << reply.error().message;
    ASSERT_EQ(reply->text, padding + std::to_string(i));
  }
}

// Signals without SA_RESTART, in quick succession while it lives.
class SignalRain {
 public:
  SignalRain() {
    struct sigaction action = {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &action, &old_);
    const itimerval often = {{0, 500}, {0, 500}};
    ::setitimer(ITIMER_REAL, &often, nullptr);
  }
  ~SignalRain() {
    const itimerval never = {};
    ::setitimer(ITIMER_REAL, &never, nullptr);
    ::sigaction(SIGALRM, &old_, nullptr);
  }

 private:
  struct sigaction old_;
};

TEST(Client, GoesOnWhenSignalsInterruptIt) {
  TempDir dir;
  FakeServer server(dir.Path("s"), [](const FakeServer::Command& command) {
    std::this_thread::sleep_for(kMoment);
    return Echo(command);
  });
  const SignalRain rain;
  Client client = MustConnect(server.path());
  for (int i = 0; i < 5; ++i) {
    const ClientResult<Reply> reply =
        client.Call({"ECHO", std::string(1 << 20, 'x')});
    ASSERT_TRUE(reply.ok()) << reply.error().message;
    ASSERT_EQ(reply->text.size(), size_t{1} << 20);
  }
}

}  // namespace
}  // namespace kvd
