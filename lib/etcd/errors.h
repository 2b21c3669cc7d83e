// SPDX-License-Identifier: MIT
//
// What an error of gRPC or etcd means for who asked. The one question that
// matters is whether a change may have been made: only what etcd refuses before
// it proposes the change to its members, and what never left this host, is
// known not to have been.
#pragma once

#include <grpcpp/support/status.h>

#include <string>
#include <string_view>

#include "base/error.h"
#include "etcd/endpoint.h"

namespace kvd::etcd {

struct Verdict {
  ErrorCode code;  // As api.h explains it.
  // It was not done, and may be asked again of another endpoint.
  bool ask_again = false;
};

// `changes`: whether it was a Txn. A read that got no answer is asked again
// whatever happened to it.
Verdict Judge(const grpc::Status& status, bool changes);

// The status's message, for a person: why this endpoint cannot be used, and
// what to do about it.
std::string Explain(const Endpoint& endpoint, const grpc::Status& status);

}  // namespace kvd::etcd
