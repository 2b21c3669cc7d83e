// SPDX-License-Identifier: MIT
//
// How the daemon gets a store whose data is elsewhere, from a library that it
// may be linked with or not.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "base/executor.h"
#include "base/log_sink.h"
#include "config/config.h"
#include "store/store.h"

namespace kvd {

struct SharedStoreOptions {
  const Config& config;
  uint64_t memory_limit_bytes = 0;
  // Of this data directory and no other one.
  std::string id;
  LogSink log;
};

// References outlive the store. kInvalid when a setting is wrong.
using OpenSharedStore = Result<std::unique_ptr<Store>> (*)(
    const SharedStoreOptions& options, Clock& clock, Wake wake);

}  // namespace kvd
