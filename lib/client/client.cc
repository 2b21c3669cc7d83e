// SPDX-License-Identifier: MIT
#include "client/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <thread>
#include <utility>

#include "client/tcp.h"

namespace kvd {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Bytes moved by one system call, and kept back by Send.
constexpr size_t kChunkBytes = 64 * 1024;

// Pauses between attempts: short first, since a service that is just being
// started needs only moments.
constexpr milliseconds kRetryPauseMin{5};
constexpr milliseconds kRetryPauseMax{200};

tl::unexpected<ClientError> Fail(ClientFault fault, std::string message) {
  return tl::unexpected<ClientError>({fault, std::move(message)});
}

std::string ErrnoText(int sys_errno) {
  return std::generic_category().message(sys_errno);
}

tl::unexpected<ClientError> FailedToConnect(int sys_errno) {
  switch (sys_errno) {
    case ENOENT:
    case ENOTDIR:
      return Fail(ClientFault::kNoSocket, "no such file");
    case ECONNREFUSED:
      return Fail(ClientFault::kRefused, "nobody listens there");
    case EACCES:
    case EPERM:
      return Fail(ClientFault::kPermission, "permission denied");
    case EAGAIN:
      return Fail(ClientFault::kBusy, "too many clients are waiting there");
    case EPROTOTYPE:
    case ENOTSOCK:
      return Fail(ClientFault::kBadPath, "not a stream socket");
    default:
      return Fail(ClientFault::kSystem, ErrnoText(sys_errno));
  }
}

// Whether the server may still be starting.
bool MayPass(ClientFault fault) {
  return fault == ClientFault::kNoSocket || fault == ClientFault::kRefused ||
         fault == ClientFault::kBusy;
}

ClientResult<UniqueFd> ConnectOnce(const sockaddr_un& address) {
  UniqueFd socket(
      ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return FailedToConnect(errno);
  int connected;
  do {
    connected =
        ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address),
                  sizeof address);
  } while (connected != 0 && errno == EINTR);
  if (connected != 0) return FailedToConnect(errno);
  return socket;
}

// Sleeps before the next attempt. False when none is left before `end`.
bool PauseBefore(steady_clock::time_point end, milliseconds* pause) {
  const auto now = steady_clock::now();
  if (now >= end) return false;
  const auto left = std::chrono::ceil<milliseconds>(end - now);
  std::this_thread::sleep_for(std::min(*pause, left));
  *pause = std::min(*pause * 2, kRetryPauseMax);
  return true;
}

bool IsLoading(const Reply& reply) {
  return reply.is_error() && reply.text.starts_with("LOADING");
}

}  // namespace

ClientResult<Client> Client::Connect(const std::string& path,
                                     const ClientOptions& options) {
  if (path.empty()) return Fail(ClientFault::kBadPath, "the path is empty");
  if (path.size() > kSocketPathBytesMax) {
    return Fail(ClientFault::kBadPath,
                "the path is " + std::to_string(path.size()) +
                    " bytes long, and a socket's path can have at most " +
                    std::to_string(kSocketPathBytesMax));
  }
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());

  return Retry(options, [&] { return ConnectOnce(address); });
}

ClientResult<Client> Client::Connect(const ServerAddress& address,
                                     const ClientOptions& options) {
  if (address.host.empty()) return Connect(address.path, options);
  return Retry(options, [&] {
    return ConnectTcp(address.host, address.port, options.timeout);
  });
}

template <typename Attempt>
ClientResult<Client> Client::Retry(const ClientOptions& options,
                                   Attempt attempt) {
  const Time start = steady_clock::now();
  const Time wait_end = start + options.wait;
  const Time busy_end = start + std::max(options.wait, options.timeout);
  milliseconds pause = kRetryPauseMin;
  while (true) {
    ClientResult<UniqueFd> socket = attempt();
    if (socket) return Client(std::move(*socket), options, wait_end);
    const ClientFault fault = socket.error().fault;
    // A full queue means that the server is there, so it gets the usual
    // timeout.
    const Time end = fault == ClientFault::kBusy ? busy_end : wait_end;
    if (!MayPass(fault) || !PauseBefore(end, &pause)) {
      return tl::unexpected(std::move(socket).error());
    }
  }
}

