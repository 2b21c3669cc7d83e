// SPDX-License-Identifier: MIT
//
// Clients of one or more kvds with the same data, which send commands at
// random, and whether what they were told can be true: the kvds together have
// to look like one that does one command after the other (linearizable.h).
//
// An error that begins with TRYAGAIN or LOADING says that nothing was done. Any
// other, and a host that is lost, leave it open.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace kvd {

// One kvd as its clients see it.
class ClientsEnd {
 public:
  virtual ~ClientsEnd() = default;
  // Of a client that has had all its replies.
  virtual void Send(int client, std::string_view bytes) = 0;
  // What has come since the last call.
  virtual std::string Receive(int client) = 0;
};

// What the commands that these clients send do, and what kvd then replies.
namespace client_model {

struct Value {
  std::string text;
  int64_t revision = 0;  // 0: nobody was told.

  friend auto operator<=>(const Value&, const Value&) = default;
};
using State = std::map<std::string, Value>;
using Words = std::vector<std::string>;

// The state after a command, or after all from MULTI to EXEC. With `reply`
// nullopt if from that state kvd replies something else; without it whatever it
// replies is fine. `state` knows revisions as far as replies have shown them.
std::optional<State> After(const State& state,
                           const std::vector<Words>& commands,
                           const std::string* reply);

}  // namespace client_model

class RandomClients {
 public:
  // Keys are in groups; no command touches two of these, and each is checked by
  // itself.
  RandomClients(uint64_t seed, std::vector<ClientsEnd*> hosts, int clients_each,
                int groups = 3);

  // A moment passes: some clients look for replies, some send their next.
  void Step();
  // The same without sending.
  void Wait();
  bool awaits_replies() const;
  // Its clients have lost their connections, and connect again.
  void Lose(size_t host);
  // No client sends to it until it is back.
  void SetUp(size_t host, bool up) { hosts_[host].up = up; }

  // Empty if what was told can be true, else what cannot. What is still awaited
  // counts as unknown.
  std::string Check() const;

  size_t answered() const { return answered_; }
  size_t refused() const { return refused_; }
  size_t unknown() const { return unknown_; }

 private:
  using Words = client_model::Words;

  struct Operation {
    std::string client;
    int group = 0;
    std::vector<Words> commands;
    int64_t called = 0;
    int64_t answered = 0;  // 0: it was not, or nobody knows.
    std::string reply;
    bool refused = false;
  };
  struct Host {
    ClientsEnd* end;
    bool up = true;
  };
  struct Client {
    size_t host;
    int number;
    std::optional<size_t> awaits;  // In operations_.
    std::string received;
    int64_t revision = 0;  // The newest that it saw.
  };

  void Send(Client& client);
  void Receive(Client& client);
  std::vector<Words> RandomCommands(const Client& client, int group);
  size_t Below(size_t end) { return random_() % end; }
  std::string HistoryOf(int group) const;

  std::mt19937_64 random_;
  std::vector<Host> hosts_;
  std::vector<Client> clients_;
  const int groups_;
  std::vector<Operation> operations_;
  int64_t now_ = 0;
  int64_t values_ = 0;  // So many were made up; no two are equal.
  size_t answered_ = 0;
  size_t refused_ = 0;
  size_t unknown_ = 0;
};

}  // namespace kvd
