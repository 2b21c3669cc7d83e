// SPDX-License-Identifier: MIT
#include "client/tcp.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>

namespace kvd {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

struct FreeAddresses {
  void operator()(addrinfo* addresses) const { ::freeaddrinfo(addresses); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

tl::unexpected<ClientError> Fail(ClientFault fault, std::string message) {
  return tl::unexpected<ClientError>({fault, std::move(message)});
}

tl::unexpected<ClientError> FailedToConnect(int sys_errno) {
  if (sys_errno == ECONNREFUSED) {
    return Fail(ClientFault::kRefused, "nobody listens there");
  }
  return Fail(ClientFault::kSystem, std::generic_category().message(sys_errno));
}

ClientResult<Addresses> LookUp(const std::string& host,
                               const std::string& port) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int fault = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (fault != 0) return Fail(ClientFault::kBadPath, ::gai_strerror(fault));
  return Addresses(found);
}

// The errno of the attempt, 0 once it is connected.
int AwaitConnected(int socket, milliseconds timeout) {
  const auto end = steady_clock::now() + timeout;
  while (true) {
    const auto left =
        std::chrono::ceil<milliseconds>(end - steady_clock::now()).count();
    pollfd polled = {socket, POLLOUT, 0};
    const int ready = ::poll(
        &polled, 1, static_cast<int>(std::clamp<int64_t>(left, 0, INT32_MAX)));
    if (ready == 0) return ETIMEDOUT;
    if (ready < 0 && errno != EINTR) return errno;
    if (ready < 0) continue;
    int fault = 0;
    socklen_t size = sizeof fault;
    if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &fault, &size) != 0) {
      return errno;
    }
    return fault;
  }
}

ClientResult<UniqueFd> ConnectTo(const addrinfo& address,
                                 milliseconds timeout) {
  UniqueFd socket(::socket(address.ai_family,
                           SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return FailedToConnect(errno);
  if (::connect(socket.get(), address.ai_addr, address.ai_addrlen) != 0) {
    if (errno != EINPROGRESS && errno != EINTR) return FailedToConnect(errno);
    const int fault = AwaitConnected(socket.get(), timeout);
    if (fault != 0) return FailedToConnect(fault);
  }
  // A command is sent when it is complete: nothing is to be waited for.
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return socket;
}

}  // namespace

ClientResult<UniqueFd> ConnectTcp(const std::string& host,
                                  const std::string& port,
                                  milliseconds timeout) {
  ClientResult<Addresses> addresses = LookUp(host, port);
  if (!addresses) return tl::unexpected(std::move(addresses).error());
  ClientResult<UniqueFd> socket =
      Fail(ClientFault::kBadPath, "the host has no address");
  for (const addrinfo* address = addresses->get(); address != nullptr;
       address = address->ai_next) {
    socket = ConnectTo(*address, timeout);
    if (socket) return socket;
  }
  return socket;
}

}  // namespace kvd
