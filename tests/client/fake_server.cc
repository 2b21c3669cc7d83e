// SPDX-License-Identifier: MIT
#include "tests/client/fake_server.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "resp/command_parser.h"

namespace kvd {

FakeServer::FakeServer(std::string path, Script script, std::string greeting)
    : path_(std::move(path)),
      script_(std::move(script)),
      greeting_(std::move(greeting)),
      listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  KVD_CHECK(path_.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, path_.data(), path_.size());
  KVD_CHECK(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address),
                   sizeof address) == 0);
  KVD_CHECK(::listen(listener_.get(), 16) == 0);
  thread_ = std::thread([this] { Run(); });
}

FakeServer::~FakeServer() {
  {
    std::lock_guard hold(mutex_);
    stopping_ = true;
    if (connection_ >= 0) ::shutdown(connection_, SHUT_RDWR);
  }
  ::shutdown(listener_.get(), SHUT_RDWR);  // Wakes accept.
  thread_.join();
}

std::vector<FakeServer::Command> FakeServer::commands() const {
  std::lock_guard hold(mutex_);
  return commands_;
}

void FakeServer::Run() {
  // Signals are for the thread of the test.
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  while (true) {
    const UniqueFd accepted(
        ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!accepted) return;
    {
      std::lock_guard hold(mutex_);
      if (stopping_) return;
      connection_ = accepted.get();
    }
    Serve(accepted.get());
    std::lock_guard hold(mutex_);
    connection_ = -1;
  }
}

void FakeServer::Serve(int connection) {
  if (!Answer(connection, greeting_)) return;
  CommandParser parser({});
  std::string input;
  while (true) {
    switch (parser.Next(input)) {
      case ParseOutcome::kError:
        return;
      case ParseOutcome::kCommand: {
        const Command command(parser.args().begin(), parser.args().end());
        input.erase(0, parser.consumed());
        {
          std::lock_guard hold(mutex_);
          commands_.push_back(command);
        }
        if (!Answer(connection, script_(command))) return;
        break;
      }
      case ParseOutcome::kNeedMore: {
        input.erase(0, parser.consumed());
        char chunk[64 * 1024];
        const ssize_t size = ::read(connection, chunk, sizeof chunk);
        if (size <= 0) return;
        input.append(chunk, static_cast<size_t>(size));
        break;
      }
    }
  }
}

// False when the connection is over.
bool FakeServer::Answer(int connection, std::string_view reply) {
  const bool close = reply.ends_with(kClose);
  if (close) reply.remove_suffix(kClose.size());
  while (!reply.empty()) {
    const ssize_t size =
        ::send(connection, reply.data(), reply.size(), MSG_NOSIGNAL);
    if (size < 0) return false;
    reply.remove_prefix(static_cast<size_t>(size));
  }
  return !close;
}

}  // namespace kvd
