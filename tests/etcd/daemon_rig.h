// SPDX-License-Identifier: MIT
//
// A daemon on an etcd that the test holds in its hand, from its clients'
// sockets on: when a batch of its commands is decided, and how, the test says.
#pragma once

#include <csignal>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "etcd/engine/etcd_store.h"
#include "tests/daemon/server/server_host.h"
#include "tests/support/fake_etcd.h"
#include "tests/support/manual_clock.h"

namespace kvd::etcd {

using Words = std::vector<std::string>;

inline std::string Command(const Words& words) {
  std::string bytes = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) {
    bytes += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  }
  return bytes;
}
// Words without spaces, between spaces.
inline std::string Line(std::string_view line) {
  return std::string(line) + "\r\n";
}

class DaemonRig {
 public:
  static constexpr int64_t kTimeoutMs = 1000;

  DaemonRig() {
    std::signal(SIGPIPE, SIG_IGN);  // As the daemon does.
    host_.Start();
    Pass(40);  // It loads.
  }

  void Pass(int passes = 1) {
    for (int i = 0; i < passes; ++i) {
      clock_.AdvanceMs(1);
      etcd_.Run();
      host_.Turn();
    }
  }
  void Send(int client, std::string_view bytes) {
    for (int i = 0; i < 20'000 && !bytes.empty(); ++i) {
      bytes.remove_prefix(host_.SendSome(client, bytes));
      if (!bytes.empty()) Pass();
    }
  }
  // What has come since the last call.
  std::string Receive(int client) { return host_.Receive(client); }
  std::string Talk(int client, std::string_view bytes) {
    Send(client, bytes);
    Pass(kEnough);
    return Receive(client);
  }

  // From now on the daemon does not learn what others have changed …
  void Blind() {
    Pass(kEnough);
    etcd_.HoldWatches("one", true);
  }
  // … such as this, so that a batch that has read the key "trap" is refused.
  void SpringTrap() { etcd_.Put("kvd/0/0/trap", "0100"); }
  // It learns all of it.
  void See() {
    etcd_.HoldWatches("one", false);
    Pass(kEnough);
  }
  size_t refused() const {
    size_t refused = 0;
    for (const TxnRecord& record : etcd_.history()) {
      if (record.done && !record.succeeded) ++refused;
    }
    return refused;
  }

  ManualClock& clock() { return clock_; }
  FakeEtcd& etcd() { return etcd_; }
  ServerHost& host() { return host_; }

 private:
  static constexpr int kEnough = 12;

  ManualClock clock_;
  FakeEtcd etcd_{clock_};
  int lives_ = 0;
  ServerHost host_{clock_, [this](Wake wake) {
                     return std::make_unique<EtcdStore>(
                         etcd_.Connect("one", wake),
                         EtcdStoreOptions{.id = "one",
                                          .nonce = std::to_string(++lives_),
                                          .timeout_ms = kTimeoutMs,
                                          .heartbeat_ms = 0},
                         clock_, wake);
                   }};
};

}  // namespace kvd::etcd
