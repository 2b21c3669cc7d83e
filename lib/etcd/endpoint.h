// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace kvd::etcd {

// Where one member of the cluster takes requests.
struct Endpoint {
  std::string name;  // As it was given: for people.
  std::string host;  // Without the brackets of an IPv6 address.
  std::string port;
  bool tls = false;

  // For gRPC, which also checks the certificate against the host in it.
  std::string Target() const;
};

// "http://HOST[:PORT]" or "https://…"; the port is 2379 if none is given.
// Errors say what is wrong with which endpoint.
Result<Endpoint> ParseEndpoint(std::string_view text);

}  // namespace kvd::etcd
