// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <string>

#include "base/unique_fd.h"
#include "client/client.h"

namespace kvd {

// A connected non-blocking TCP socket. Each of the host's addresses is tried in
// turn, for `timeout` at most. Looking up a name may take as long as the
// system's resolver takes.
ClientResult<UniqueFd> ConnectTcp(const std::string& host,
                                  const std::string& port,
                                  std::chrono::milliseconds timeout);

}  // namespace kvd
