// SPDX-License-Identifier: MIT
#include "etcd/endpoint.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>

namespace kvd::etcd {
namespace {

constexpr std::string_view kHttp = "http://";
constexpr std::string_view kHttps = "https://";
constexpr std::string_view kDefaultPort = "2379";

bool IsPort(std::string_view text) {
  uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  return error == std::errc() && stop == end && port != 0;
}

bool IsHostCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

bool IsHost(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, IsHostCharacter);
}

bool IsIpv6(std::string_view text) {
  in6_addr address;
  return ::inet_pton(AF_INET6, std::string(text).c_str(), &address) == 1;
}

// Splits "host:port", "[::1]:port" and both without the port.
bool SplitAddress(std::string_view address, Endpoint* endpoint) {
  const bool ipv6 = address.starts_with('[');
  size_t host_end = address.find(ipv6 ? ']' : ':');
  if (ipv6 && host_end == address.npos) return false;
  host_end = std::min(host_end, address.size());
  const std::string_view host =
      ipv6 ? address.substr(1, host_end - 1) : address.substr(0, host_end);
  std::string_view rest = address.substr(ipv6 ? host_end + 1 : host_end);
  if (!rest.empty() && !rest.starts_with(':')) return false;
  const std::string_view port = rest.empty() ? kDefaultPort : rest.substr(1);
  if (!(ipv6 ? IsIpv6(host) : IsHost(host)) || !IsPort(port)) return false;
  endpoint->host = host;
  endpoint->port = port;
  return true;
}

}  // namespace

std::string Endpoint::Target() const {
  const bool ipv6 = host.find(':') != host.npos;
  return ipv6 ? fmt::format("dns:///[{}]:{}", host, port)
              : fmt::format("dns:///{}:{}", host, port);
}

Result<Endpoint> ParseEndpoint(std::string_view text) {
  Endpoint endpoint;
  endpoint.name = text;
  std::string_view address = text;
  if (text.starts_with(kHttps)) {
    endpoint.tls = true;
    address.remove_prefix(kHttps.size());
  } else if (text.starts_with(kHttp)) {
    address.remove_prefix(kHttp.size());
  } else {
    return Fail(ErrorCode::kInvalid,
                "the etcd endpoint \"{}\" does not begin with http:// or "
                "https://: write it as in http://127.0.0.1:2379",
                text);
  }
  if (address.ends_with('/')) address.remove_suffix(1);
  if (!SplitAddress(address, &endpoint)) {
    return Fail(ErrorCode::kInvalid,
                "the etcd endpoint \"{}\" is not a host with a port from 1 to "
                "65535: write it as in http://127.0.0.1:2379 or "
                "http://[::1]:2379",
                text);
  }
  return endpoint;
}

}  // namespace kvd::etcd
