// SPDX-License-Identifier: MIT
//
// etcd behind api.h, over gRPC.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/executor.h"
#include "etcd/api.h"
#include "etcd/certificates.h"

namespace kvd::etcd {

struct ClientOptions {
  // Of one cluster: "http://HOST:PORT" or "https://…", at least one.
  std::vector<std::string> endpoints = {};
  CertificateFiles certificates = {};  // Read if there is an https endpoint.
  int64_t connect_timeout_ms = 2000;
};

// What Connect() would say of the settings alone, and of the files: kNotFound
// when one is not there.
Result<void> Check(const ClientOptions& options);

// Fails when an endpoint or a file is wrong; whether etcd is there shows when
// it is asked. `wake` may be called from another thread until the client is
// destroyed, and then Poll() has something to run.
Result<std::unique_ptr<Api>> Connect(const ClientOptions& options, Wake wake);

}  // namespace kvd::etcd
