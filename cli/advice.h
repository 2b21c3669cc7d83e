// SPDX-License-Identifier: MIT
//
// What went wrong between kvctl and kvd, in words that end with what to type.
#pragma once

#include <chrono>
#include <string>

#include "cli/failure.h"
#include "client/client.h"

namespace kvctl {

// What a call was, for the words about its failure.
struct CallContext {
  std::string socket;
  std::chrono::milliseconds timeout;
  bool writes;  // Something may have changed although no reply came.
};

Failure DescribeFault(const kvd::ClientError& error,
                      const CallContext& context);

// The server's error reply: its code decides the exit code.
Failure DescribeErrorReply(const std::string& text);

}  // namespace kvctl
