// SPDX-License-Identifier: MIT
//
// Connections without a server: each is one end of a pair of sockets, and the
// test holds the other one.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/unique_fd.h"
#include "config/config.h"
#include "daemon/loop/connection.h"
#include "daemon/state/server_state.h"
#include "tests/daemon/test_loop.h"
#include "tests/support/manual_clock.h"

namespace kvd {

class ConnectionRig final : public ConnectionListener {
 public:
  void Arrived(Connection&) override { ++arrived; }
  void Drained(Connection&) override { ++drained; }
  void GotMessage(Connection&, size_t) override { ++messages; }
  void Closed(Connection&) override { ++closed; }

  struct Client {
    UniqueFd fd;
    std::unique_ptr<Connection> connection;

    void Send(std::string_view bytes) const {
      KVD_CHECK(send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(bytes.size()));
    }
    // The bytes that have arrived, `bytes_max` at most.
    std::string Receive(size_t bytes_max) const {
      std::string bytes(bytes_max, '\0');
      const ssize_t count =
          recv(fd.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
      bytes.resize(count > 0 ? static_cast<size_t>(count) : 0);
      return bytes;
    }
  };
  Client Connect() {
    int ends[2];
    KVD_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                         ends) == 0);
    auto connection = std::make_unique<Connection>(loop_, UniqueFd(ends[0]),
                                                   ++last_id_, service_, *this);
    return {UniqueFd(ends[1]), std::move(connection)};
  }

  TestLoop& loop() { return loop_; }
  ServerState& service() { return service_; }

  int arrived = 0;
  int drained = 0;
  int messages = 0;
  int closed = 0;

 private:
  TestLoop loop_;
  Config config_;
  ManualClock clock_;
  ServerState service_{.config = config_, .clock = clock_};
  uint64_t last_id_ = 0;
};

}  // namespace kvd
