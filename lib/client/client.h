// SPDX-License-Identifier: MIT
//
// A blocking client of kvd, or of any server that speaks its protocol, over a
// Unix socket or TCP. It never raises SIGPIPE and needs no thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

#include "base/unique_fd.h"
#include "resp/reply_parser.h"

namespace kvd {

// Why there is no reply. A server's error reply is a Reply.
enum class ClientFault {
  kBadPath,     // No such path can be a socket's; nothing was sent.
  kNoSocket,    // There is no file at the path; nothing was sent.
  kRefused,     // Nobody listens at the path; nothing was sent.
  kPermission,  // The socket's mode keeps us out; nothing was sent.
  kBusy,        // The queue of the socket stayed full; nothing was sent.
  kLoading,     // The server has not finished its start; nothing was done.
  kTimeout,     // No reply in time; the outcome is unknown.
  kClosed,      // Closed before the reply; the outcome is unknown.
  kProtocol,    // The bytes are no reply; the outcome is unknown.
  kSystem,      // A system call failed for another reason.
};

struct ClientError {
  ClientFault fault;
  // One line for a person, without the path: "no such file". With kLoading the
  // server's own text.
  std::string message;
};

// A value or a ClientError; ignoring one is a compiler warning.
template <typename T>
class [[nodiscard]] ClientResult : public tl::expected<T, ClientError> {
 public:
  using tl::expected<T, ClientError>::expected;
  bool ok() const { return this->has_value(); }
};

struct ClientOptions {
  // How long the connection may stay without a byte going either way before a
  // call gives up.
  std::chrono::milliseconds timeout{5000};
  // How long to keep trying while the server is not there, or is loading.
  std::chrono::milliseconds wait{0};
};

// The longest path that fits the kernel's address of a Unix socket.
inline constexpr size_t kSocketPathBytesMax = 107;

// Where a server listens.
struct ServerAddress {
  std::string path;  // Of a Unix socket; empty: TCP, which is not encrypted.
  std::string host = {};  // A name or a number.
  std::string port = {};  // A number.
};

// One connection. After a fault of kTimeout or later in the list it is of no
// further use. Thread: one at a time.
class Client {
 public:
  // Connects to the socket at `path`.
  static ClientResult<Client> Connect(const std::string& path,
                                      const ClientOptions& options);
  static ClientResult<Client> Connect(const ServerAddress& address,
                                      const ClientOptions& options);

  // Sends one command and waits for its reply; must not be mixed with replies
  // that are still to be received. An answer of LOADING is tried again while
  // options.wait lasts (counted from Connect), then becomes a fault.
  ClientResult<Reply> Call(std::span<const std::string_view> args);
  ClientResult<Reply> Call(std::initializer_list<std::string_view> args);

  // Pipelining: each Send is answered by one Receive, in order. Send may keep
  // bytes back until Receive or Flush. Replies that arrive while it writes are
  // kept, so any number of commands can be sent first.
  ClientResult<void> Send(std::span<const std::string_view> args);
  ClientResult<void> Send(std::initializer_list<std::string_view> args);
  ClientResult<void> Flush();
  ClientResult<Reply> Receive();

  // In place of options.timeout from now on.
  void set_timeout(std::chrono::milliseconds timeout) {
    options_.timeout = timeout;
  }

 private:
  using Time = std::chrono::steady_clock::time_point;

  template <typename Attempt>
  static ClientResult<Client> Retry(const ClientOptions& options,
                                    Attempt attempt);

  Client(UniqueFd socket, const ClientOptions& options, Time wait_end)
      : socket_(std::move(socket)), options_(options), wait_end_(wait_end) {}

  ClientResult<void> WaitFor(short events, short* happened);
  ClientResult<void> WriteSome();
  ClientResult<void> ReadSome();

  UniqueFd socket_;
  ClientOptions options_;
  Time wait_end_;
  bool write_closed_ = false;  // The server may still have said why.

  std::string output_;
  size_t output_begin_ = 0;
  std::string input_;
  size_t input_begin_ = 0;
  ReplyParser parser_;
};

}  // namespace kvd
