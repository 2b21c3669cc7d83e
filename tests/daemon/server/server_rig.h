// SPDX-License-Identifier: MIT
//
// The daemon from a client's socket to a simulated disk, one turn of the loop
// at a time: the test decides when a write to the disk completes.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/unique_fd.h"
#include "config/config.h"
#include "daemon/server.h"
#include "tests/daemon/store_rig.h"
#include "tests/daemon/test_loop.h"
#include "tests/support/temp_dir.h"

namespace kvd {

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
 public:
  static std::string Command(const std::vector<std::string>& words) {
    std::string bytes = "*" + std::to_string(words.size()) + "\r\n";
    for (const std::string& word : words) {
      bytes += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
    }
    return bytes;
  }

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

// The last integer in a reply.
inline size_t Number(const std::string& reply) {
  const size_t colon = reply.rfind(':');
  EXPECT_NE(colon, std::string::npos) << reply;
  return colon == std::string::npos ? 0 : std::stoul(reply.substr(colon + 1));
}

}  // namespace kvd