ClientResult<Reply> Client::Call(std::span<const std::string_view> args) {
  milliseconds pause = kRetryPauseMin;
  while (true) {
    if (auto sent = Send(args); !sent) return tl::unexpected(sent.error());
    ClientResult<Reply> reply = Receive();
    if (!reply || !IsLoading(*reply)) return reply;
    if (!PauseBefore(wait_end_, &pause)) {
      return Fail(ClientFault::kLoading, std::move(reply->text));
    }
  }
}

ClientResult<Reply> Client::Call(std::initializer_list<std::string_view> args) {
  return Call(std::span(args.begin(), args.size()));
}

ClientResult<void> Client::Send(std::span<const std::string_view> args) {
  AppendCommand(&output_, args);
  if (output_.size() - output_begin_ < kChunkBytes) return {};
  return Flush();
}

ClientResult<void> Client::Send(std::initializer_list<std::string_view> args) {
  return Send(std::span(args.begin(), args.size()));
}

ClientResult<void> Client::Flush() {
  while (output_begin_ < output_.size() && !write_closed_) {
    if (auto written = WriteSome(); !written) return written;
  }
  output_.clear();
  output_begin_ = 0;
  return {};
}

ClientResult<Reply> Client::Receive() {
  if (auto flushed = Flush(); !flushed) return tl::unexpected(flushed.error());
  while (true) {
    const ReplyOutcome outcome =
        parser_.Next(std::string_view(input_).substr(input_begin_));
    if (outcome == ReplyOutcome::kError) {
      return Fail(ClientFault::kProtocol, parser_.error());
    }
    input_begin_ += parser_.consumed();
    if (outcome == ReplyOutcome::kReply) return parser_.TakeReply();

    short happened = 0;
    if (auto waited = WaitFor(POLLIN, &happened); !waited) {
      return tl::unexpected(waited.error());
    }
    if (auto read = ReadSome(); !read) return tl::unexpected(read.error());
  }
}

// Waits until one of `events` or an error is there; `happened` says which.
ClientResult<void> Client::WaitFor(short events, short* happened) {
  const Time end = steady_clock::now() + options_.timeout;
  while (true) {
    const auto left =
        std::chrono::ceil<milliseconds>(end - steady_clock::now()).count();
    pollfd polled = {socket_.get(), events, 0};
    const int ready = ::poll(
        &polled, 1, static_cast<int>(std::clamp<int64_t>(left, 0, INT32_MAX)));
    if (ready > 0) {
      *happened = polled.revents;
      return {};
    }
    if (ready < 0) {
      // A signal came: compute the time left anew.
      if (errno == EINTR) continue;
      return Fail(ClientFault::kSystem, ErrnoText(errno));
    }
    if (steady_clock::now() >= end) {
      return Fail(ClientFault::kTimeout, "no reply in time");
    }
  }
}

ClientResult<void> Client::WriteSome() {
  const ssize_t size =
      ::send(socket_.get(), output_.data() + output_begin_,
             output_.size() - output_begin_, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (size >= 0) {
    output_begin_ += static_cast<size_t>(size);
    return {};
  }
  switch (errno) {
    case EINTR:
      return {};
    case EAGAIN: {
      // A server whose replies nobody reads stops reading commands: read them
      // here, or both sides wait for ever.
      short happened = 0;
      if (auto waited = WaitFor(POLLIN | POLLOUT, &happened); !waited) {
        return waited;
      }
      return (happened & POLLIN) != 0 ? ReadSome() : ClientResult<void>();
    }
    case EPIPE:
    case ECONNRESET:
      // It may have said why before it closed: the next Receive reads that.
      write_closed_ = true;
      return {};
    default:
      return Fail(ClientFault::kSystem, ErrnoText(errno));
  }
}

ClientResult<void> Client::ReadSome() {
  if (input_begin_ == input_.size()) {
    input_.clear();
    input_begin_ = 0;
  } else if (input_begin_ >= kChunkBytes) {
    input_.erase(0, input_begin_);
    input_begin_ = 0;
  }
  char chunk[kChunkBytes];
  const ssize_t size = ::recv(socket_.get(), chunk, sizeof chunk, MSG_DONTWAIT);
  if (size > 0) {
    input_.append(chunk, static_cast<size_t>(size));
    return {};
  }
  if (size < 0 && (errno == EINTR || errno == EAGAIN)) return {};
  if (size == 0 || errno == ECONNRESET) {
    return Fail(ClientFault::kClosed, "the connection was closed");
  }
  return Fail(ClientFault::kSystem, ErrnoText(errno));
}

}  // namespace kvd
