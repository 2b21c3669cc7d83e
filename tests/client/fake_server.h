// SPDX-License-Identifier: MIT
//
// A server that answers by a script, for tests of clients: it can be slow, rude
// and wrong in ways that a real one should not be.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/unique_fd.h"

namespace kvd {

// Serves one connection after the other on a thread of its own.
class FakeServer {
 public:
  using Command = std::vector<std::string>;
  // The bytes to answer with. Runs on the server's thread.
  using Script = std::function<std::string(const Command&)>;

  // In an answer: close the connection after what stands before it.
  static constexpr std::string_view kClose = "<close>";

  // Listens at `path` when the constructor returns. `greeting` is sent to each
  // client at once; may end in kClose.
  FakeServer(std::string path, Script script, std::string greeting = "");
  ~FakeServer();

  const std::string& path() const { return path_; }
  // What has been received so far, in order.
  std::vector<Command> commands() const;

 private:
  void Run();
  void Serve(int connection);
  bool Answer(int connection, std::string_view reply);

  const std::string path_;
  const Script script_;
  const std::string greeting_;
  UniqueFd listener_;
  mutable std::mutex mutex_;
  bool stopping_ = false;
  int connection_ = -1;
  std::vector<Command> commands_;
  std::thread thread_;
};

}  // namespace kvd
