// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/executor.h"
#include "config/config.h"
#include "daemon/server.h"
#include "store/store.h"
#include "tests/daemon/server/server_rig.h"
#include "tests/support/random_clients.h"

namespace kvd {

// A daemon from its clients' sockets to a store that the test makes, one turn
// of the loop at a time, over several lives. Several may stand in one test.
class ServerHost final : public ClientsEnd {
 public:
  using OpenStore = std::function<std::unique_ptr<Store>(Wake wake)>;

  ServerHost(Clock& clock, OpenStore open)
      : clock_(clock), open_(std::move(open)) {
    config_.socket.path = dir_.Path("s.sock");
  }
  ~ServerHost() override { Kill(); }

  // Before Start().
  Config& config() { return config_; }

  void Start() {
    auto socket = ListeningSocket::Bind(config_.socket);
    KVD_CHECK(socket.ok() && (*socket)->Publish().ok());
    std::vector<std::unique_ptr<ListeningSocket>> sockets;
    sockets.push_back(std::move(*socket));
    life_.emplace();
    life_->server.emplace(life_->loop, life_->waker, life_->signals, clock_,
                          config_, ConnectionBounds{.clients = 100},
                          std::move(sockets));
    life_->store = open_(Wake([this] { life_->waker.Wake(); }));
    life_->server->Serve(*life_->store);
    Turn();
  }

  // Ends it as kill -9 does.
  void Kill() {
    if (!life_) return;
    clients_.clear();
    // Before the loop that they wake.
    life_->server.reset();
    life_->store.reset();
    life_.reset();
  }

  void Turn(int turns = 5) {
    for (int i = 0; i < turns; ++i) life_->loop.RunOnce();
  }

  void Send(int client, std::string_view bytes) override {
    KVD_CHECK(SendSome(client, bytes) == bytes.size());
  }
  // As much as the socket takes: returns how much that was.
  size_t SendSome(int client, std::string_view bytes) {
    return clients_.try_emplace(client, config_.socket.path)
        .first->second.Send(bytes);
  }
  std::string Receive(int client) override {
    return clients_.at(client).Receive();
  }

  // The client leaves, or ends its side alone.
  void Leave(int client) { clients_.at(client).Leave(); }
  void EndSending(int client) { clients_.at(client).EndSending(); }

  Store& store() { return *life_->store; }

 private:
  struct Life {
    TestLoop loop;
    LoopWaker waker{loop};
    StopSignals signals{loop};
    std::unique_ptr<Store> store;
    std::optional<Server> server;
  };

  Clock& clock_;
  const OpenStore open_;
  TempDir dir_;
  Config config_;
  std::optional<Life> life_;
  std::map<int, Client> clients_;
};

}  // namespace kvd
